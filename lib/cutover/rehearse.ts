/**
 * The rehearsal: measures every part of a switch that can be measured without stopping anyone, and
 * on request takes the real barrier for a moment.
 *
 * @module
 */
import {
  type EventSink,
  ExitCode,
  formatDuration,
  joinAll,
  ReplicatorError,
  retry,
} from "../core/internal.ts";
import { openSession } from "../postgres/internal.ts";
import { describeBlocker } from "./blockers.ts";
import { DatabaseSwitch } from "./database_switch.ts";
import { fenceOf } from "./model.ts";
import type { DatabaseRoute } from "./route.ts";

/** What a rehearsal takes. */
export interface RehearseOptions {
  /** Tokens that are sent one after the other. */
  readonly tokens: number;
  /** How long writers may wait for the barrier, the attempt included; undefined for no barrier. */
  readonly brownoutMs: number | undefined;
  readonly sequenceMargin: number;
  readonly maxPauseMs: number;
  readonly events: EventSink;
  readonly signal: AbortSignal;
}

/** What one database showed. All times are in milliseconds. */
export interface Rehearsal {
  /** How long tokens took to arrive, sorted. */
  readonly drainMs: readonly number[];
  /** Reading and setting the sequences. Values are set for real: the other side is not in use. */
  readonly sequencesMs: number;
  /** Comparing large objects; those that differed are copied first. */
  readonly largeObjectsMs: number;
  /**
   * Reversing replication, as far as it can be measured: see {@linkcode reverseEstimateMs}.
   * Includes `restoreMs`.
   */
  readonly reverseMs: number;
  /** Restoring triggers and foreign keys that the streams hold, rolled back. */
  readonly restoreMs: number;
  /** Opening the fence of the other side, rolled back. */
  readonly openMs: number;
  /**
   * How long the barrier was held, the attempt included, by the server's clock; undefined without a
   * brownout, or if it was not granted.
   */
  readonly brownoutMs: number | undefined;
  /** What held up the barrier of the brownout. */
  readonly blockers: readonly string[];
}

/**
 * An apply worker starts as fast as the launcher wakes up and the server connects: what cannot be
 * measured is added to the measured round trips. These are slower than in the pause, in which
 * writers do not keep the servers busy.
 */
const workerMs = 50;

/**
 * Measures one database. Leaves no trace but tokens, and on the unused side higher sequences and
 * the other side's large objects.
 */
export async function rehearse(
  route: DatabaseRoute,
  options: RehearseOptions,
): Promise<Rehearsal> {
  const { signal, sequenceMargin, brownoutMs } = options;
  await using database = await DatabaseSwitch.open(route, signal);
  await database.deleteOldTokens();
  const drainMs: number[] = [];
  for (let count = 0; count < options.tokens; count++) {
    const seen = await database.measureDrain(performance.now() + options.maxPauseMs);
    drainMs.push(Math.max(0, ...seen.map(({ ms }) => ms)));
  }
  drainMs.sort((a, b) => a - b);
  const sequencesMs = await time(() => database.carrySequences(sequenceMargin));
  await database.largeObjects.carry();
  const largeObjectsMs = await time(() => database.largeObjects.carry());
  const turning = await measureTurning(database, {
    openMs: await database.measureOpening(),
    signal,
  });
  const held = brownoutMs === undefined ? undefined : await brownout(database, options);
  return {
    drainMs,
    sequencesMs,
    largeObjectsMs,
    ...turning,
    brownoutMs: held?.ms,
    blockers: held?.blockers ?? [],
  };
}

/**
 * Measures reversing replication; nothing is changed.
 *
 * @param options `openMs`: how long opening the other side takes
 */
export async function measureTurning(
  database: DatabaseSwitch,
  { openMs, signal }: { readonly openMs: number; readonly signal: AbortSignal },
): Promise<Pick<Rehearsal, "reverseMs" | "restoreMs" | "openMs">> {
  const restoreMs = await database.measureRestoring();
  const reverseMs = restoreMs + await reverseEstimateMs(database.route, signal);
  return { reverseMs, restoreMs, openMs };
}

async function brownout(
  database: DatabaseSwitch,
  { brownoutMs = 0, events }: RehearseOptions,
): Promise<{ readonly ms: number | undefined; readonly blockers: readonly string[] }> {
  if (fenceOf(database.route.fromRecord) === "sessions") {
    throw new ReplicatorError(
      "a brownout needs the barrier, which --fence sessions does not have: it would end all sessions",
      { exitCode: ExitCode.prerequisite },
    );
  }
  const held = await database.brownOut(brownoutMs);
  if ("blockers" in held) {
    return { ms: undefined, blockers: held.blockers.map((each) => describeBlocker(each)) };
  }
  events({
    kind: "info",
    message: `the barrier of ${database.name} was held for ${formatDuration(held.ms)}`,
  });
  return { ms: held.ms, blockers: [] };
}

/** New connections in both directions, and what cannot be measured. */
async function reverseEstimateMs(route: DatabaseRoute, signal: AbortSignal): Promise<number> {
  if (route.back.length === 0) return 0;
  const ms = await time(() =>
    joinAll([route.from, route.to].map(async (endpoint) => {
      await using _session = await retry(() => openSession(endpoint, { signal }), { signal });
    }))
  );
  return ms + workerMs;
}

async function time(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** The value below which a share of sorted values lies. */
export function percentile(sorted: readonly number[], share: number): number {
  if (sorted.length === 0) return 0;
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? 0;
}

/** The commits on both sides, and the locks of the barrier. */
const commitsMs = 20;

/** The expected pause of one database. Pure. */
export function predictPauseMs(
  { drainMs, sequencesMs, largeObjectsMs, reverseMs, restoreMs, openMs }: Omit<
    Rehearsal,
    "brownoutMs" | "blockers"
  >,
): number {
  const drainedMs = percentile(drainMs, 0.5);
  // a token there, then one back while the other side is being opened, and the two commits; what
  // is restored needs the locks of the opening, which follows
  return Math.max(drainedMs, sequencesMs, largeObjectsMs) +
    Math.max(reverseMs + drainedMs, restoreMs + openMs) + commitsMs;
}
