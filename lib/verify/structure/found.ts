/**
 * How a difference is made of what it is about. Pure.
 *
 * @module
 */
import type { StructureDifference } from "./difference.ts";
import type { FactValue, StructureObject } from "./model.ts";
import { describeChange, describeObject, describeValue } from "./words.ts";

/** One object that both sides have. */
export interface ObjectPair {
  readonly source: StructureObject;
  readonly target: StructureObject;
}

/** A difference with what it is about, so that a reason can be looked for. */
export interface FoundDifference {
  readonly difference: StructureDifference;
  readonly source: StructureObject | undefined;
  readonly target: StructureObject | undefined;
}

/** What to say of an object. */
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

/** A property that has another value. */
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
    message: describeChange(property, source, target),
    ...(source === undefined || source === null ? {} : { source: describeValue(source) }),
    ...(target === undefined || target === null ? {} : { target: describeValue(target) }),
  });
}
