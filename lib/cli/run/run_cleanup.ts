import { FileCheckpointStore } from "../../checkpoint/internal.ts";
import {
  cleanupExitCode,
  type CleanupItem,
  type CleanupKind,
  type CleanupPlan,
  type CleanupReport,
  executeCleanup,
} from "../../commands/cleanup/cleanup.ts";
import { ExitCode, plural } from "../../core/internal.ts";
import { makeStyle, printable, renderTable, type TableOptions } from "../../ui/mod.ts";
import { askYesNo } from "../terminal/confirm.ts";
import type { CommandRunner } from "../context.ts";
import { printJson, printLines, printResult, tableOptions } from "../print/print.ts";
import { resolveCleanupOptions } from "../options/replication_options.ts";

/** `cleanup`: shows the list, asks, removes. `--dry-run`: prints the list and stops. */
export const runCleanup: CommandRunner = async (reader, context) => {
  const { terminal, output, progress, run } = context;
  const { yes, dryRun, ...servers } = await resolveCleanupOptions(reader, context.resolve);
  const result = await executeCleanup({
    ...servers,
    checkpoints: (operation) => new FileCheckpointStore(operation),
    confirm: async (plan) => {
      progress.pause();
      if (dryRun) return false;
      if (!yes || !output.json) {
        printLines(terminal.stderr, [...cleanupPlanLines(plan, tableOptions(terminal.stderr)), ""]);
      }
      return yes || await askYesNo("Remove all of this?", { terminal, signal: run.signal });
    },
  }, run);
  progress.pause();
  const size = tableOptions(terminal.stdout);
  if (result.kind === "declined" && dryRun) {
    if (output.json) printJson(terminal, result.plan);
    else printResult(terminal, cleanupPlanLines(result.plan, size));
    return cleanupExitCode({ ...result.plan, removed: [], failed: [] });
  }
  if (result.kind === "declined") {
    terminal.stderr.write("Nothing was changed.\n");
    if (output.json) printJson(terminal, { declined: true });
    return ExitCode.interrupted;
  }
  if (output.json) printJson(terminal, result.report);
  else printResult(terminal, cleanupReportLines(result.report, size));
  return cleanupExitCode(result.report);
};

const words: Readonly<Record<CleanupKind, string>> = {
  "subscription": "subscription",
  "apply-record": "record",
  "slot": "slot",
  "publication": "publication",
  "replica-identity": "replica identity",
  "ledger": "schema",
  "way-back": "way back",
  "cutover": "fence",
  "state-file": "file",
};

function itemRow({ kind, side, database, name, state, detail }: CleanupItem): string[] {
  return [
    side ?? "here",
    printable(database ?? ""),
    words[kind],
    printable(name),
    printable(state === undefined ? detail : `${state}: ${detail}`),
  ];
}

const tableColumns = [
  { title: "Side" },
  { title: "Database", narrow: "cut" },
  { title: "What" },
  { title: "Name" },
  { title: "", narrow: "wrap" },
] as const;

/** What will be removed, what stays, and which side is unreachable. */
function cleanupPlanLines(plan: CleanupPlan, options: TableOptions): string[] {
  const style = makeStyle(options.color);
  return [
    ...(plan.items.length === 0
      ? ["Nothing of this tool exists between these servers."]
      : renderTable(tableColumns, plan.items.map(itemRow), options)),
    ...sideLines(plan, options),
    ...(plan.items.length === 0 ? [] : [
      "",
      style.bold(`${plural(plan.items.length, "item")} to remove. Copied rows stay.`),
    ]),
  ];
}

/** What was removed, what could not be, what stays. */
export function cleanupReportLines(report: CleanupReport, options: TableOptions): string[] {
  const style = makeStyle(options.color);
  const { items, removed, failed, unreachable } = report;
  const done = failed.length === 0 && unreachable.length === 0;
  return [
    ...failed.flatMap(({ item, problem, remedy }) => [
      style.red(`✗ ${words[item.kind]} ${printable(item.name)}: ${printable(problem)}`),
      ...(remedy === null ? [] : [`  → ${printable(remedy)}`]),
    ]),
    ...sideLines(report, options),
    ...(items.length === 0 ? ["Nothing of this tool exists between these servers."] : [
      `${done ? style.green("✓") : style.yellow("!")} ${removed.length} of ${
        plural(items.length, "item")
      } removed.` +
      (done
        ? ""
        : unreachable.length === 0
        ? " Run it again to remove the rest."
        : ` Objects on the ${
          unreachable.map(({ side }) => side).join(" and the ")
        } remain: run it again once that is reachable.`),
    ]),
  ];
}

function sideLines(
  { kept, unreachable }: Pick<CleanupPlan, "kept" | "unreachable">,
  { color }: TableOptions,
): string[] {
  const style = makeStyle(color);
  return [
    ...kept.map(({ kind, name, reason }) =>
      style.dim(`stays: ${words[kind]} ${printable(name)} (${printable(reason)})`)
    ),
    ...unreachable.flatMap(({ side, url, problem, byHand }) => [
      style.yellow(`! the ${side} ${printable(url)} is unreachable: ${printable(problem)}`),
      side === "source"
        ? "  Its objects remain; an unused slot retains WAL until the disk is full. Run cleanup again once it is reachable" +
          (byHand.length > 0 ? ", or run there:" : ".")
        : "  Its objects remain. Run cleanup again once it is reachable" +
          (byHand.length > 0 ? ", or run there:" : "."),
      ...byHand.map((statement) => `    ${printable(statement)}`),
    ]),
  ];
}
