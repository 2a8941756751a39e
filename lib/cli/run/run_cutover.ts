import type { SwitchDirection } from "../../commands/cutover/report.ts";
import { cutoverNextSteps, type NextStep } from "../../commands/cutover/next.ts";
import { executeFinish } from "../../commands/cutover/finish.ts";
import { executeCutoverPrepare } from "../../commands/cutover/prepare.ts";
import { executeRehearse } from "../../commands/cutover/rehearse.ts";
import { executeCutoverStatus } from "../../commands/cutover/status.ts";
import { executeSwitch } from "../../commands/cutover/switch.ts";
import type {
  CutoverFinishPlan,
  CutoverFinishReport,
  CutoverPreparePlan,
  CutoverPrepareReport,
  CutoverRehearsal,
  CutoverStatusReport,
  CutoverSwitchPlan,
  CutoverSwitchReport,
  CutoverUnfinishedReport,
} from "../../commands/cutover/report.ts";
import { type CutoverAction, flagOf, optionNamed } from "../../config/internal.ts";
import { ExitCode, type Side } from "../../core/internal.ts";
import { noRemoteHooks } from "../../remote/spec/mod.ts";
import {
  renderRehearsalReport,
  renderSwitchReport,
  renderUnfinishedSwitch,
} from "../../ui/cutover_report.ts";
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
import { writeEvidence } from "../print/evidence.ts";
import { commandNotes } from "../print/command_notes.ts";
import { fitCommand } from "../print/fit_command.ts";
import { nextCommandLine } from "../print/next_command.ts";
import { printJson, printLines, printResult, tableOptions } from "../print/print.ts";
import { readRemote } from "../remote/remote_place.ts";
import {
  changeCutoverRemotely,
  cutoverRemotely,
  type RemoteCutover,
} from "../remote/remote_commands.ts";
import { askYesNo } from "../terminal/confirm.ts";
import { hookRunner, hookShell } from "./hooks.ts";

/** `cutover`: one runner for each action. */
export const runCutover: CommandRunner = async (reader, context) => {
  const place = readRemote(reader, context.resolve);
  for (const name of ["hookBefore", "hookSwitch", "hookAbort", "hookAfter"] as const) {
    if (!reader.given(name)) continue;
    const flag = flagOf(name, optionNamed(name));
    if (place !== undefined) reader.problem(flag, `${noRemoteHooks} (--local)`);
    else if (!mayRunHooks()) {
      reader.problem(
        flag,
        `Deno does not allow running ${hookShell}: add --allow-run=${hookShell}, or in a clone use deno task cutover`,
      );
    }
  }
  const options = await resolveCutoverOptions(reader, context.resolve);
  const { action, servers, prepare: { targetFromSource } } = options;
  const remote = place === undefined
    ? undefined
    : { place, reader, context, action, servers, targetFromSource };
  return await actions[action](options, { context, remote });
};

function mayRunHooks(): boolean {
  return Deno.permissions.querySync({ name: "run", command: hookShell }).state === "granted";
}

/** Where an action runs: here, or on a service. */
interface ActionPlace {
  readonly context: CommandContext;
  readonly remote: RemoteCutover | undefined;
}

/** What a rehearsal has measured with; the switch is given the same. */
const measuredFlags = (["maxPause", "sequenceMargin"] as const)
  .map((name) => flagOf(name, optionNamed(name)));

type Action = (options: CutoverCommandOptions, place: ActionPlace) => Promise<ExitCode>;

const actions: Readonly<Record<CutoverAction, Action>> = {
  status: async ({ servers }, { context, remote }) => {
    const report = remote === undefined
      ? await executeCutoverStatus(servers, context.run)
      : await cutoverRemotely<CutoverStatusReport>(remote);
    print(report, {
      context,
      lines: (size) => cutoverStatusLines(report, size),
      next: cutoverNextSteps(
        report.databases.map((each) => ({
          ...each,
          unfinished: each.unfinished ?? null,
          // a service of an earlier version does not report it
          isKnown: each.isKnown ?? false,
        })),
      ),
    });
    // a closed side that was written to is no longer a way back
    const isAlarm = report.databases.some(({ tripwire }) => tripwire.length > 0);
    return isAlarm ? ExitCode.unhealthy : ExitCode.success;
  },
  prepare: async (options, { context, remote }) => {
    const asked = confirmation(options, { context, question: "Prepare?", lines: preparePlanLines });
    const { confirm } = asked;
    const report = remote === undefined
      ? await executeCutoverPrepare(
        { ...options.servers, ...options.prepare, confirm },
        context.run,
      )
      : await changeCutoverRemotely<CutoverPrepareReport, CutoverPreparePlan>({
        ...options,
        ...remote,
        confirm,
      });
    if (report === undefined) return asked.declined();
    print(report, {
      context,
      lines: (size) => cutoverPreparedLines(report, size),
      next: cutoverNextSteps(
        report.databases.map(({ wayBack }) => ({
          phase: "prepared",
          unfinished: null,
          wayBack: wayBack !== null,
          isKnown: true,
        })),
      ),
    });
    return ExitCode.success;
  },
  rehearse: async (options, { context, remote }) => {
    const { servers, rehearse, reportFile } = options;
    const report = remote === undefined
      ? await executeRehearse({ ...servers, ...rehearse, now: () => new Date() }, context.run)
      : await cutoverRemotely<CutoverRehearsal>(remote);
    print(report, {
      context,
      lines: (size) => rehearsalLines(report, size),
      next: report.isRefused
        ? []
        : [{ label: "Next:", command: `cutover ${report.direction}`, keeps: measuredFlags }],
    });
    if (reportFile !== undefined) {
      await writeEvidence(report, { reportFile, render: renderRehearsalReport, context });
    }
    return report.isRefused ? ExitCode.prerequisite : ExitCode.success;
  },
  run: (options, place) => switchDatabases("run", options, place),
  rollback: (options, place) => switchDatabases("rollback", options, place),
  finish: async (options, { context, remote }) => {
    const asked = confirmation(options, {
      context,
      question: "Remove the way back?",
      lines: finishPlanLines,
    });
    const { confirm } = asked;
    const report = remote === undefined
      ? await executeFinish({ ...options.servers, ...options.finish, confirm }, context.run)
      : await changeCutoverRemotely<CutoverFinishReport, CutoverFinishPlan>({
        ...options,
        ...remote,
        confirm,
      });
    if (report === undefined) return asked.declined();
    print(report, {
      context,
      lines: (size) => cutoverFinishedLines(report, size),
      // --open-old-side leaves nothing
      next: options.finish.openOldSide ? [] : cutoverNextSteps([{
        phase: "finished",
        unfinished: null,
        wayBack: false,
        isKnown: true,
      }]),
    });
    return ExitCode.success;
  },
};

async function switchDatabases(
  direction: SwitchDirection,
  options: CutoverCommandOptions,
  { context, remote }: ActionPlace,
): Promise<ExitCode> {
  const { events, signal } = context.run;
  const asked = confirmation(options, {
    context,
    question: direction === "run" ? "Switch over?" : "Switch back?",
    // the side that is closed first
    sides: direction === "run" ? ["source", "target"] : ["target", "source"],
    lines: (plan: CutoverSwitchPlan, size) =>
      switchPlanLines(plan, {
        ...size,
        hookBeforeMs: options.hooks.commands.before === undefined
          ? undefined
          : options.hooks.timeoutMs,
      }),
  });
  // unknown with --remote --yes, which makes no plan
  let wayBack: boolean | undefined;
  const confirm = (plan: CutoverSwitchPlan) => {
    wayBack = plan.databases.every((each) => each.wayBack);
    return asked.confirm(plan);
  };
  const { reportFile } = options;
  const onUnfinished = async (soFar: CutoverUnfinishedReport) => {
    if (reportFile === undefined) return;
    context.progress.pause();
    await writeEvidence(soFar, { reportFile, render: renderUnfinishedSwitch, context });
  };
  const report = remote === undefined
    ? await executeSwitch(direction, {
      ...options.servers,
      ...options.run,
      hook: hookRunner({ ...options.hooks, direction, events, signal }),
      isContinued: false,
      beginning: undefined,
      onBegin: () => Promise.resolve(),
      now: () => new Date(),
      confirm,
      onUnfinished,
    }, context.run)
    : await changeCutoverRemotely<CutoverSwitchReport, CutoverSwitchPlan>({
      ...options,
      ...remote,
      confirm,
      onUnfinished: (soFar) => onUnfinished(soFar as CutoverUnfinishedReport),
    });
  if (report === undefined) return asked.declined();
  print(report, {
    context,
    lines: (size) => cutoverSwitchedLines(report, size),
    next: wayBack === undefined
      ? [{ label: "Next:", command: "cutover status" }]
      : cutoverNextSteps([{
        phase: direction === "run" ? "switched" : "prepared",
        unfinished: null,
        wayBack,
        isKnown: true,
      }]),
  });
  if (reportFile !== undefined) {
    await writeEvidence(report, { reportFile, render: renderSwitchReport, context });
  }
  return ExitCode.success;
}

/** Shows the plan and asks. With `--dry-run` the plan is the result, and nothing is asked. */
function confirmation<Plan extends { readonly databases: Parameters<typeof statementLines>[0] }>(
  { yes, dryRun }: CutoverCommandOptions,
  { context, question, sides = ["source", "target"], lines }: {
    readonly context: CommandContext;
    readonly question: string;
    /** In which order the statements are shown. */
    readonly sides?: readonly Side[];
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
              [
                ...fitLines(lines(plan, size), size),
                ...statementLines(plan.databases, { ...size, sides }),
              ].join(
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
    readonly next?: readonly NextStep[];
  },
): void {
  progress.pause();
  if (output.json) return printJson(terminal, report);
  const size = tableOptions(terminal.stdout);
  printResult(terminal, lines(size));
  if (next.length === 0) return;
  // each is run as it is printed
  const style = makeStyle(size.color);
  const steps = next.map(({ label, command, keeps }) => ({
    label,
    line: nextCommandLine(command, args, { keeps }),
  }));
  const commands = steps.flatMap(({ label, line }) => {
    const [first = "", ...rest] = fitCommand(line, {
      ...size,
      label: `${label} `,
    });
    const shown = first.slice(label.length + 1);
    return [`${label} ${style.bold(shown)}`, ...rest.map((line) => style.bold(line))];
  });
  const notes = commandNotes(steps.map(({ line }) => line), args).map((note) => `  ${note}`);
  terminal.stdout.write(`\n${[...commands, ...fitLines(notes, size)].join("\n")}\n`);
}
