import { FileCheckpointStore } from "../../checkpoint/internal.ts";
import {
  cleanupExitCode,
  type CleanupItem,
  type CleanupKind,
  type CleanupPlan,
  type CleanupReport,
  executeCleanup,
} from "../../commands/cleanup/cleanup.ts";
import { executeStatus, type StatusReport } from "../../commands/status/status.ts";
import type { RunContext } from "../../commands/shared/run.ts";
import {
  errorMessage,
  ExitCode,
  formatBytes,
  megabyte,
  plural,
  ReplicatorError,
} from "../../core/internal.ts";
import { makeStyle, printable, renderTable, type TableOptions } from "../../ui/mod.ts";
import { askYesNo } from "../terminal/confirm.ts";
import type { CommandRunner } from "../context.ts";
import { printJson, printLines, printResult, tableOptions } from "../print/print.ts";
import { printNext } from "../print/print_next.ts";
import { pairName } from "../print/status_lines.ts";
import { type ReplicationOptions, resolveCleanupOptions } from "../options/replication_options.ts";

/** `cleanup`: shows the list, asks, removes. `--dry-run`: prints the list and stops. */
export const runCleanup: CommandRunner = async (reader, context) => {
  const { terminal, output, progress, run } = context;
  const { yes, dryRun, source, target, databases } = await resolveCleanupOptions(
    reader,
    context.resolve,
  );
  const servers: ReplicationOptions = { source, target, databases };
  const result = await executeCleanup({
    ...servers,
    checkpoints: (operation) => new FileCheckpointStore(operation),
    confirm: async (plan) => {
      progress.pause();
      if (dryRun) return false;
      if (!yes || !output.json) {
        printLines(terminal.stderr, [...cleanupPlanLines(plan, tableOptions(terminal.stderr)), ""]);
      }
      const losses = isReplicated(plan) ? await readLosses(servers, run) : [];
      progress.pause();
      const style = makeStyle(terminal.stderr.color);
      printLines(terminal.stderr, losses.map((line) => `${style.yellow("!")} ${printable(line)}`));
      const question = losses.length === 0
        ? "Remove all of this?"
        : "The target may not have everything yet. Remove all of this nevertheless?";
      return yes || await askYesNo(question, { terminal, signal: run.signal });
    },
  }, run);
  progress.pause();
  const size = tableOptions(terminal.stdout);
  if (result.kind === "declined" && dryRun) {
    if (output.json) printJson(terminal, result.plan);
    else printResult(terminal, cleanupPlanLines(result.plan, size));
    printNext(result.plan.items.length > 0 ? "cleanup" : "status", context);
    return cleanupExitCode({ ...result.plan, removed: [], failed: [] });
  }
  if (result.kind === "declined") {
    terminal.stderr.write("Nothing was changed.\n");
    if (output.json) printJson(terminal, { declined: true });
    return ExitCode.interrupted;
  }
  if (output.json) printJson(terminal, result.report);
  else printResult(terminal, cleanupReportLines(result.report, size));
  const { failed, unreachable } = result.report;
  printNext(failed.length + unreachable.length > 0 ? "cleanup" : "status", context);
  return cleanupExitCode(result.report);
};

function isReplicated({ items }: CleanupPlan): boolean {
  return items.some(({ kind }) => ["subscription", "apply-record", "slot"].includes(kind));
}

/**
 * {@linkcode lossLines}; that it could not be read is one of them, and does not prevent cleanup.
 */
async function readLosses(
  servers: ReplicationOptions,
  run: RunContext,
): Promise<readonly string[]> {
  try {
    return lossLines(await executeStatus({ ...servers, sampleMs: 0, now: () => new Date() }, run));
  } catch (error) {
    run.signal.throwIfAborted();
    if (!(error instanceof ReplicatorError)) throw error;
    return [`it is unknown what the target lacks: ${errorMessage(error)}`];
  }
}

/** A running stream lags a source in use slightly: up to this many bytes do not count as a loss. */
const usualLagBytes = megabyte;

/** What the target lacks, and will not receive once replication is removed. */
export function lossLines({ databases }: Pick<StatusReport, "databases">): readonly string[] {
  return databases.filter(({ cutover }) => cutover == null || cutover.phase === "none")
    .flatMap((database) => [
      ...database.streams.filter(({ lagBytes, state }) =>
        lagBytes === null || lagBytes > (state === "streaming" ? usualLagBytes : 0)
      ).map(({ name, lagBytes }) =>
        `${pairName(database)}: ${
          lagBytes === null
            ? `it is unknown how far ${name} is behind`
            : `${name} is ${formatBytes(lagBytes)} behind; these changes will not reach the target`
        }`
      ),
      ...((database.sequences ?? []).length === 0 ? [] : [
        `${pairName(database)}: ${
          plural(database.sequences?.length ?? 0, "sequence")
        } behind on the target: new rows would get numbers that exist; status prints the statements that set them`,
      ]),
    ]);
}

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
