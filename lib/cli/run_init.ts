import { ExitCode } from "../core/mod.ts";
import { init } from "../commands/init.ts";
import type { InitPlan } from "../commands/report.ts";
import { askYesNo } from "./confirm.ts";
import type { CommandContext, CommandRunner } from "./context.ts";
import { resolveInitOptions } from "./options.ts";
import { printJson, printResult, tableOptions } from "./print.ts";
import { planLines, reportLines } from "./results.ts";

/** `init`: shows the plan, asks, copies, and prints the report on stdout. `--dry-run`: prints the plan and stops. */
export const runInit: CommandRunner = async (reader, context) => {
  const { terminal, output, progress, run } = context;
  const { yes, ...options } = await resolveInitOptions(reader, context.resolve);
  let dryRunPlan: InitPlan | undefined;
  const report = await init({
    ...options,
    confirm: async (plan) => {
      progress.pause();
      if (options.dryRun) {
        dryRunPlan = plan;
        return false;
      }
      return await confirmPlan(plan, { yes, context });
    },
  }, run);
  progress.pause();
  if (dryRunPlan !== undefined) {
    if (output.json) printJson(terminal, dryRunPlan);
    else printResult(terminal, planLines(dryRunPlan, tableOptions(terminal.stdout)));
    return ExitCode.success;
  }
  if (report === undefined) {
    terminal.stderr.write("Nothing was changed.\n");
    if (output.json) printJson(terminal, { declined: true });
    return ExitCode.interrupted;
  }
  if (output.json) printJson(terminal, report);
  else printResult(terminal, reportLines(report, tableOptions(terminal.stdout)));
  return ExitCode.success;
};

/** Shows the plan on stderr and asks, unless `--yes` has answered. */
async function confirmPlan(
  plan: InitPlan,
  { yes, context: { terminal, output, run } }: {
    readonly yes: boolean;
    readonly context: CommandContext;
  },
): Promise<boolean> {
  const wanted = output.logFormat === "text" && output.logLevel !== "error";
  if (!yes || wanted) {
    const lines = planLines(plan, tableOptions(terminal.stderr));
    terminal.stderr.write(`${lines.join("\n")}\n\n`);
  }
  return yes || await askYesNo("Start?", { terminal, signal: run.signal });
}
