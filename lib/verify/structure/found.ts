/**
 * Builds differences from the objects they concern. Pure.
 *
 * @module
 */
import type { StructureDifference } from "./difference.ts";
import type { FactValue, StructureObject } from "./model.ts";
import { describeChange, describeObject, describeValue } from "./words.ts";

/** An object that exists on both sides. */
export interface ObjectPair {
  readonly source: StructureObject;
  readonly target: StructureObject;
}

/** A difference with the objects it concerns, from which a reason can be derived. */
export interface FoundDifference {
  readonly difference: StructureDifference;
  readonly source: StructureObject | undefined;
  readonly target: StructureObject | undefined;
}

/** A difference about an object. */
export function differenceOf(
  object: StructureObject,
  what: Pick<StructureDifference, "change" | "message"> & Partial<StructureDifference>,
): StructureDifference {
  const { section, schema, parent, name } = object;
  return {
    severity: "difference",
    section,
    object: describeObject(object),
    ...(schema === undefined ? {} : { schema }),
    ...(parent === undefined ? {} : { parent }),
    name,
    ...what,
  };
}

/** A difference about the value of a property. */
export function changeOf(
  { source: object }: ObjectPair,
  { property, source, target }: {
    readonly property: string;
    readonly source: FactValue | undefined;
    readonly target: FactValue | undefined;
  },
): StructureDifference {
  return differenceOf(object, {
    change: "changed",
    property,
    message: describeChange(property, { source, target }),
    ...(source === undefined || source === null ? {} : { source: describeValue(source) }),
    ...(target === undefined || target === null ? {} : { target: describeValue(target) }),
  });
}
