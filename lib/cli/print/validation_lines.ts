import { formatCount, plural } from "../../core/internal.ts";
import type { CheckStatus, ValidationReport } from "../../commands/shared/validation_report.ts";
import { makeStyle, printable, renderTable, type Style, type TableOptions } from "../../ui/mod.ts";
import { serverLine } from "./server_line.ts";

/** The symbols carry the meaning without colors. */
const statusWords: Readonly<Record<CheckStatus, string>> = {
  pass: "✓ pass",
  warn: "! warn",
  fail: "✗ FAIL",
};

/** The outcome of `validate` as lines. */
export function validationLines(report: ValidationReport, options: TableOptions): string[] {
  const style = makeStyle(options.color);
  const paint: Readonly<Record<CheckStatus, (text: string) => string>> = {
    pass: style.green,
    warn: style.yellow,
    fail: (text) => style.bold(style.red(text)),
  };
  const order: readonly CheckStatus[] = ["fail", "warn", "pass"];
  const checks = [...report.checks].sort((a, b) =>
    order.indexOf(b.status) - order.indexOf(a.status)
  );
  const databases = checks.some(({ database }) => database !== undefined);
  const cells = (first: string, place: readonly [string, string], about: string, text: string) => [
    first,
    place[0],
    ...(databases ? [place[1]] : []),
    about,
    text,
  ];
  if (options.columns < minTableColumns) {
    const blocks = checks.flatMap(({ id, status, side, database, finding, fix }) => [
      `${paint[status](statusWords[status])}  ${
        [side, ...(database === undefined ? [] : [printable(database)]), id].join("  ")
      }: ${printable(finding)}`,
      ...(fix === undefined || status === "pass" ? [] : [`  → ${printable(fix)}`]),
    ]);
    return [...serverLines(report), "", ...blocks, "", countsOf(report, style)];
  }
  const rows = checks.flatMap(({ id, status, side, database, finding, fix }) => [
    cells(
      paint[status](statusWords[status]),
      [side, printable(database ?? "")],
      id,
      printable(finding),
    ),
    ...(fix === undefined || status === "pass"
      ? []
      : [cells("", ["", ""], "", `→ ${printable(fix)}`)]),
  ]);
  const columns = [
    { title: "" },
    { title: "Side" },
    ...(databases ? [{ title: "Database", narrow: "cut" as const }] : []),
    { title: "Check" },
    { title: "Finding", narrow: "wrap" as const },
  ];
  return [
    ...serverLines(report),
    "",
    ...renderTable(columns, rows, options),
    "",
    countsOf(report, style),
  ];
}

/** In narrower terminals, findings and remedies take the full width, below their check. */
const minTableColumns = 110;

function serverLines({ source, target }: ValidationReport): string[] {
  return [serverLine("source", source), serverLine("target", target)];
}

function countsOf({ passed, warnings, failures }: ValidationReport, style: Style): string {
  return [
    style.green(`${formatCount(passed)} passed`),
    paintIf(warnings, style.yellow)(plural(warnings, "warning")),
    paintIf(failures, style.red)(plural(failures, "failure")),
  ].join(", ");
}

function paintIf(count: number, paint: (text: string) => string): (text: string) => string {
  return count > 0 ? paint : (text) => text;
}
