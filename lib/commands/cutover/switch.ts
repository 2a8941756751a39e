/**
 * `cutover run` and `cutover rollback`: close the side in use and open the other.
 *
 * @module
 */
import {
  addUp,
  describeError,
  errorMessage,
  formatDuration,
  pause,
  plural,
  redact,
  ReplicatorError,
} from "../../core/internal.ts";
import {
  type DatabaseRoute,
  describeSwitch,
  lockWaitMs,
  nameOnSource,
  type PreflightFinding,
  readDurablePauseMs,
  restoreIfTurning,
  SessionFence,
  type SwitchFailure,
  type SwitchOutcome,
  switchOver,
} from "../../cutover/internal.ts";
import { examineLocks } from "./examine_locks.ts";
import { examineRoute } from "./examine_route.ts";
import { checkerFor, type RouteCheck, uncheckedBy } from "./final_check.ts";
import { prepareEndpoints } from "../shared/prepare_endpoints.ts";
import { explained, explainInterruption } from "./interrupted.ts";
import type { RunContext } from "../shared/run.ts";
import type { CutoverSwitchOptions } from "./options.ts";
import { type CutoverDatabase, describeServers, readCutover, routeOf } from "./read_cutover.ts";
import { describeFinding, refuseProblems } from "./refuse.ts";
import { refuseState } from "./refuse_switch.ts";
import type {
  CutoverSwitchPlan,
  CutoverSwitchReport,
  CutoverUnfinishedReport,
  FinalComparison,
  SwitchDirection,
} from "./report.ts";
import { withStillClosed } from "./still_closed.ts";
import { closedPhases, isBeyond, isDone, isUnsettled, switchPhases } from "./switch_phases.ts";

/** How often the command continues by itself after the point of no return. */
const completionAttempts = 5;

/**
 * Switches all selected databases in one direction. A run that died is continued by the same call,
 * from any machine; after its point of no return, both directions lead out: forward or back.
 *
 * Requires `--allow-net` for both servers.
 *
 * @returns undefined if `confirm` declined
 * @throws ReplicatorError (prerequisite) with every reason not to begin; (step failed) if the pause
 * would have been too long, in which case writers have continued
 */
export async function executeSwitch(
  direction: SwitchDirection,
  given: CutoverSwitchOptions,
  run: RunContext,
): Promise<CutoverSwitchReport | undefined> {
  return await explainInterruption(
    direction,
    { servers: given, run },
    () => planAndSwitch(direction, given, run),
  );
}

async function planAndSwitch(
  direction: SwitchDirection,
  given: CutoverSwitchOptions,
  run: RunContext,
): Promise<CutoverSwitchReport | undefined> {
  const options = prepareEndpoints(given, run.events);
  const start = performance.now();
  const startedAt = options.now().toISOString();
  const databases = await readCutover(options, options.isContinued ? unstoppable(run) : run);
  const involved = databases.filter(({ phase }) => phase !== "none");
  if (options.isContinued) {
    if (areDone(involved, direction)) {
      return await doneEarlier(direction, { involved, options, start, startedAt });
    }
    if (!involved.some((each) => isBeyond(each, direction))) run.signal.throwIfAborted();
  }
  refuseState(direction, { databases, involved, options });
  const closedBefore = closedNames(involved);
  const refuse = (findings: readonly PreflightFinding[]) => {
    try {
      refuseProblems(findings);
    } catch (error) {
      throw withStillClosed(error, { direction, closed: closedBefore });
    }
  };
  // before anything else: what another command is doing would look like a problem
  refuse(
    await examineLocks(involved, {
      waitMs: lockWaitMs,
      signal: options.isContinued ? unstoppable(run).signal : run.signal,
    }),
  );
  const warnings: PreflightFinding[] = [];
  const open = involved.filter(({ phase }) => phase === switchPhases[direction].from)
    .map((database) => routeOf(database, direction));
  for (const route of open) warnings.push(...await examine(route, { options, run }));
  refuse(warnings);
  const compared = new Map<string, FinalComparison>();
  const finalCheck = await checkerFor(options, { routes: open, signal: run.signal, compared });
  const plan: CutoverSwitchPlan = {
    direction,
    databases: involved.map((database) => ({
      source: database.source.database,
      target: database.target.database,
      phase: database.phase,
      tables: database.records.source?.details.tables.length ?? 0,
      wayBack: database.records.source?.details.back != null,
      statements: describeSwitch(routeOf(database, direction)),
    })),
    maxPauseMs: options.maxPauseMs,
    warnings,
    unchecked: uncheckedBy(options.finalCheck),
  };
  const servers = await describeServers(
    involved[0]!,
    options.isContinued ? new AbortController().signal : run.signal,
  );
  const notBegun = (error: unknown): SwitchOutcome => ({
    kind: "failed",
    failure: notBegunFailure(error, involved),
  });
  const rechecked = new Set<string>();
  const recheck = async (route: DatabaseRoute) => {
    // an attempt that continues has stopped its streams, and restored them just now
    if (rechecked.has(nameOnSource(route))) return;
    const known = new Set(warnings.map(describeFinding));
    const found = await examineRoute(route, {
      oldTransactionMs: options.maxPauseMs,
      attendanceMs,
      signal: run.signal,
    });
    refuseProblems(found);
    rechecked.add(nameOnSource(route));
    for (const finding of found.filter((each) => !known.has(describeFinding(each)))) {
      warnings.push(finding);
      const { remedy } = finding;
      run.events({
        kind: "warning",
        message: describeFinding(finding),
        ...(remedy === undefined ? {} : { remedy }),
      });
    }
  };
  const answer = await options.confirm(plan).catch((error: unknown) => notBegun(error));
  if (answer === false) return undefined;
  const outcome = answer === true
    ? await performUntilDone(direction, { options, run, finalCheck, recheck, notBegun })
    : answer;
  if (outcome.kind === "failed") {
    // undefined if a server cannot be asked: the failure says so
    const current = await readCutover(options, unstoppable(run)).then(
      (all) => all.filter(({ phase }) => phase !== "none"),
      () => undefined,
    );
    // by a worker that was taken for lost, and lived on
    if (options.isContinued && current !== undefined && areDone(current, direction)) {
      return await doneEarlier(direction, { involved: current, options, start, startedAt });
    }
    const closed = current === undefined ? closedBefore : closedNames(current);
    const error = await explained(
      withStillClosed(outcome.failure.error, { direction, closed }),
      { action: direction, servers: options, run },
    );
    const isPastReturn = outcome.failure.isPastReturn || closed.length > 0;
    const failure = { ...outcome.failure, error, isPastReturn };
    const warned = warnings.map(describeFinding);
    const waits = describeWaits(failure);
    if (waits !== undefined) run.events({ kind: "info", message: waits });
    await options.onUnfinished({
      ...describeFailure(failure),
      ...servers,
      direction,
      startedAt,
      finishedAt: options.now().toISOString(),
      maxPauseMs: options.maxPauseMs,
      warnings: [...warned, ...failure.warnings],
      ms: performance.now() - start,
    });
    throw error;
  }
  const { report } = outcome;
  return {
    ...report,
    ...servers,
    direction,
    startedAt,
    finishedAt: options.now().toISOString(),
    databases: report.databases.map((each) => ({
      ...each,
      compared: compared.get(each.database) ?? null,
    })),
    maxPauseMs: options.maxPauseMs,
    warnings: [...warnings.map(describeFinding), ...report.warnings],
    unchecked: uncheckedBy(options.finalCheck),
    ms: performance.now() - start,
  };
}

/** Whether nothing is left to do. Pure. */
function areDone(databases: readonly CutoverDatabase[], direction: SwitchDirection): boolean {
  return databases.length > 0 && databases.every((each) => isDone(each, direction));
}

/** Names, on the source, of databases that are closed on both sides. Pure. */
function closedNames(databases: readonly CutoverDatabase[]): readonly string[] {
  return databases.filter(({ phase }) => closedPhases.includes(phase))
    .map(({ source }) => source.database);
}

/** How long writers waited for a switch that was abandoned; undefined if they did not. Pure. */
function describeWaits({ isPastReturn, pauseMs, attempts }: SwitchFailure): string | undefined {
  if (isPastReturn || pauseMs + attempts.length === 0) return undefined;
  const inAttempts = addUp(attempts.map(({ ms }) => ms));
  const parts = [
    ...(pauseMs === 0 ? [] : [`${formatDuration(pauseMs)} while the barrier was held`]),
    ...(attempts.length === 0 ? [] : [
      `${formatDuration(inAttempts)} in ${plural(attempts.length, "attempt")} that gave way`,
    ]),
  ];
  return `writers waited ${parts.join(", and ")}; they have continued`;
}

/** What is left of a switch that did not begin. Pure. */
function notBegunFailure(error: unknown, databases: readonly CutoverDatabase[]): SwitchFailure {
  return {
    error,
    isPastReturn: closedNames(databases).length > 0,
    pauseMs: 0,
    attempts: [],
    databases: databases.map(({ source }) => ({
      database: source.database,
      waiting: { sessions: 0, longestMs: 0 },
    })),
    steps: [],
    warnings: [],
  };
}

/** What a failed switch had done. Pure. */
function describeFailure(
  { error, isPastReturn, pauseMs, attempts, databases, steps }: SwitchFailure,
): Pick<
  CutoverUnfinishedReport,
  | "outcome"
  | "reason"
  | "pauseMs"
  | "failedAttempts"
  | "failedAttemptsMs"
  | "attempts"
  | "databases"
  | "steps"
> {
  return {
    outcome: isPastReturn ? "unfinished" : "abandoned",
    reason: describeError(error).map((line) => redact(line)),
    pauseMs,
    failedAttempts: attempts.length,
    failedAttemptsMs: addUp(attempts.map(({ ms }) => ms)),
    attempts,
    databases,
    steps,
  };
}

function unstoppable(run: RunContext): RunContext {
  return { ...run, signal: new AbortController().signal };
}

/** The report of a switch whose client did not live to report it: what the records say of it. */
async function doneEarlier(
  direction: SwitchDirection,
  { involved, options, start, startedAt }: {
    readonly involved: readonly CutoverDatabase[];
    readonly options: CutoverSwitchOptions;
    readonly start: number;
    readonly startedAt: string;
  },
): Promise<CutoverSwitchReport> {
  const pauses = await Promise.all(
    involved.map((database) => readDurablePauseMs(routeOf(database, direction))),
  );
  return {
    ...await describeServers(involved[0]!, new AbortController().signal),
    direction,
    startedAt,
    finishedAt: options.now().toISOString(),
    pauseMs: Math.max(0, ...pauses),
    maxPauseMs: options.maxPauseMs,
    failedAttempts: 0,
    failedAttemptsMs: 0,
    attempts: [],
    databases: involved.map((database) => ({
      database: database.source.database,
      evidence: routeOf(database, direction).fromRecord.details.evidence,
      compared: null,
      waiting: { sessions: 0, longestMs: 0 },
      refusedWrites: null,
    })),
    steps: [],
    warnings: ["an earlier attempt, which was interrupted, had completed the switch"],
    unchecked: uncheckedBy(options.finalCheck),
    ms: performance.now() - start,
  };
}

/** A `sync` that the previous switch has stopped begins to wait for this one within seconds. */
const attendanceMs = 10_000;

async function examine(
  route: DatabaseRoute,
  { options, run }: { readonly options: CutoverSwitchOptions; readonly run: RunContext },
): Promise<readonly PreflightFinding[]> {
  return await examineRoute(await restoreIfTurning(route), {
    oldTransactionMs: options.maxPauseMs,
    attendanceMs,
    signal: run.signal,
  });
}

/** After the point of no return, continues by itself as the same command would. */
async function performUntilDone(
  direction: SwitchDirection,
  { options, run, finalCheck, recheck, notBegun }: {
    readonly options: CutoverSwitchOptions;
    readonly run: RunContext;
    /** Repeats the checks of a database before its first attempt. */
    readonly recheck: (route: DatabaseRoute) => Promise<void>;
    readonly finalCheck: RouteCheck;
    /** The outcome of an attempt that could not be begun. */
    readonly notBegun: (error: unknown) => SwitchOutcome;
  },
): Promise<SwitchOutcome> {
  const first = await attemptSwitch(direction, {
    ...{ options, run, finalCheck, recheck },
    reading: options.isContinued ? unstoppable(run) : run,
  }).then(
    (outcome) => ({ outcome, hasBegun: true }),
    (error: unknown) => ({ outcome: notBegun(error), hasBegun: false }),
  );
  let last = first.outcome;
  for (let attempt = 1;; attempt++) {
    if (last.kind === "switched") return last;
    // if the servers cannot be asked; one that has begun may have closed a side
    const mayBeBeyond = first.hasBegun || last.failure.isPastReturn;
    const databases = await readCutover(options, unstoppable(run)).catch(() => undefined);
    if (databases === undefined && !mayBeBeyond) return last;
    if (databases !== undefined && closedNames(databases).length === 0) {
      return await undoUnlessBeyond(direction, { failure: last.failure, databases, options });
    }
    if (attempt === completionAttempts) return last;
    const { error } = last.failure;
    run.events({
      kind: "warning",
      message: `continuing after the point of no return: ${errorMessage(error)}`,
    });
    await pause(1_000 * attempt);
    if (databases === undefined) continue;
    try {
      last = await attemptSwitch(direction, {
        ...{ options, run, finalCheck, recheck },
        reading: unstoppable(run),
      });
    } catch (cause) {
      // a server that cannot be asked: what is known is what the attempt before has done
      run.events({ kind: "warning", message: errorMessage(cause) });
    }
  }
}

/**
 * The outcome of an attempt that has left no side closed. If its first COMMIT was in doubt, the
 * records prove that it did not take effect: the attempt is undone, and has been abandoned.
 */
async function undoUnlessBeyond(
  direction: SwitchDirection,
  { failure, databases, options }: {
    readonly failure: SwitchFailure;
    readonly databases: readonly CutoverDatabase[];
    readonly options: CutoverSwitchOptions;
  },
): Promise<SwitchOutcome> {
  const involved = databases.filter(({ phase }) => phase !== "none");
  const isAbandoned = involved.every(({ phase }) => phase === switchPhases[direction].from);
  if (!failure.isPastReturn || !isAbandoned) return { kind: "failed", failure };
  const warnings = [...failure.warnings];
  const routes = involved.map((database) => routeOf(database, direction));
  for (const route of routes) {
    await undo(route).catch((error) => {
      warnings.push(`${route.from.database} was not restored: ${errorMessage(error)}`);
    });
  }
  try {
    await options.hook("abort", routes);
  } catch (error) {
    warnings.push(`the hook abort failed: ${errorMessage(error)}`);
  }
  const error = notCommitted(failure.error, routes);
  return { kind: "failed", failure: { ...failure, error, isPastReturn: false, warnings } };
}

function notCommitted(cause: unknown, routes: readonly DatabaseRoute[]): ReplicatorError {
  const { side } = routes[0]!.from;
  return new ReplicatorError(
    `the COMMIT that closes the ${side} did not take effect; writers continue there`,
    {
      side,
      details: describeError(cause),
      remedy: "remove the cause, and run the same command again",
      cause,
    },
  );
}

/** Undoes what an attempt left that has closed nothing. */
async function undo(given: DatabaseRoute): Promise<void> {
  const { from, fromRecord } = await restoreIfTurning(given);
  if (fromRecord.isOpen && fromRecord.details.isClosing === true) {
    await new SessionFence(from, fromRecord).reopen();
  }
}

/** One attempt, from the state in which the databases are. */
async function attemptSwitch(
  direction: SwitchDirection,
  { options, run, finalCheck, recheck, reading }: {
    readonly options: CutoverSwitchOptions;
    readonly run: RunContext;
    readonly finalCheck: RouteCheck;
    readonly recheck: (route: DatabaseRoute) => Promise<void>;
    /** The context in which the state is read. */
    readonly reading: RunContext;
  },
): Promise<SwitchOutcome> {
  const selected = await readCutover(options, reading);
  const databases = selected.filter(({ phase }) => phase !== "none");
  // another command may have changed it, while the question was open or after an attempt
  refuseState(direction, { databases: selected, involved: databases, options });
  // both sides are closed: a request to stop must not leave them closed
  const context = databases.some((each) => isBeyond(each, direction)) ? unstoppable(run) : run;
  const ofPhase = (matches: (database: CutoverDatabase) => boolean) =>
    databases.filter(matches).map((database) => routeOf(database, direction));
  // with databases that an attempt in the other direction has not closed yet: it is undone
  for (const database of databases.filter((each) => each.phase === switchPhases[direction].to)) {
    await undo(routeOf(database, opposite(direction)));
  }
  const closed = ofPhase(({ phase }) => closedPhases.includes(phase));
  return await switchOver(
    {
      routes: ofPhase(({ phase }) => phase === switchPhases[direction].from),
      closed,
      opened: ofPhase((database) => isUnsettled(database, direction)),
      kept: closed.length === 0 ? [] : ofPhase((database) => isDone(database, direction)),
    },
    {
      ...options,
      recheck,
      unchecked: uncheckedBy(options.finalCheck),
      finalCheck,
    },
    context,
  );
}

function opposite(direction: SwitchDirection): SwitchDirection {
  return direction === "run" ? "rollback" : "run";
}
