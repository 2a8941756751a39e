/**
 * Detects sequences on the target that would repeat values already used on the source. Pure.
 *
 * @module
 */
import { type SequenceValue, setvalStatements } from "../../catalog/internal.ts";
import { tableKey } from "../../core/internal.ts";
import type { StructureDifference } from "./difference.ts";
import { differenceOf } from "./found.ts";
import { objectKey, type SequenceState, type Structure, type StructureObject } from "./model.ts";

/**
 * The sequences whose value on the target is behind the source. It may be ahead, which skips values
 * but does not repeat any.
 */
export function diffSequenceValues(
  { objects }: Structure,
  { source, target, awaitsCutover }: {
    readonly source: SequenceState;
    readonly target: SequenceState;
    /**
     * Whether a subscription of the tool follows the source: sequences are then behind until
     * cutover sets them.
     */
    readonly awaitsCutover: boolean;
  },
): readonly StructureDifference[] {
  const onTarget = new Map(target.values.map((value) => [tableKey(value), value]));
  return source.values.flatMap((value) => {
    const object = objects.get(
      objectKey({ kind: "sequence", schema: value.schema, parent: undefined, name: value.name }),
    );
    const other = onTarget.get(tableKey(value));
    if (object === undefined || other === undefined) return [];
    const difference = behind(object, value, other);
    if (difference === undefined) return [];
    return awaitsCutover && difference.severity === "difference"
      ? [{
        ...difference,
        severity: "note",
        reason: "sequences are not replicated; cutover sets them",
      }]
      : [difference];
  });
}

function behind(
  object: StructureObject,
  source: SequenceValue,
  target: SequenceValue,
): StructureDifference | undefined {
  const increment = BigInt(String(object.facts.increment ?? "1"));
  // the next value; for an unused sequence, its start value
  const next = ({ lastValue, isCalled }: SequenceValue) =>
    isCalled ? lastValue + increment : lastValue;
  const lead = increment > 0n ? next(target) - next(source) : next(source) - next(target);
  if (lead >= 0n) return undefined;
  const [statement] = setvalStatements([source]);
  return differenceOf(object, {
    change: "changed",
    property: "value",
    message: `is behind: its next value is ${next(source)} on the source, ${
      next(target)
    } on the target`,
    source: String(source.lastValue),
    target: String(target.lastValue),
    ...(object.facts.cycle === true
      ? { severity: "note", reason: "it cycles, so its values do not show which side is ahead" }
      : { remedy: `run on the target: ${statement}` }),
  });
}
