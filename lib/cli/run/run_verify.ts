import { ExitCode } from "../../core/internal.ts";
import { completeVerifyOptions } from "../../commands/shared/complete_options.ts";
import type { VerifyOptions } from "../../commands/shared/run.ts";
import type { VerifyReport } from "../../commands/shared/verify_report.ts";
import { executeVerify } from "../../commands/verify/verify.ts";
import type { Verdict } from "../../verify/internal.ts";
import { describeEndpoint, type Endpoint } from "../../postgres/internal.ts";
import { askYesNo } from "../terminal/confirm.ts";
import type { CommandContext, CommandRunner } from "../context.ts";
import { resolveVerifyOptions } from "../options/verify_options.ts";
import { printNext } from "../print/print_next.ts";
import { printJson, printResult, tableOptions } from "../print/print.ts";
import { writeEvidence } from "../print/evidence.ts";
import { readRemote } from "../remote/remote_place.ts";
import { openJournal } from "../print/verify_journal.ts";
import { hasDifferentRows, verifyLines } from "../print/verify_lines.ts";

const exitCodes: Readonly<Record<Verdict, ExitCode>> = {
  equal: ExitCode.success,
  different: ExitCode.mismatch,
  unchecked: ExitCode.notVerified,
};

/** `verify`: prints the report; the exit code says whether both sides are equal. */
export const runVerify: CommandRunner = async (reader, context) => {
  const { terminal, output, progress, run } = context;
  const place = readRemote(reader, context.resolve);
  const { repair, dryRun, yes, reportFile, resume, ...options } = await resolveVerifyOptions(
    reader,
    context.resolve,
  );
  if (repair && !dryRun && !yes && !await confirmRepair(options.target, context)) {
    terminal.stderr.write("Nothing was changed.\n");
    if (output.json) printJson(terminal, { declined: true });
    return ExitCode.interrupted;
  }
  const page = reportFile === undefined
    ? undefined
    : { reportFile, render: (await import("../../ui/verify_report.ts")).renderVerifyReport };
  const wanted = completeVerifyOptions({
    ...options,
    repair: repair ? dryRun ? "print" : "follow" : "no",
    now: () => new Date(),
  });
  const report = place === undefined
    ? await verifyHere(wanted, { resume, run })
    : await (await import("../remote/remote_commands.ts")).verifyRemotely(wanted, {
      place,
      reader,
      context,
    });
  progress.pause();
  if (output.json) printJson(terminal, report);
  else printResult(terminal, verifyLines(report, tableOptions(terminal.stdout)));
  if (page !== undefined) await writeEvidence(report, { ...page, context });
  const next = nextAfterVerify(report);
  if (next !== undefined) printNext(next.command, context, next);
  return exitCodes[report.verdict];
};

/**
 * The command that follows, and when: rows can be repaired by this tool, the structure only by the
 * user. Pure.
 */
export function nextAfterVerify(
  report: Pick<VerifyReport, "verdict" | "databases" | "repair">,
): { readonly command: string; readonly label?: string } | undefined {
  switch (report.verdict) {
    case "equal":
      return report.databases.some(({ live }) => live) ? { command: "cutover prepare" } : undefined;
    case "unchecked":
      return undefined;
    case "different":
      if (!hasDifferentRows(report)) {
        return { command: "verify", label: "Next, once the causes are removed: " };
      }
      if (report.repair === undefined) return { command: "verify --repair --dry-run" };
      return { command: report.repair.applied ? "verify" : "verify --repair" };
  }
}

/** Compares, and records what is equal in a journal until the report is complete. */
async function verifyHere(
  options: VerifyOptions,
  { resume, run }: { readonly resume: boolean; readonly run: CommandContext["run"] },
): Promise<VerifyReport> {
  if (options.repair !== "no") return await executeVerify(options, run);
  const { journal, end, leave } = await openJournal(options, { resume, events: run.events });
  try {
    const report = await executeVerify({ ...options, journal }, run);
    await end();
    return report;
  } catch (error) {
    await leave();
    throw error;
  }
}

async function confirmRepair(
  target: Endpoint,
  { terminal, progress, run }: CommandContext,
): Promise<boolean> {
  progress.pause();
  return await askYesNo(
    `Write to ${describeEndpoint(target)} to make it equal to the source?`,
    { terminal, signal: run.signal },
  );
}
