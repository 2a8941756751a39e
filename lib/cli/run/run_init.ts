import { FileCheckpointStore } from "../../checkpoint/internal.ts";
import { errorMessage, ExitCode, InterruptedError, toolVersion } from "../../core/internal.ts";
import { executeInit, type InitResult } from "../../commands/init/init.ts";
import { type DatabaseDecisions } from "../../commands/shared/validation_report.ts";
import { type InitPlan } from "../../commands/shared/init_plan.ts";
import { type InitReport, setAsideObjects } from "../../commands/shared/init_report.ts";
import { completeInitOptions } from "../../commands/shared/complete_options.ts";
import type { ApplierKind } from "../../replication/internal.ts";
import { asksNothing, type TableRules } from "../../rules/internal.ts";
import { askName, askYesNo } from "../terminal/confirm.ts";
import type { CommandContext, CommandRunner } from "../context.ts";
import { decisionLines, exceptionLines } from "../print/decisions.ts";
import { printNext, printRealRun, printSameAgain, resumeLines } from "../print/print_next.ts";
import { chooseInteractively, nothingChosen } from "./interactive.ts";
import { resolveInitOptions } from "../options/init_options.ts";
import { printJson, printLines, printResult, tableOptions } from "../print/print.ts";
import { writeReportFile } from "../options/report_file.ts";
import { readRemote } from "../remote/remote_place.ts";
import { reportFinished } from "../print/report_finished.ts";
import { initPlanLines } from "../print/init_plan_lines.ts";
import { initReportLines } from "../print/init_report_lines.ts";

/**
 * `init`: shows the plan, asks, copies, and prints the report on stdout. `--dry-run`: prints the
 * plan and stops.
 */
export const runInit: CommandRunner = async (reader, context) => {
  const { terminal, progress, run } = context;
  const place = readRemote(reader, context.resolve);
  if (place === undefined && reader.given("workers")) {
    reader.problem("--workers", "requires --remote: workers belong to a service");
  }
  const { yes, reportFile, ...wanted } = await resolveInitOptions(reader, context.resolve);
  const options = await chooseInteractively(wanted, context);
  if (options === undefined) throw nothingChosen();
  // loaded before the copy: no module may be missing hours later
  const page = reportFile === undefined
    ? undefined
    : { reportFile, ...(await import("../../ui/html_report.ts")) };
  let begun = false;
  let applier: ApplierKind | undefined;
  let unfinished: InitReport | undefined;
  const confirmed = completeInitOptions({
    ...options,
    // nobody reads the plan before the copy begins
    prediction: yes ? "alongside" : "before",
    checkpoint: (operation) => new FileCheckpointStore(operation),
    confirm: async (plan) => {
      progress.pause();
      applier = plan.applier?.kind;
      if (options.dryRun) return true;
      begun = await confirmPlan(plan, { yes, rules: options.rules, context });
      return begun;
    },
    onUnfinished: async (soFar) => {
      unfinished = soFar;
      if (page !== undefined) await writeReport(soFar, { ...page, context });
    },
  });
  const result =
    await (place === undefined
      ? executeInit(confirmed, run)
      : (await import("../remote/remote_commands.ts")).initRemotely(confirmed, {
        place,
        reader,
        yes,
        context,
      }))
      .catch((error) => {
        progress.pause();
        if (unfinished !== undefined) reportFinished(unfinished, context);
        if (begun && place === undefined && error instanceof InterruptedError) {
          terminal.stderr.write(
            `Progress is saved. To resume:\n${resumeLines(context).join("\n")}\n`,
          );
        }
        throw error;
      });
  if (result.kind === "copied" && page !== undefined) {
    await writeReport(result.report, { ...page, context });
  }
  progress.pause();
  const code = printInitResult(result, { rules: options.rules, context });
  if (result.kind === "planned") printRealRun(context);
  else if (result.kind === "copied") {
    if (code === ExitCode.completeExcept) printSameAgain(context);
    printNext(nextAfterInit({ isReplicated: options.sync !== undefined, applier }), context);
  }
  return code;
};

/**
 * The command that proves that the copy is equal; `sync` where this tool has to apply changes
 * first, and `status` where only a worker knows whether it has to.
 */
export function nextAfterInit(
  { isReplicated, applier }: {
    readonly isReplicated: boolean;
    /** Undefined without a plan. */
    readonly applier: ApplierKind | undefined;
  },
): string {
  if (!isReplicated || applier === "subscription") return "verify";
  return applier === "client" ? "sync" : "status";
}

function printInitResult(
  result: InitResult,
  { rules, context: { terminal, output } }: {
    readonly rules: TableRules;
    readonly context: CommandContext;
  },
): ExitCode {
  const size = tableOptions(terminal.stdout);
  switch (result.kind) {
    case "planned": {
      const { plan } = result;
      if (output.json) printJson(terminal, plan);
      else {
        const decisions = asksNothing(rules) ? [] : decisionLines(databaseDecisions(plan), size);
        printResult(terminal, [...initPlanLines(plan, size), ...decisions]);
      }
      return ExitCode.success;
    }
    case "declined":
      terminal.stderr.write("Nothing was changed.\n");
      if (output.json) printJson(terminal, { declined: true });
      return ExitCode.interrupted;
    case "copied": {
      const { report } = result;
      if (output.json) printJson(terminal, report);
      else printResult(terminal, initReportLines(report, size));
      return setAsideObjects(report).length > 0 ? ExitCode.completeExcept : ExitCode.success;
    }
  }
}

/** Writes the page. The copy is complete by now, so a failure to write is only a warning. */
async function writeReport(
  report: InitReport,
  { reportFile, renderInitReport, context: { run } }:
    & Pick<typeof import("../../ui/html_report.ts"), "renderInitReport">
    & {
      readonly reportFile: string;
      readonly context: CommandContext;
    },
): Promise<void> {
  try {
    const page = renderInitReport(report, { generatedAt: new Date(), toolVersion });
    await writeReportFile(reportFile, page);
    run.events({ kind: "info", message: `report written to ${reportFile}` });
  } catch (error) {
    run.events({
      kind: "warning",
      message: `the report could not be written to ${reportFile}: ${errorMessage(error)}`,
      remedy: report.failure === undefined
        ? "the copy is complete; --json prints its report on stdout as well"
        : "change --report before you run the same command again",
    });
  }
}

/** Shows the plan on stderr and asks, unless `--yes` has answered. */
async function confirmPlan(
  plan: InitPlan,
  { yes, rules, context: { terminal, output, run } }: {
    readonly yes: boolean;
    readonly rules: TableRules;
    readonly context: CommandContext;
  },
): Promise<boolean> {
  const wanted = output.logFormat === "text" && output.logLevel !== "error";
  if (!yes || wanted) {
    const size = tableOptions(terminal.stderr);
    const lines = [
      ...initPlanLines(plan, size),
      ...(asksNothing(rules) ? [] : exceptionLines(databaseDecisions(plan), size)),
    ];
    printLines(terminal.stderr, [...lines, ""]);
  }
  if (yes) return true;
  const asking = { terminal, signal: run.signal };
  const dropped = plan.databases.filter(({ action }) => action === "drop-and-create");
  for (const { target } of dropped) {
    if (!await askName(target, asking)) return false;
  }
  return dropped.length > 0 || await askYesNo("Start?", asking);
}

function databaseDecisions({ databases }: InitPlan): readonly DatabaseDecisions[] {
  return databases.map(({ source, decisions, notes }) => ({
    database: source,
    tables: decisions,
    notes,
  }));
}
