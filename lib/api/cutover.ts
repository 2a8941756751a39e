import { executeFinish } from "../commands/cutover/finish.ts";
import { executeCutoverPrepare } from "../commands/cutover/prepare.ts";
import { executeRehearse } from "../commands/cutover/rehearse.ts";
import type {
  CutoverFinishReport,
  CutoverPrepareReport,
  CutoverRehearsal,
  CutoverStatusReport,
  CutoverSwitchReport,
} from "../commands/cutover/report.ts";
import { executeCutoverStatus } from "../commands/cutover/status.ts";
import { executeSwitch } from "../commands/cutover/switch.ts";
import { optionDefaults } from "../config/internal.ts";
import { type Problem, systemClock } from "../core/internal.ts";
import { checkInput, checkRun } from "./check_input.ts";
import type {
  CutoverFinishInput,
  CutoverInputs,
  CutoverPrepareInput,
  CutoverRehearseInput,
  CutoverSwitchInput,
} from "./cutover_inputs.ts";
import type { RunInput, ServersInput } from "./inputs.ts";
import { withPropertyNames } from "./property_names.ts";
import {
  answer,
  complete,
  resolveEndpointFrom,
  resolveRun,
  resolveServers,
  type ServersReading,
} from "./resolve_options.ts";

/**
 * Prepares databases for a cutover, days ahead and without an outage: the fence, tokens, and the
 * way back. The target refuses writes from then on. Can be repeated; {@linkcode cleanup} undoes it.
 *
 * Requires `--allow-net` for both servers. On the servers: ownership of the tables, CREATE on the
 * databases; on the source the right to create subscriptions.
 *
 * @param input two URLs; everything else has a default
 * @returns undefined when `confirm` declined
 * @throws UsageError with every problem of the input
 * @throws ReplicatorError with every reason against it, of all databases at once
 *
 * @example Prepare, and see what a switch would take
 * ```ts
 * import { cutoverPrepare, cutoverRehearse } from "@seren/postgres-replicator";
 *
 * const servers = {
 *   source: Deno.env.get("SOURCE_URL")!,
 *   target: Deno.env.get("TARGET_URL")!,
 *   databases: { include: ["app"] },
 * };
 * await cutoverPrepare(servers);
 * const { predictedPauseMs } = await cutoverRehearse({ ...servers, tokens: 10 });
 * console.log(`writers would wait about ${Math.round(predictedPauseMs)} ms`);
 * ```
 */
export async function cutoverPrepare(
  input: CutoverPrepareInput,
  run?: RunInput,
): Promise<CutoverPrepareReport | undefined> {
  return await withPropertyNames(async () => {
    const { sound, problems, servers } = await checkCall("cutoverPrepare", input, run);
    const { passfile } = sound;
    if (passfile !== undefined && !/^(\/|[A-Za-z]:[\\/])/.test(passfile)) {
      problems.push({
        path: "passfile",
        message: `"${passfile}" must be a full path: the file is on the source's server`,
      });
    }
    const targetFromSource = await resolveEndpointFrom(sound.targetFromSource, {
      side: "target",
      path: "targetFromSource",
      environment: sound.environment,
      problems,
    });
    return await executeCutoverPrepare({
      ...complete(servers, problems),
      wayBack: sound.wayBack ?? optionDefaults.wayBack,
      fence: sound.fence ?? optionDefaults.fence,
      targetFromSource,
      passfile,
      now: systemClock().toISOString(),
      confirm: answer(sound.confirm),
    }, resolveRun(run));
  });
}

/**
 * Measures everything of a switch that can be measured without stopping anyone, and predicts the
 * pause. With `brownoutMs`, writers are made to wait, for at most that long.
 *
 * Requires `--allow-net` for both servers.
 *
 * @param input two URLs; everything else has a default
 * @throws UsageError with every problem of the input
 * @throws ReplicatorError if no database is prepared, or with every reason against the switch
 *
 * @example Hold writers for half a second at most
 * ```ts
 * import { cutoverRehearse } from "@seren/postgres-replicator";
 *
 * const { databases, isRefused } = await cutoverRehearse({
 *   source: Deno.env.get("SOURCE_URL")!,
 *   target: Deno.env.get("TARGET_URL")!,
 *   brownoutMs: 500,
 * });
 * for (const { source, blockers } of databases) console.log(source, blockers);
 * if (isRefused) throw new Error("the pause would be too long");
 * ```
 */
export async function cutoverRehearse(
  input: CutoverRehearseInput,
  run?: RunInput,
): Promise<CutoverRehearsal> {
  return await withPropertyNames(async () => {
    const { sound, problems, servers } = await checkCall("cutoverRehearse", input, run);
    return await executeRehearse({
      ...complete(servers, problems),
      maxPauseMs: sound.maxPauseMs ?? optionDefaults.maxPauseMs,
      tokens: sound.tokens ?? optionDefaults.rehearseTokens,
      brownoutMs: sound.brownoutMs,
      sequenceMargin: sound.sequenceMargin ?? optionDefaults.sequenceMargin,
      now: systemClock,
    }, resolveRun(run));
  });
}

/**
 * Switches over: closes the source and opens the target, all databases together, in one pause in
 * which writers wait; then the source refuses them. Until the last commit, aborting changes
 * nothing; if the process dies after it, the same call continues, from any machine.
 *
 * Requires `--allow-net` for both servers.
 *
 * @param input two URLs; everything else has a default
 * @returns undefined when `confirm` declined
 * @throws UsageError with every problem of the input
 * @throws ReplicatorError with every reason not to begin, or if the pause would have been too long
 *
 * @example Switch over within five seconds, or not at all
 * ```ts
 * import { cutoverRun } from "@seren/postgres-replicator";
 *
 * const report = await cutoverRun({
 *   source: Deno.env.get("SOURCE_URL")!,
 *   target: Deno.env.get("TARGET_URL")!,
 *   maxPauseMs: 5_000,
 *   hook: (hook) => hook === "switch" ? pointClientsToTarget() : undefined,
 * });
 * console.log(`writers waited ${report?.pauseMs} ms`);
 *
 * async function pointClientsToTarget(): Promise<void> {
 *   await fetch("http://pooler.example.com/switch", { method: "POST" });
 * }
 * ```
 */
export async function cutoverRun(
  input: CutoverSwitchInput,
  run?: RunInput,
): Promise<CutoverSwitchReport | undefined> {
  return await switchDatabases("run", "cutoverRun", { input, run });
}

/**
 * Switches back: closes the target and opens the source, which has everything that was written to
 * the target. The same machine as {@linkcode cutoverRun}, with the sides exchanged; afterwards
 * {@linkcode cutoverRun} can be called again.
 *
 * Requires `--allow-net` for both servers.
 *
 * @param input two URLs; everything else has a default
 * @returns undefined when `confirm` declined
 * @throws UsageError with every problem of the input
 * @throws ReplicatorError with every reason not to begin, or if the pause would have been too long
 *
 * @example Return to the source
 * ```ts
 * import { cutoverRollback } from "@seren/postgres-replicator";
 *
 * await cutoverRollback({
 *   source: Deno.env.get("SOURCE_URL")!,
 *   target: Deno.env.get("TARGET_URL")!,
 * });
 * ```
 */
export async function cutoverRollback(
  input: CutoverSwitchInput,
  run?: RunInput,
): Promise<CutoverSwitchReport | undefined> {
  return await switchDatabases("rollback", "cutoverRollback", { input, run });
}

/**
 * Removes the way back once the target has proven itself. The source stays closed unless
 * `openOldSide` is set. An interrupted call is completed by another.
 *
 * Requires `--allow-net` for both servers.
 *
 * @param input two URLs; everything else has a default
 * @returns undefined when `confirm` declined
 * @throws UsageError with every problem of the input
 * @throws ReplicatorError unless all databases are switched
 *
 * @example Finish, and list what was removed
 * ```ts
 * import { cutoverFinish } from "@seren/postgres-replicator";
 *
 * const report = await cutoverFinish({
 *   source: Deno.env.get("SOURCE_URL")!,
 *   target: Deno.env.get("TARGET_URL")!,
 * });
 * for (const { source, removed } of report?.databases ?? []) console.log(source, removed);
 * ```
 */
export async function cutoverFinish(
  input: CutoverFinishInput,
  run?: RunInput,
): Promise<CutoverFinishReport | undefined> {
  return await withPropertyNames(async () => {
    const { sound, problems, servers } = await checkCall("cutoverFinish", input, run);
    return await executeFinish({
      ...complete(servers, problems),
      openOldSide: sound.openOldSide ?? false,
      confirm: answer(sound.confirm),
    }, resolveRun(run));
  });
}

/**
 * Reports the phase of every database, writes that reached a closed side, what prevents the next
 * step, and the next command. Changes nothing; slots of a closed side advance past what it has
 * checked.
 *
 * Requires `--allow-net` for both servers.
 *
 * @param input two URLs; everything else has a default
 * @throws UsageError with every problem of the input
 *
 * @example Alarm if a closed side was written to
 * ```ts
 * import { cutoverStatus } from "@seren/postgres-replicator";
 *
 * const { databases } = await cutoverStatus({
 *   source: Deno.env.get("SOURCE_URL")!,
 *   target: Deno.env.get("TARGET_URL")!,
 * });
 * for (const { source, phase, tripwire } of databases) {
 *   console.log(source, phase);
 *   if (tripwire.length > 0) throw new Error(`${source} was written to after the cutover`);
 * }
 * ```
 */
export async function cutoverStatus(
  input: ServersInput,
  run?: RunInput,
): Promise<CutoverStatusReport> {
  return await withPropertyNames(async () => {
    const { problems, servers } = await checkCall("cutoverStatus", input, run);
    return await executeCutoverStatus(complete(servers, problems), resolveRun(run));
  });
}

async function switchDatabases(
  direction: "run" | "rollback",
  verb: "cutoverRun" | "cutoverRollback",
  { input, run }: { readonly input: CutoverSwitchInput; readonly run: RunInput | undefined },
): Promise<CutoverSwitchReport | undefined> {
  return await withPropertyNames(async () => {
    const { sound, problems, servers } = await checkCall(verb, input, run);
    return await executeSwitch(direction, {
      ...complete(servers, problems),
      maxPauseMs: sound.maxPauseMs ?? optionDefaults.maxPauseMs,
      onBlocker: sound.onBlocker ?? optionDefaults.onBlocker,
      barrierAttempts: sound.barrierAttempts ?? optionDefaults.barrierAttempts,
      sequenceMargin: sound.sequenceMargin ?? optionDefaults.sequenceMargin,
      endSessions: sound.endSessions ?? true,
      slotTimeoutMs: sound.slotTimeoutMs ?? optionDefaults.slotTimeoutMs,
      finalCheck: sound.finalCheck ?? optionDefaults.finalCheck,
      hook: sound.hook ?? (() => undefined),
      isContinued: false,
      beginning: undefined,
      onBegin: () => Promise.resolve(),
      now: sound.now ?? systemClock,
      confirm: answer(sound.confirm),
      onUnfinished: sound.onUnfinished ?? (() => Promise.resolve()),
    }, resolveRun(run));
  });
}

/** Checks both parameters of a verb, and parses the URLs of what is right. */
async function checkCall<Verb extends keyof CutoverInputs>(
  verb: Verb,
  input: CutoverInputs[Verb],
  run: RunInput | undefined,
): Promise<{
  readonly sound: Partial<CutoverInputs[Verb]>;
  readonly problems: Problem[];
  readonly servers: ServersReading;
}> {
  const checked = checkInput(verb, input);
  const problems = [...checked.problems, ...checkRun(run ?? {})];
  const sound = checked.sound as Partial<CutoverInputs[Verb]>;
  return { sound, problems, servers: await resolveServers(sound as ServersInput, problems) };
}
