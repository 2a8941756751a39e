/**
 * The locks that opening the other side takes: tried before writers wait, because nothing of the
 * pause is left for waiting for them.
 *
 * @module
 */
import type { BlockerPolicy } from "../config/internal.ts";
import { type EventSink, formatDuration, pause } from "../core/internal.ts";
import { barrierDelaysMs, patientBarrierAttempts, removedDelayMs } from "./acquire_barrier.ts";
import { blockerRemedy, describeBlocker, removeBlockers } from "./blockers.ts";
import type { DatabaseSwitch } from "./database_switch.ts";
import { OpeningBlockedError } from "./open_side.ts";

/** What {@linkcode tryOpening} takes. */
export interface TryOpeningOptions {
  /** How often it is tried. */
  readonly barrierAttempts: number;
  readonly onBlocker: BlockerPolicy;
  readonly events: EventSink;
  readonly signal: AbortSignal;
}

/** What {@linkcode tryOpening} found. */
export interface TriedOpening {
  /** How long the opening takes, in milliseconds. */
  readonly openMs: number;
  /** Whether others held it up before. */
  readonly isDelayed: boolean;
}

/**
 * Opens the other side and rolls it back, until nothing holds it up. What applies changes there is
 * never removed: its transaction would begin again, and the drain would wait for it.
 *
 * @throws OpeningBlockedError after the last attempt
 */
export async function tryOpening(
  database: DatabaseSwitch,
  { barrierAttempts, onBlocker, events, signal }: TryOpeningOptions,
): Promise<TriedOpening> {
  for (let attempt = 1;; attempt++) {
    signal.throwIfAborted();
    const start = performance.now();
    try {
      return { openMs: await database.measureOpening(), isDelayed: attempt > 1 };
    } catch (error) {
      if (!(error instanceof OpeningBlockedError)) throw error;
      if (attempt >= barrierAttempts) throw error;
      const { blockers } = error;
      const { side } = database.route.to;
      events({
        kind: "info",
        message: `the locks for opening the ${side} were not granted within ${
          formatDuration(performance.now() - start)
        } (attempt ${attempt} of ${barrierAttempts}): ${
          blockers.map(describeBlocker).join("; ") || "they were released in the meantime"
        }`,
        ...(blockers.length === 0
          ? {}
          : { remedy: blockers.map((each) => blockerRemedy(each, side)).join(" ") }),
      });
      const done = attempt < patientBarrierAttempts || onBlocker === "wait"
        ? []
        : await removeBlockers(
          database.openingObserver,
          {
            blockers: blockers.filter(({ appliesChanges }) => !appliesChanges),
            policy: onBlocker,
          },
        );
      for (const message of done) events({ kind: "info", message });
      await pause(
        done.length > 0
          ? removedDelayMs
          : barrierDelaysMs[Math.min(attempt, barrierDelaysMs.length) - 1]!,
        signal,
      );
    }
  }
}
