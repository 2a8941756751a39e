import { displayName, formatCount } from "../../core/internal.ts";
import type { RowDifference, VerifiedTable } from "../../verify/internal.ts";
import { printable, type Style } from "../../ui/mod.ts";

/** The differing rows of a table, each with its key and what differs. */
export function differenceLines(table: VerifiedTable, style: Style): string[] {
  if (table.differences.length === 0) return [];
  return [
    "",
    style.bold(`  ${printable(displayName(table))}`),
    ...table.differences.flatMap((difference) => rowLines(difference, style)),
    ...(table.more ? [style.dim("    more rows differ; increase --max-diffs to list them")] : []),
  ];
}

const kinds: Readonly<Record<RowDifference["kind"], string>> = {
  missing: "missing on the target",
  extra: "only on the target",
  different: "different",
};

function rowLines(difference: RowDifference, style: Style): string[] {
  const { kind, key, columns, sourceCount, targetCount } = difference;
  const name = key.map(({ column, value }) =>
    value === undefined ? column : `${column} = ${shown(value)}`
  ).join(", ");
  const counts = sourceCount === undefined && targetCount === undefined
    ? ""
    : ` (${formatCount(sourceCount ?? 0)} × on the source, ${
      formatCount(targetCount ?? 0)
    } × on the target)`;
  return [
    `    ${style.red("✗")} ${printable(name === "" ? "row" : name)}: ${kinds[kind]}${counts}`,
    ...columns.map(({ column, source, target }) => {
      const values = [
        ...(source === undefined ? [] : [shown(source)]),
        ...(target === undefined ? [] : [shown(target)]),
      ];
      return `        ${printable(column)}${
        values.length === 0 ? "" : `: ${printable(values.join(" → "))}`
      }`;
    }),
  ];
}

function shown(value: string | null): string {
  return value === null ? "NULL" : JSON.stringify(value);
}
