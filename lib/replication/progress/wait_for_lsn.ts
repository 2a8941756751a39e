/**
 * Waiting until the target has applied everything up to a position of the source.
 *
 * @module
 */
import {
  type EventSink,
  ExitCode,
  formatLsn,
  type Lsn,
  pause,
  ReplicatorError,
} from "../../core/internal.ts";
import { type Session } from "../../postgres/internal.ts";
import { readApplierProgress } from "../read_appliers.ts";
import { readSlots } from "../slot/read_slots.ts";
import { readWalPosition, type WalPosition } from "../slot/wal_position.ts";
import {
  type AwaitedApplier,
  blockingReason,
  bytesBehind,
  describeLag,
  hasReachedLsn,
  refuseConflicts,
  terminalFailure,
  withCause,
} from "./awaited_applier.ts";
import { LsnWatch } from "./lsn_watch.ts";
import { refuseWorkerShortage } from "./worker_shortage.ts";

/** What {@linkcode waitForLsn} takes. */
export interface WaitForLsnOptions {
  /** A session on the source's database, outside a transaction. */
  readonly source: Session;
  /** A session on the target's database, outside a transaction. */
  readonly target: Session;
  /** Names of subscriptions, or of other appliers of the tool, in the target's database. */
  readonly subscriptions: readonly string[];
  /**
   * The position to wait for: `readWalPosition(source).inserted` after the last change that
   * matters.
   */
  readonly lsn: Lsn;
  /** Aborting it ends the wait, which rejects with its reason. */
  readonly signal: AbortSignal;
  /** Receives each applier's lag, and what holds it up. */
  readonly events: EventSink;
  /**
   * How long to wait.
   *
   * @default as long as it takes
   */
  readonly timeoutMs?: number;
  /**
   * Whether an applier is still waited for; asked at each reading.
   *
   * @default all are
   */
  readonly isAwaited?: (name: string) => boolean;
  /**
   * Called for an applier that will never reach the position, which is no longer waited for.
   *
   * @default the error is thrown
   */
  readonly onFailure?: (name: string, error: ReplicatorError) => Promise<void>;
}

const minPauseMs = 20;

const maxPauseMs = 500;

const stuckMs = 1_500;

/** A WAL page: an idle source may never report a position at the start of a page. */
const pageBytes = 8192;

/**
 * Resolves when every named applier has applied and flushed all changes up to the position,
 * shown by its slot's `confirmed_flush_lsn`. What was committed on the source before that position
 * is then visible on the target.
 *
 * An idle source causes no wait: its keepalives move the position. If the source has not flushed
 * its WAL up to the position and nothing else writes, an empty message (`pg_logical_emit_message`)
 * is committed there to make it do so.
 *
 * Requires `--allow-net` for both servers (for the sessions).
 *
 * @throws ReplicatorError if the position will never be reached (subscription or slot missing,
 * disabled or lost; consecutive apply errors; no apply worker to be had), or was not reached in
 * time
 */
export async function waitForLsn(options: WaitForLsnOptions): Promise<void> {
  const { source, target, subscriptions, lsn, signal, timeoutMs = Infinity } = options;
  const { isAwaited = () => true, onFailure } = options;
  const failed = new Set<string>();
  if (subscriptions.length === 0) throw new RangeError("no subscription given");
  const watch = new LsnWatch(options);
  for (let pauseMs = minPauseMs;; pauseMs = Math.min(maxPauseMs, pauseMs * 2)) {
    const names = subscriptions.filter((name) => !failed.has(name) && isAwaited(name));
    const states = await readApplierProgress(target, names);
    const slotNames = states.flatMap(({ slotName }) => slotName ?? []);
    const slots = await readSlots(source, slotNames);
    const wal = await readWalPosition(source);
    const awaited = watch.note(
      names.map((name): [string, Omit<AwaitedApplier, "newErrors">] => {
        const applier = states.find((state) => state.name === name);
        return [name, {
          applier,
          slot: slots.find((slot) => slot.name === applier?.slotName),
        }];
      }),
    );
    for (const [name, each] of awaited) {
      const failure = terminalFailure(name, each);
      if (failure === undefined) continue;
      const error = await withCause(failure, { each, source, target });
      if (onFailure === undefined) throw error;
      failed.add(name);
      await onFailure(name, error);
    }
    const late = awaited.filter(([name, { slot }]) =>
      !failed.has(name) && !hasReachedLsn(slot, lsn)
    );
    if (late.length === 0) return;
    if (watch.elapsedMs > timeoutMs) throw notInTime(late, { lsn, timeoutMs, source });
    watch.report(late);
    for (const [name, each] of watch.suspects(late)) {
      if (each.applier?.kind === "subscription" && each.applier.workerPid === undefined) {
        await refuseWorkerShortage(name, target);
      }
      await refuseConflicts(name, each, options);
    }
    if (watch.stuckMs > stuckMs && needsNudge(late, { wal, lsn })) await watch.nudge();
    await pause(Math.min(pauseMs, Math.max(0, timeoutMs - watch.elapsedMs) + 1), signal);
  }
}

function notInTime(
  late: readonly (readonly [string, AwaitedApplier])[],
  { lsn, timeoutMs, source }: {
    readonly lsn: Lsn;
    readonly timeoutMs: number;
    readonly source: Session;
  },
): ReplicatorError {
  return new ReplicatorError(
    `the target has not applied everything up to ${formatLsn(lsn)} within ${timeoutMs / 1000} s`,
    {
      side: "target",
      object: source.endpoint.database,
      details: late.map(([name, each]) => `${name}: ${describeLag(each, lsn)}`),
      remedy: "wait longer if it is advancing; otherwise see status and the target's log",
      exitCode: ExitCode.unhealthy,
    },
  );
}

/**
 * Whether only writing WAL will make the position move: an idle source does not flush its last
 * records, and reports the end of a record at the end of a page without the next page's header.
 */
function needsNudge(
  late: readonly (readonly [string, AwaitedApplier])[],
  { wal, lsn }: { readonly wal: WalPosition; readonly lsn: Lsn },
): boolean {
  if (wal.inRecovery) return false;
  if (wal.flushed < lsn) return true;
  return late.every(([, each]) => {
    const bytes = bytesBehind(each, lsn);
    return bytes !== undefined && bytes < pageBytes && blockingReason(each) === undefined;
  });
}
