/**
 * The barrier of all databases of a switch: held by all at once, or by none.
 *
 * @module
 */
import type { BlockerPolicy } from "../config/internal.ts";
import {
  type EventSink,
  ExitCode,
  formatDuration,
  joinAll,
  pause,
  ReplicatorError,
} from "../core/internal.ts";
import { type Blocker, blockerRemedy, describeBlocker, removeBlockers } from "./blockers.ts";
import type { DatabaseSwitch } from "./database_switch.ts";
import type { Timeline } from "./timeline.ts";

/** Pauses between attempts at the barrier, and at the locks of the other side. */
export const barrierDelaysMs: readonly number[] = [200, 500, 1_000, 2_000, 3_000, 5_000];

/** After removing blockers: an autovacuum, for one, returns after `autovacuum_naptime`. */
export const removedDelayMs = 100;

/** From which attempt on blockers are removed: short ones end by themselves. */
export const patientBarrierAttempts = 3;

/** What {@linkcode acquireBarrier} takes besides the databases. */
export interface AcquireOptions {
  /** How often it is tried. */
  readonly barrierAttempts: number;
  /**
   * How long the barrier may be held while the client is silent, in milliseconds. Where sessions
   * take its place, closing them may take half of it.
   */
  readonly maxPauseMs: number;
  /**
   * When it is given up, on the clock of `performance.now()`: set if clients have been made to wait
   * before.
   */
  readonly deadlineMs: number | undefined;
  readonly onBlocker: BlockerPolicy;
  readonly events: EventSink;
  /** Receives every failed attempt. */
  readonly timeline: Timeline;
  readonly signal: AbortSignal;
}

/** A barrier that is held. */
export interface AcquiredBarrier {
  /** When the attempt began that was granted, on the clock of `performance.now()`. */
  readonly sinceMs: number;
}

/**
 * Tries until the barrier of every database is held at once.
 *
 * @throws ReplicatorError (prerequisite) with what it waits for, after the last attempt
 */
export async function acquireBarrier(
  switches: readonly DatabaseSwitch[],
  options: AcquireOptions,
): Promise<AcquiredBarrier> {
  const { barrierAttempts, maxPauseMs, deadlineMs, events, timeline, signal } = options;
  for (let attempt = 1;; attempt++) {
    signal.throwIfAborted();
    // what is left has to be read while writers wait
    await joinAll(switches.map((each) => each.skipReplicated()));
    const sinceMs = performance.now();
    const results = await joinAll(switches.map((each) => each.tryBarrier(maxPauseMs)));
    if (results.every(({ isHeld }) => isHeld)) return { sinceMs };
    await Promise.all(switches.map((each) => each.release()));
    const found = switches.flatMap((each, index): readonly Blocked[] => {
      const result = results[index]!;
      return result.isHeld ? [] : [{ each, blockers: result.blockers }];
    });
    const { ms } = timeline.addAttempt(
      sinceMs,
      found.flatMap(({ each, blockers }) =>
        blockers.map((blocker) => `${each.name}: ${describeBlocker(blocker)}`)
      ),
    );
    events({
      ...adviceAbout(found),
      kind: "info",
      message: `the barrier was not granted within ${
        formatDuration(ms)
      } (attempt ${attempt} of ${barrierAttempts}): ${
        found.flatMap(({ blockers }) => blockers.map(describeBlocker)).join("; ") ||
        "the locks were released in the meantime"
      }`,
    });
    if (attempt >= barrierAttempts) throw blocked(found);
    const isRemoved = attempt >= patientBarrierAttempts && await remove(found, options);
    const delayMs = isRemoved
      ? removedDelayMs
      : barrierDelaysMs[Math.min(attempt, barrierDelaysMs.length) - 1]!;
    if (deadlineMs !== undefined && performance.now() + delayMs >= deadlineMs) {
      throw blocked(found, maxPauseMs);
    }
    await pause(delayMs, signal);
  }
}

/** A database whose barrier was not granted, and why. */
interface Blocked {
  readonly each: DatabaseSwitch;
  readonly blockers: readonly Blocker[];
}

/** What to do about the blockers; nothing if there are none. */
function adviceAbout(found: readonly Blocked[]): { readonly remedy?: string } {
  const all = found.flatMap(({ each, blockers }) =>
    blockers.map((blocker) => ({
      pid: blocker.pid,
      remedy: blockerRemedy(blocker, each.route.from.side),
    }))
  );
  if (all.length === 0) return {};
  return {
    remedy: all.length === 1
      ? all[0]!.remedy
      : all.map(({ pid, remedy }) => pid === undefined ? remedy : `pid ${pid}: ${remedy}`).join(
        " ",
      ),
  };
}

/** Ends what holds up the barrier, as the policy says; returns whether there was any. */
async function remove(
  found: readonly Blocked[],
  { onBlocker, events }: AcquireOptions,
): Promise<boolean> {
  if (onBlocker === "wait") return false;
  let isRemoved = false;
  for (const { each, blockers } of found) {
    for (const message of await removeBlockers(each.observer, { blockers, policy: onBlocker })) {
      events({ kind: "info", message });
      isRemoved = true;
    }
  }
  return isRemoved;
}

/** @param hookedMs how long clients whom a hook holds may wait; undefined without such a hook */
function blocked(found: readonly Blocked[], hookedMs?: number): ReplicatorError {
  const [first] = found;
  return new ReplicatorError(
    "other transactions hold locks on tables in scope; writers continue, and nothing was changed",
    {
      side: first?.each.route.from.side,
      details: [
        ...found.flatMap(({ each, blockers }) =>
          blockers.flatMap((blocker) => [
            `${each.name}: ${describeBlocker(blocker)}`,
            `  → ${blockerRemedy(blocker, each.route.from.side)}`,
          ])
        ),
        ...(hookedMs === undefined ? [] : [
          `after the hook before, the barrier is tried for --max-pause (${
            formatDuration(hookedMs)
          }) only, because clients may be waiting`,
        ]),
      ],
      // the command is printed complete
      remedy: `end them, then run cutover ${
        first?.each.route.from.side === "target" ? "rollback" : "run"
      } again, or use --on-blocker cancel or terminate`,
      exitCode: ExitCode.prerequisite,
    },
  );
}
