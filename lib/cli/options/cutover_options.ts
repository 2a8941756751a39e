import type {
  CutoverFinishOptions,
  CutoverPrepareOptions,
  CutoverRehearseOptions,
  CutoverSwitchOptions,
} from "../../commands/cutover/options.ts";
import {
  brownoutProblem,
  type CutoverAction,
  cutoverActions,
  cutoverOptionActions,
  flagOf,
  type OptionName,
  optionNamed,
  planningActions,
} from "../../config/internal.ts";
import { type CutoverHook, cutoverHooks } from "../../cutover/internal.ts";
import { UsageError } from "../../core/internal.ts";
import { type Endpoint, resolveEndpoint } from "../../postgres/internal.ts";
import type { ResolveContext } from "./copy_options.ts";
import { type Environment, resolveEnvironmentOf } from "./environment.ts";
import { notOneOf, type OptionReader } from "./option_reader.ts";
import { readEvidenceFile } from "./report_file.ts";
import { readServerOptions, type ReplicationOptions } from "./replication_options.ts";

/** Commands of hooks, and how long each may run. */
export interface HookCommands {
  readonly commands: Readonly<Partial<Record<CutoverHook, string>>>;
  readonly timeoutMs: number;
  /** Variables of the configuration file, which may hold passwords: hooks do not get them. */
  readonly hiddenVariables: readonly string[];
}

/** `cutover` in full; each action uses its part. */
export interface CutoverCommandOptions {
  readonly action: CutoverAction;
  readonly servers: ReplicationOptions;
  readonly yes: boolean;
  readonly dryRun: boolean;
  readonly prepare: Pick<
    CutoverPrepareOptions,
    "wayBack" | "fence" | "targetFromSource" | "passfile" | "now"
  >;
  readonly rehearse: Omit<CutoverRehearseOptions, keyof ReplicationOptions | "now">;
  readonly run: Omit<
    CutoverSwitchOptions,
    | keyof ReplicationOptions
    | "hook"
    | "isContinued"
    | "beginning"
    | "onBegin"
    | "now"
    | "confirm"
    | "onUnfinished"
  >;
  readonly finish: Pick<CutoverFinishOptions, "openOldSide">;
  readonly hooks: HookCommands;
  /** Where the evidence goes; the extension selects the format. */
  readonly reportFile: string | undefined;
}

/** @throws UsageError with every problem */
export async function resolveCutoverOptions(
  reader: OptionReader,
  context: ResolveContext,
): Promise<CutoverCommandOptions> {
  const action = readAction(reader);
  if (action !== undefined) refuseOthers(reader, action);
  const { source, target, databases } = await readServerOptions(reader, context);
  const [yes, dryRun] = [reader.flag("yes"), reader.flag("dryRun")];
  if (
    action !== undefined && planningActions.includes(action) && !yes && !dryRun && !context.canAsk
  ) {
    reader.problem(
      "--yes",
      "is required: there is no terminal to ask for confirmation (--dry-run shows the plan)",
    );
  }
  const passfile = reader.text("wayBackPassfile");
  if (passfile !== undefined && !/^(\/|[A-Za-z]:[\\/])/.test(passfile)) {
    reader.problem(
      "--way-back-passfile",
      `"${passfile}" must be an absolute path: the file is on the source's server`,
    );
  }
  const maxPauseMs = reader.duration("maxPause");
  const sequenceMargin = reader.integer("sequenceMargin");
  const brownoutMs = reader.duration("brownout");
  const tooLong = brownoutProblem(brownoutMs, maxPauseMs);
  if (action === "rehearse" && tooLong !== undefined) reader.problem("--brownout", tooLong);
  const read = {
    prepare: {
      wayBack: reader.choice("wayBack"),
      fence: reader.choice("fence"),
      targetFromSource: await readTargetFromSource(reader, context.environment),
      passfile,
      now: context.now.toISOString(),
    },
    rehearse: {
      maxPauseMs,
      sequenceMargin,
      tokens: reader.integer("rehearseTokens"),
      brownoutMs,
    },
    run: {
      maxPauseMs,
      sequenceMargin,
      onBlocker: reader.choice("onBlocker"),
      barrierAttempts: reader.integer("barrierAttempts"),
      endSessions: !reader.flag("keepSessions"),
      slotTimeoutMs: reader.duration("slotTimeout"),
      finalCheck: reader.choice("finalCheck"),
    },
    finish: { openOldSide: reader.flag("openOldSide") },
    hooks: readHooks(reader),
    reportFile: await readEvidenceFile(reader),
  };
  reader.done();
  if (action === undefined || source === undefined || target === undefined) {
    throw new Error("reader.done() was not called");
  }
  return { action, servers: { source, target, databases }, yes, dryRun, ...read };
}

/** Without a word: `status`. */
function readAction(reader: OptionReader): CutoverAction | undefined {
  const [word = "status"] = reader.words;
  const action = cutoverActions.find((each) => each === word);
  if (action === undefined) reader.problem("cutover", notOneOf(word, cutoverActions));
  return action;
}

function refuseOthers(reader: OptionReader, action: CutoverAction): void {
  for (const [name, actions] of Object.entries(cutoverOptionActions)) {
    if (actions.includes(action) || !reader.typed(name as OptionName)) continue;
    reader.problem(
      flagOf(name, optionNamed(name as OptionName)),
      `belongs to cutover ${actions.join(", ")}; not to cutover ${action}`,
    );
  }
}

function readHooks(reader: OptionReader): HookCommands {
  const names = {
    before: "hookBefore",
    switch: "hookSwitch",
    abort: "hookAbort",
    after: "hookAfter",
  } as const;
  const commands: Partial<Record<CutoverHook, string>> = {};
  for (const hook of cutoverHooks) {
    const command = reader.text(names[hook]);
    if (command === undefined) continue;
    if (command.trim() === "") reader.problem(`--hook-${hook}`, "is empty; give a command");
    commands[hook] = command;
  }
  return {
    commands,
    timeoutMs: reader.duration("hookTimeout"),
    hiddenVariables: reader.fileVariables,
  };
}

async function readTargetFromSource(
  reader: OptionReader,
  environment: Environment,
): Promise<Endpoint | undefined> {
  const url = reader.text("targetFromSource");
  if (url === undefined) return undefined;
  try {
    // the source's server connects, so this machine's PGHOST, PGSSLROOTCERT … do not apply
    const { PGPASSWORD, PGPASSFILE, PGUSER, HOME, USER } = environment;
    return await resolveEndpoint(url, {
      side: "target",
      path: "--target-from-source",
      resolveEnvironment: resolveEnvironmentOf(
        { PGPASSWORD, PGPASSFILE, PGUSER, HOME, USER },
        reader.warn,
      ),
    });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    reader.problems.push(...error.problems);
    return undefined;
  }
}
