/**
 * Compares the order of the columns common to both sides. Pure.
 *
 * @module
 */
import { changeOf, type FoundDifference } from "./found.ts";
import { objectKey, type Structure, type StructureObject } from "./model.ts";

/**
 * One difference per table whose columns are ordered differently, regardless of missing columns.
 */
export function diffColumnOrder(source: Structure, target: Structure): readonly FoundDifference[] {
  const [onSource, onTarget] = [columnsOf(source), columnsOf(target)];
  return [...onSource].flatMap(([key, columns]) => {
    const [table, other] = [source.objects.get(key), target.objects.get(key)];
    if (table === undefined || other === undefined) return [];
    const [one, two] = [columns, onTarget.get(key) ?? []].map(namesInOrder) as [string[], string[]];
    const common = {
      source: one.filter((name) => two.includes(name)),
      target: two.filter((name) => one.includes(name)),
    };
    if (common.source.every((name, index) => name === common.target[index])) return [];
    const pair = { source: table, target: other };
    return [{ ...pair, difference: changeOf(pair, { property: "order of columns", ...common }) }];
  });
}

/** Columns by the key of their table or type. */
function columnsOf({ objects }: Structure): ReadonlyMap<string, StructureObject[]> {
  const columns = new Map<string, StructureObject[]>();
  for (const object of objects.values()) {
    if (object.kind !== "column") continue;
    const { schema, parent = "" } = object;
    const table = objectKey({ kind: "table", schema, parent: undefined, name: parent });
    const key = objects.has(table)
      ? table
      : objectKey({ kind: "type", schema, parent: undefined, name: parent });
    const siblings = columns.get(key);
    if (siblings === undefined) columns.set(key, [object]);
    else siblings.push(object);
  }
  return columns;
}

function namesInOrder(columns: readonly StructureObject[]): string[] {
  return columns.toSorted((a, b) => Number(a.facts.place) - Number(b.facts.place))
    .map(({ name }) => name);
}
