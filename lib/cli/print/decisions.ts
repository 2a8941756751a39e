import { displayName, plural } from "../../core/internal.ts";
import type { DatabaseDecisions, TableDecision } from "../../commands/shared/validation_report.ts";
import { makeStyle, printable, renderTable, type TableOptions } from "../../ui/mod.ts";

const words: Readonly<Record<TableDecision["outcome"], string>> = {
  "copied": "copied",
  "filtered": "filtered",
  "structure-only": "structure only",
  "left-out": "left out",
};

/** What happens to every table, and why: by database and schema, in catalog order. */
export function decisionLines(
  databases: readonly DatabaseDecisions[],
  options: TableOptions,
): string[] {
  const style = makeStyle(options.color);
  const paint: Readonly<Record<TableDecision["outcome"], (text: string) => string>> = {
    "copied": style.green,
    "filtered": style.yellow,
    "structure-only": style.yellow,
    "left-out": style.red,
  };
  return databases.flatMap(({ database, tables, notes }) => [
    "",
    `${style.bold(printable(database))}: ${plural(tables.length, "table")}`,
    ...renderTable(
      [
        { title: "Table", narrow: "cut" },
        { title: "What" },
        { title: "Why", narrow: "wrap" },
      ],
      tables.map((table) => [
        printable(displayName(table)),
        paint[table.outcome](words[table.outcome]),
        printable(table.reason),
      ]),
      options,
    ),
    ...notes.map((note) => `${style.yellow("!")} ${printable(note)}`),
  ]);
}

/** The same without tables that are copied whole, for the plan to confirm. */
export function exceptionLines(
  databases: readonly DatabaseDecisions[],
  options: TableOptions,
): string[] {
  const exceptions = databases
    .map((each) => ({ ...each, tables: each.tables.filter(({ outcome }) => outcome !== "copied") }))
    .filter(({ tables, notes }) => tables.length + notes.length > 0);
  return decisionLines(exceptions, options);
}
