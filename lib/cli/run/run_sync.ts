import { ExitCode } from "../../core/internal.ts";
import type { SyncPlan } from "../../commands/shared/sync_report.ts";
import { executeSync } from "../../commands/sync/sync.ts";
import { completeSyncOptions } from "../../commands/shared/complete_options.ts";
import { askYesNo } from "../terminal/confirm.ts";
import type { CommandContext, CommandRunner } from "../context.ts";
import { chooseInteractively, nothingChosen } from "./interactive.ts";
import { printNext } from "../print/print_next.ts";
import { printJson, printLines, printResult, tableOptions } from "../print/print.ts";
import { syncLines, syncPlanLines } from "../print/sync_lines.ts";
import { readRemote } from "../remote/remote_place.ts";
import { resolveSyncOptions } from "../options/sync_options.ts";

/** `sync`: starts or resumes replication; prints the report once everything streams. */
export const runSync: CommandRunner = async (reader, context) => {
  const { terminal, output, progress, run, resolve } = context;
  const place = readRemote(reader, resolve);
  const { yes, ...wanted } = await resolveSyncOptions(reader, resolve);
  const options = await chooseInteractively(wanted, context);
  if (options === undefined) throw nothingChosen();
  const confirmed = completeSyncOptions({
    ...options,
    confirm: async (plan) => {
      progress.pause();
      return await confirmPlan(plan, { yes, context });
    },
  });
  const report = place === undefined
    ? await executeSync(confirmed, run)
    : await (await import("../remote/remote_commands.ts")).syncRemotely(confirmed, {
      place,
      reader,
      yes,
      context,
    });
  progress.pause();
  if (report === undefined) {
    terminal.stderr.write("Nothing was changed.\n");
    if (output.json) printJson(terminal, { declined: true });
    return ExitCode.interrupted;
  }
  if (output.json) printJson(terminal, report);
  else printResult(terminal, syncLines(report, tableOptions(terminal.stdout)));
  const isStreaming = report.databases.every(({ streams }) =>
    streams.every(({ applied }) => applied === undefined)
  );
  printNext(isStreaming ? "verify" : "sync", context);
  return ExitCode.success;
};

async function confirmPlan(
  plan: SyncPlan,
  { yes, context: { terminal, run } }: { readonly yes: boolean; readonly context: CommandContext },
): Promise<boolean> {
  printLines(terminal.stderr, [...syncPlanLines(plan, tableOptions(terminal.stderr)), ""]);
  return yes || await askYesNo("Start?", { terminal, signal: run.signal });
}
