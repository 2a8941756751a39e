import { formatCount, plural } from "../../core/internal.ts";
import type { CheckStatus, ValidationReport } from "../../commands/shared/validation_report.ts";
import { makeStyle, printable, renderTable, type TableOptions } from "../../ui/mod.ts";
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
  const counts = [
    style.green(`${formatCount(report.passed)} passed`),
    paintIf(report.warnings, style.yellow)(plural(report.warnings, "warning")),
    paintIf(report.failures, style.red)(plural(report.failures, "failure")),
  ].join(", ");
  return [
    serverLine("source", report.source),
    serverLine("target", report.target),
    "",
    ...renderTable(columns, rows, options),
    "",
    counts,
  ];
}

function paintIf(count: number, paint: (text: string) => string): (text: string) => string {
  return count > 0 ? paint : (text) => text;
}
