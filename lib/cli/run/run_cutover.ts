import { executeFinish } from "../../commands/cutover/finish.ts";
import { executeCutoverPrepare } from "../../commands/cutover/prepare.ts";
import { executeRehearse } from "../../commands/cutover/rehearse.ts";
import { executeCutoverStatus } from "../../commands/cutover/status.ts";
import { executeSwitch } from "../../commands/cutover/switch.ts";
import { ExitCode } from "../../core/internal.ts";
import { fitLines, makeStyle, type TableOptions } from "../../ui/mod.ts";
import type { CommandContext, CommandRunner } from "../context.ts";
import { type CutoverCommandOptions, resolveCutoverOptions } from "../options/cutover_options.ts";
import {
  cutoverFinishedLines,
  cutoverPreparedLines,
  cutoverStatusLines,
  cutoverSwitchedLines,
  finishPlanLines,
  preparePlanLines,
  rehearsalLines,
  statementLines,
  switchPlanLines,
} from "../print/cutover_lines.ts";
import { nextCommandLine } from "../print/next_command.ts";
import { printJson, printLines, printResult, tableOptions } from "../print/print.ts";
import { askYesNo } from "../terminal/confirm.ts";
import { hookRunner, hookShell } from "./hooks.ts";

/** `cutover`: one runner for each action. */
export const runCutover: CommandRunner = async (reader, context) => {
  for (const name of ["hookBefore", "hookSwitch", "hookAbort", "hookAfter"] as const) {
    if (!reader.given(name) || mayRunHooks()) continue;
    const flag = `--${name.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`)}`;
    reader.problem(
      flag,
      `Deno does not allow running ${hookShell}: add --allow-run=${hookShell}, or in a clone use deno task cutover`,
    );
  }
  const options = await resolveCutoverOptions(reader, context.resolve);
  return await actions[options.action](options, context);
};

function mayRunHooks(): boolean {
  return Deno.permissions.querySync({ name: "run", command: hookShell }).state === "granted";
}

type Action = (options: CutoverCommandOptions, context: CommandContext) => Promise<ExitCode>;

const actions: Readonly<Record<CutoverCommandOptions["action"], Action>> = {
  status: async ({ servers }, context) => {
    const report = await executeCutoverStatus(servers, context.run);
    print(report, {
      context,
      lines: (size) => cutoverStatusLines(report, size),
      next: report.next,
    });
    // a closed side that was written to is no longer a way back
    const isAlarm = report.databases.some(({ tripwire }) => tripwire.length > 0);
    return isAlarm ? ExitCode.unhealthy : ExitCode.success;
  },
  prepare: async (options, context) => {
    const asked = confirmation(options, { context, question: "Prepare?", lines: preparePlanLines });
    const report = await executeCutoverPrepare({
      ...options.servers,
      ...options.prepare,
      confirm: asked.confirm,
    }, context.run);
    if (report === undefined) return asked.declined();
    print(report, {
      context,
      lines: (size) => cutoverPreparedLines(report, size),
      next: ["cutover rehearse"],
    });
    return ExitCode.success;
  },
  rehearse: async (options, context) => {
    const report = await executeRehearse({ ...options.servers, ...options.rehearse }, context.run);
    print(report, { context, lines: (size) => rehearsalLines(report, size) });
    return report.isRefused ? ExitCode.prerequisite : ExitCode.success;
  },
  run: (options, context) => switchDatabases("run", options, context),
  rollback: (options, context) => switchDatabases("rollback", options, context),
  finish: async (options, context) => {
    const asked = confirmation(options, {
      context,
      question: "Remove the way back?",
      lines: finishPlanLines,
    });
    const report = await executeFinish({
      ...options.servers,
      ...options.finish,
      confirm: asked.confirm,
    }, context.run);
    if (report === undefined) return asked.declined();
    print(report, { context, lines: (size) => cutoverFinishedLines(report, size) });
    return ExitCode.success;
  },
};

async function switchDatabases(
  direction: "run" | "rollback",
  options: CutoverCommandOptions,
  context: CommandContext,
): Promise<ExitCode> {
  const { events, signal } = context.run;
  const asked = confirmation(options, {
    context,
    question: direction === "run" ? "Switch over?" : "Switch back?",
    lines: switchPlanLines,
  });
  const report = await executeSwitch(direction, {
    ...options.servers,
    ...options.run,
    hook: hookRunner({ ...options.hooks, direction, events, signal }),
    now: () => new Date(),
    confirm: asked.confirm,
  }, context.run);
  if (report === undefined) return asked.declined();
  print(report, {
    context,
    lines: (size) => cutoverSwitchedLines(report, size),
    next: [direction === "run" ? "cutover status" : "cutover rehearse"],
  });
  return ExitCode.success;
}

/** Shows the plan and asks. With `--dry-run` the plan is the result, and nothing is asked. */
function confirmation<Plan extends { readonly databases: Parameters<typeof statementLines>[0] }>(
  { yes, dryRun }: CutoverCommandOptions,
  { context, question, lines }: {
    readonly context: CommandContext;
    readonly question: string;
    readonly lines: (plan: Plan, options: TableOptions) => readonly string[];
  },
): {
  readonly confirm: (plan: Plan) => Promise<boolean>;
  readonly declined: () => ExitCode;
} {
  const { terminal, output, progress, run } = context;
  return {
    confirm: async (plan) => {
      progress.pause();
      if (dryRun) {
        if (output.json) printJson(terminal, plan);
        else {
          const size = tableOptions(terminal.stdout);
          terminal.stdout.write(
            `${
              [...fitLines(lines(plan, size), size), ...statementLines(plan.databases, size)].join(
                "\n",
              )
            }\n`,
          );
        }
        return false;
      }
      if (!yes || !output.json) {
        printLines(terminal.stderr, [...lines(plan, tableOptions(terminal.stderr)), ""]);
      }
      return yes || await askYesNo(question, { terminal, signal: run.signal });
    },
    declined: () => {
      progress.pause();
      if (dryRun) return ExitCode.success;
      terminal.stderr.write("Nothing was changed.\n");
      if (output.json) printJson(terminal, { declined: true });
      return ExitCode.interrupted;
    },
  };
}

function print<Report>(
  report: Report,
  { context: { terminal, output, progress, args }, lines, next = [] }: {
    readonly context: CommandContext;
    readonly lines: (size: TableOptions) => readonly string[];
    /** The commands that lead on. */
    readonly next?: readonly string[];
  },
): void {
  progress.pause();
  if (output.json) return printJson(terminal, report);
  const size = tableOptions(terminal.stdout);
  printResult(terminal, lines(size));
  if (next.length === 0) return;
  // not wrapped: each is run as it is printed
  const style = makeStyle(size.color);
  const commands = next.map((command, index) =>
    `${index === 0 ? "Next:" : "then:"} ${style.bold(nextCommandLine(command, args))}`
  );
  terminal.stdout.write(`\n${commands.join("\n")}\n`);
}
