/**
 * The attempts of a switch: the first, and those that complete it after the point of no return.
 *
 * @module
 */
import { describeError, errorMessage, pause, ReplicatorError } from "../../core/internal.ts";
import {
  type DatabaseRoute,
  interruptedSwitch,
  OtherCommandError,
  type SwitchFailure,
  type SwitchOutcome,
  switchOver,
  undoSwitch,
} from "../../cutover/internal.ts";
import type { RunContext } from "../shared/run.ts";
import { type RouteCheck, uncheckedBy } from "./final_check.ts";
import { type CutoverDatabase, readCutover, routeOf } from "./read_cutover.ts";
import { refuseState } from "./refuse_switch.ts";
import type { SwitchDirection } from "./report.ts";
import { findMoved, refuseMoved, type SwitchBeginning } from "./switch_beginning.ts";
import { readingContext, type SwitchCall, unstoppable } from "./switch_call.ts";
import { unbegunSwitch } from "./switch_failure.ts";
import {
  closedNames,
  closedPhases,
  isBeyond,
  isDone,
  isUnsettled,
  switchPhases,
} from "./switch_phases.ts";

/** How often the command continues by itself after the point of no return. */
const completionAttempts = 5;

/** What an attempt checks. */
export interface AttemptChecks {
  /** Repeats the checks of a database before its first attempt. */
  readonly recheck: (route: DatabaseRoute, signal: AbortSignal) => Promise<void>;
  /** Compares a database while writers wait. */
  readonly finalCheck: RouteCheck;
  /** What an attempt that continues must still find. */
  readonly beginning: SwitchBeginning;
}

/** After the point of no return, continues by itself as the same command would. */
export async function performUntilDone(
  call: SwitchCall,
  { involved, ...checks }: AttemptChecks & {
    /** The databases of the call, as they were before the first attempt. */
    readonly involved: readonly CutoverDatabase[];
  },
): Promise<SwitchOutcome> {
  const { options, run } = call;
  const first = await attemptSwitch(call, { ...checks, reading: readingContext(call) }).then(
    (outcome) => ({ outcome, hasBegun: true }),
    (error: unknown) => ({ outcome: unbegunSwitch(error, involved), hasBegun: false }),
  );
  let last = first.outcome;
  for (let attempt = 1;; attempt++) {
    if (last.kind === "switched") return last;
    // what is closed now belongs to that command
    if (attempt === 1 && last.failure.isTakenOver) return last;
    // if the servers cannot be asked; one that has begun may have closed a side
    const mayBeBeyond = first.hasBegun || last.failure.isPastReturn;
    const databases = await readCutover(options, unstoppable(run)).catch(() => undefined);
    if (databases === undefined && !mayBeBeyond) return last;
    if (databases !== undefined) {
      const moved = findMoved(checks.beginning, {
        ...call.options,
        databases,
        direction: call.direction,
      });
      if (moved !== undefined) return leaveTo(moved, last.failure);
    }
    // opened, although the answer was lost: what follows is still to be done
    const isUnsettledYet = last.failure.isPastReturn &&
      databases?.some((each) => isUnsettled(each, call.direction)) === true;
    if (databases !== undefined && closedNames(databases).length === 0 && !isUnsettledYet) {
      return await undoUnlessBeyond(last.failure, { call, databases });
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
      last = await attemptSwitch(call, { ...checks, reading: unstoppable(run) });
    } catch (cause) {
      // a server that cannot be asked: what is known is what the attempt before has done
      run.events({ kind: "warning", message: errorMessage(cause) });
    }
  }
}

/** The outcome of a switch that another command has undone, or moved on. */
function leaveTo(moved: OtherCommandError, failure: SwitchFailure): SwitchOutcome {
  const { message, place, remedy } = moved;
  const error = new OtherCommandError(message, place, {
    details: describeError(failure.error),
    remedy,
    cause: failure.error,
  });
  return { kind: "failed", failure: { ...failure, error, isPastReturn: false, isTakenOver: true } };
}

/**
 * The outcome of an attempt that has left no side closed. If its first COMMIT was in doubt, the
 * records prove that it did not take effect: the attempt is undone, and has been abandoned.
 */
async function undoUnlessBeyond(
  failure: SwitchFailure,
  { call: { direction, options }, databases }: {
    readonly call: SwitchCall;
    readonly databases: readonly CutoverDatabase[];
  },
): Promise<SwitchOutcome> {
  const involved = databases.filter(({ phase }) => phase !== "none");
  const isAbandoned = involved.every(({ phase }) => phase === switchPhases[direction].from);
  if (!failure.isPastReturn || !isAbandoned) return { kind: "failed", failure };
  const warnings = [...failure.warnings];
  const routes = involved.map((database) => routeOf(database, direction));
  for (const route of routes) {
    try {
      warnings.push(...await undoSwitch(route));
    } catch (error) {
      warnings.push(`${route.from.database} was not restored: ${errorMessage(error)}`);
    }
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

/** One attempt, from the state in which the databases are. */
async function attemptSwitch(
  call: SwitchCall,
  { finalCheck, recheck, beginning, reading }: AttemptChecks & {
    /** The context in which the state is read. */
    readonly reading: RunContext;
  },
): Promise<SwitchOutcome> {
  const { direction, options, run } = call;
  const selected = await readCutover(options, reading);
  const databases = selected.filter(({ phase }) => phase !== "none");
  // another command may have changed it, while the question was open or after an attempt
  refuseState(direction, { databases: selected, involved: databases, options });
  refuseMoved(beginning, { ...options, databases, direction });
  // both sides are closed: a request to stop must not leave them closed
  const context = databases.some((each) => isBeyond(each, direction)) ? unstoppable(run) : run;
  const ofPhase = (matches: (database: CutoverDatabase) => boolean) =>
    databases.filter(matches).map((database) => routeOf(database, direction));
  // with databases that an attempt in the other direction has not closed yet: it is undone
  for (const database of databases.filter((each) => each.phase === switchPhases[direction].to)) {
    if (interruptedSwitch(database.records) === undefined) continue;
    const left = await undoSwitch(routeOf(database, opposite(direction)));
    if (left.length > 0) throw new ReplicatorError(left.join("; "));
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
      recheck: (route) => recheck(route, context.signal),
      unchecked: uncheckedBy(options.finalCheck),
      finalCheck,
    },
    context,
  );
}

function opposite(direction: SwitchDirection): SwitchDirection {
  return direction === "run" ? "rollback" : "run";
}
