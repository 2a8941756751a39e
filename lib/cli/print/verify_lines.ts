import {
  displayName,
  formatBytes,
  formatCount,
  formatDuration,
  plural,
} from "../../core/internal.ts";
import type { VerifyReport } from "../../commands/shared/verify_report.ts";
import type { Verdict, VerifiedDatabase, VerifiedTable } from "../../verify/internal.ts";
import {
  groupNotChecked,
  makeStyle,
  printable,
  renderTable,
  type Style,
  type TableOptions,
} from "../../ui/mod.ts";
import { serverLine } from "./server_line.ts";
import { differenceLines } from "./verify_difference_lines.ts";
import { structureLines } from "./structure_lines.ts";

/** The symbols carry the meaning without colors. */
const words: Readonly<Record<Verdict, string>> = {
  equal: "✓ equal",
  different: "✗ DIFFERENT",
  unchecked: "? not fully checked",
};

const maxEqualTables = 20;

/**
 * The outcome of `verify` as lines: differences first, then what was not checked, then the verdict.
 */
export function verifyLines(report: VerifyReport, options: TableOptions): string[] {
  const style = makeStyle(options.color);
  const several = report.databases.length > 1;
  return [
    serverLine("source", report.source),
    serverLine("target", report.target),
    ...report.databases.flatMap((database) => databaseLines(database, { options, style, several })),
    ...repairLines(report, style),
    ...notCheckedLines(report, style),
    "",
    verdictLine(report, style),
    ...hintLines(report, style),
  ];
}

interface View {
  readonly options: TableOptions;
  readonly style: Style;
  readonly several: boolean;
}

function databaseLines(database: VerifiedDatabase, view: View): string[] {
  const { style, options } = view;
  const renamed = database.source === database.target ? "" : ` → ${printable(database.target)}`;
  const asOf = database.asOf === undefined ? "" : `, as of ${database.asOf}`;
  const live = database.live ? ", under replication" : "";
  const order: readonly Verdict[] = ["different", "unchecked", "equal"];
  const tables = database.tables.toSorted((a, b) =>
    order.indexOf(a.verdict) - order.indexOf(b.verdict) || b.bytes - a.bytes
  );
  const equal = tables.filter(({ verdict }) => verdict === "equal");
  const shown = [
    ...tables.filter(({ verdict }) => verdict !== "equal"),
    ...equal.slice(0, maxEqualTables),
  ];
  return [
    "",
    `${style.bold(printable(database.source))}${renamed}: ${
      plural(tables.length, "table")
    }${live}${asOf}`,
    ...(shown.length === 0 ? [] : renderTable(
      [
        { title: "  Table", narrow: "cut" },
        { title: "" },
        { title: "Source rows", align: "right" },
        { title: "Target rows", align: "right" },
        { title: "Size", align: "right" },
        { title: "Time", align: "right" },
        { title: "", narrow: "wrap" },
      ],
      shown.map((table) => tableRow(table, style)),
      options,
    )),
    ...(equal.length > maxEqualTables
      ? [style.dim(`  and ${plural(equal.length - maxEqualTables, "more equal table")}`)]
      : []),
    ...tables.flatMap((table) => differenceLines(table, style)),
    ...structureLines(database.sections, style),
  ];
}

function paint(verdict: Verdict, style: Style): string {
  const color = verdict === "equal"
    ? style.green
    : verdict === "different"
    ? style.red
    : style.yellow;
  return color(words[verdict]);
}

function tableRow(table: VerifiedTable, style: Style): string[] {
  const count = (rows: number | undefined) => rows === undefined ? "" : formatCount(rows);
  const notes = [
    ...(table.reason === undefined ? [] : [table.reason]),
    ...(table.settledRows > 0
      ? [`${plural(table.settledRows, "row")} caught up during the comparison`]
      : []),
    ...(table.repairedRows === undefined ? [] : [
      `${plural(table.repairedRows, "row")} repaired; the counts precede the repair`,
    ]),
    ...(table.resumed === undefined ? [] : [
      `${
        plural(table.resumed.chunks, "piece")
      } compared by the interrupted run, since ${table.resumed.since}`,
    ]),
    ...(table.method === "columns" || table.method === "md5" ? ["by MD5"] : []),
  ];
  return [
    `  ${printable(displayName(table))}`,
    paint(table.verdict, style),
    count(table.sourceRows),
    count(table.targetRows),
    formatBytes(table.bytes),
    formatDuration(table.ms),
    printable(notes.join("; ")),
  ];
}

function repairLines({ repair }: VerifyReport, style: Style): string[] {
  if (repair === undefined) return [];
  if (repair.applied) return ["", `${plural(repair.rows, "row")} repaired on the target`];
  return [
    "",
    style.bold(`What would be written to make ${plural(repair.rows, "row")} equal`),
    ...repair.statements.map((statement) => `${printable(statement)};`),
  ];
}

function notCheckedLines({ notChecked }: VerifyReport, style: Style): string[] {
  if (notChecked.length === 0) return [];
  return [
    "",
    style.bold("Not checked"),
    ...groupNotChecked(notChecked).map(({ databases, what, reason, failed }) => {
      const where = databases.length === 0 ? "" : `${databases.join(", ")}: `;
      return `  ${failed ? style.yellow("?") : "-"} ${printable(`${where}${what}: ${reason}`)}`;
    }),
  ];
}

function verdictLine(report: VerifyReport, style: Style): string {
  const tables = report.databases.flatMap((database) => database.tables);
  const how = `${plural(tables.length, "table")}, ${plural(report.rows, "row")}, ${
    formatBytes(report.bytes)
  } in ${formatDuration(report.ms)}`;
  switch (report.verdict) {
    case "equal":
      return `${style.green("✓ Source and target are equal")}: ${how}`;
    case "different":
      return `${style.red("✗ Source and target differ")} in ${differing(report)}; compared: ${how}`;
    case "unchecked":
      return `${
        style.yellow("? No difference was found, but not everything could be compared")
      }: ${how}`;
  }
}

/** `the rows of 2 tables, table definitions and indexes` */
function differing({ databases }: VerifyReport): string {
  const isDifferent = ({ verdict }: { readonly verdict: Verdict }) => verdict === "different";
  const tables = databases.flatMap((database) => database.tables).filter(isDifferent).length;
  const sections = databases.flatMap((database) => database.sections).filter(isDifferent);
  const names = [
    ...(tables === 0 ? [] : [`the rows of ${plural(tables, "table")}`]),
    ...new Set(
      sections.map(({ section }) =>
        section === "tables" ? "table definitions" : section.replaceAll("-", " ")
      ),
    ),
  ];
  return [names.slice(0, -1).join(", "), names.at(-1)].filter((each) => each !== "").join(" and ");
}

/** What to do about differing rows. */
/** Whether rows differ, which `--repair` makes equal. */
export function hasDifferentRows({ databases }: Pick<VerifyReport, "databases">): boolean {
  return databases.some(({ tables }) =>
    tables.some(({ differences, more }) => differences.length > 0 || more)
  );
}

function hintLines(report: VerifyReport, style: Style): string[] {
  const setAside = report.databases.flatMap(({ sections }) => sections)
    .flatMap(({ differences }) => differences).filter((difference) => difference.setAside).length;
  const known = setAside === 0 ? [] : [
    style.dim(
      `  ${
        plural(setAside, "difference was", "differences were")
      } set aside by init: remove the causes and run the same init command again (docs/guides/set-aside.md)`,
    ),
  ];
  if (report.repair !== undefined || !hasDifferentRows(report)) return known;
  return [
    ...known,
    style.dim(
      "  --repair --dry-run prints the SQL that makes the target's rows equal; --repair runs it",
    ),
  ];
}
