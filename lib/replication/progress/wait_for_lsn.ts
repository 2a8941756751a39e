/**
 * Waiting until the target has applied everything up to a position of the source.
 *
 * @module
 */
import {
  type EventSink,
  ExitCode,
  formatBytes,
  formatLsn,
  type Lsn,
  lsnDistance,
  plural,
  quoteIdentifier,
  ReplicatorError,
} from "../../core/internal.ts";
import { pause, ServerError, type Session } from "../../postgres/internal.ts";
import { type ApplyErrorDiagnosis, diagnoseApplyError } from "./diagnose_apply_error.ts";
import { readSlots, type SlotState } from "../slot/read_slots.ts";
import { readWalPosition, type WalPosition } from "../slot/wal_position.ts";
import { readSubscriptions, type SubscriptionState } from "../subscription/read_subscriptions.ts";

/** What {@linkcode waitForLsn} takes. */
export interface WaitForLsnOptions {
  /** A session on the source's database, outside a transaction. */
  readonly source: Session;
  /** A session on the target's database, outside a transaction. */
  readonly target: Session;
  /** Names of subscriptions in the target's database. */
  readonly subscriptions: readonly string[];
  /**
   * The position to wait for: `readWalPosition(source).inserted` after the last change that
   * matters.
   */
  readonly lsn: Lsn;
  readonly signal: AbortSignal;
  /** Receives each subscription's lag, and what holds it up. */
  readonly events: EventSink;
  /**
   * How long to wait.
   *
   * @default as long as it takes
   */
  readonly timeoutMs?: number;
}

/** A subscription that is waited for. */
export interface AwaitedSubscription {
  /** Undefined if the target has no such subscription. */
  readonly subscription: SubscriptionState | undefined;
  /** Undefined if the source has no such slot. */
  readonly slot: SlotState | undefined;
  /** Apply errors since the wait began, or since anything was applied. */
  readonly newErrors: number;
}

/** Consecutive apply errors that do not count as transient. */
const terminalErrors = 3;
const minPauseMs = 20;
const maxPauseMs = 500;
const lagEventMs = 500;
/** A worker or slot missing for less than this may be restarting, which is not reported. */
const restartMs = 10_000;
const stuckMs = 1_500;
/** Readings without a worker after which it is suspected of failing. */
const suspiciousAbsences = 3;
/** A WAL page: an idle source may never report a position at the start of a page. */
const pageBytes = 8192;

/**
 * Resolves when every named subscription has applied and flushed all changes up to the position,
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
 * disabled or lost; consecutive apply errors), or was not reached in time
 */
export async function waitForLsn(options: WaitForLsnOptions): Promise<void> {
  const { source, target, subscriptions, lsn, signal, timeoutMs = Infinity } = options;
  if (subscriptions.length === 0) throw new RangeError("no subscription given");
  const watch = new Watch(options);
  for (let pauseMs = minPauseMs;; pauseMs = Math.min(maxPauseMs, pauseMs * 2)) {
    const states = await readSubscriptions(target, subscriptions);
    const slotNames = states.flatMap(({ slotName }) => slotName ?? []);
    const slots = await readSlots(source, slotNames);
    const wal = await readWalPosition(source);
    const awaited = watch.note(subscriptions.map((name): [string, Found] => {
      const subscription = states.find((state) => state.name === name);
      return [name, {
        subscription,
        slot: slots.find((slot) => slot.name === subscription?.slotName),
      }];
    }));
    for (const [name, each] of awaited) {
      const failure = terminalFailure(name, each);
      if (failure !== undefined) throw await withCause(failure, { each, source, target });
    }
    const late = awaited.filter(([, { slot }]) => !hasReachedLsn(slot, lsn));
    if (late.length === 0) return;
    if (watch.elapsedMs > timeoutMs) throw notInTime(late, { lsn, timeoutMs, source });
    watch.report(late);
    for (const [name, each] of watch.suspects(late)) await refuseObstacles(name, each, options);
    if (watch.stuckMs > stuckMs && needsNudge(late, { wal, lsn })) await watch.nudge();
    await pause(Math.min(pauseMs, Math.max(0, timeoutMs - watch.elapsedMs) + 1), signal);
  }
}

interface Found {
  readonly subscription: SubscriptionState | undefined;
  readonly slot: SlotState | undefined;
}

/** Whether everything before the position is on the target. */
export function hasReachedLsn(slot: SlotState | undefined, lsn: Lsn): boolean {
  return slot?.confirmedFlushLsn !== undefined && slot.confirmedFlushLsn >= lsn;
}

/** Why waiting is pointless; undefined if it is not. */
export function terminalFailure(
  name: string,
  { subscription, slot, newErrors }: AwaitedSubscription,
): ReplicatorError | undefined {
  const object = `subscription ${quoteIdentifier(name)}`;
  const target = (message: string, remedy: string) =>
    new ReplicatorError(message, {
      side: "target",
      object,
      remedy,
      exitCode: ExitCode.unhealthy,
    });
  if (subscription === undefined) {
    return target("the subscription does not exist in this database", "create it with sync");
  }
  if (subscription.slotName === undefined) {
    return target(
      "it is detached from its slot (slot_name = NONE) and receives nothing",
      "remove it with cleanup, then start over with init --enable-sync",
    );
  }
  if (!subscription.enabled) {
    return target(
      "it is disabled and applies nothing" +
        ((subscription.applyErrors ?? 0) > 0
          ? ` (${plural(subscription.applyErrors ?? 0, "apply error")} so far: ` +
            "an error may have disabled it)"
          : ""),
      `find the reason in the target's log, then: ALTER SUBSCRIPTION ${
        quoteIdentifier(name)
      } ENABLE;`,
    );
  }
  const source = (message: string) =>
    new ReplicatorError(message, {
      side: "source",
      object: `slot ${quoteIdentifier(subscription.slotName ?? "")}`,
      remedy: "changes are lost: start over with sync --resnapshot",
      exitCode: ExitCode.unhealthy,
    });
  if (slot === undefined) return source("the slot does not exist");
  if (slot.walStatus === "lost" || slot.invalidationReason !== undefined) {
    return source(
      `the server has invalidated the slot (${slot.invalidationReason ?? "wal_status is lost"})`,
    );
  }
  if (newErrors >= terminalErrors) {
    return target(
      `the apply worker keeps failing (${plural(newErrors, "error")}, nothing applied)`,
      failingRemedy,
    );
  }
  return undefined;
}

/** Adds the transaction that cannot be applied to an error about apply errors. */
async function withCause(
  failure: ReplicatorError,
  { each, source, target }: Pick<WaitForLsnOptions, "source" | "target"> & {
    readonly each: AwaitedSubscription;
  },
): Promise<ReplicatorError> {
  if (each.newErrors < terminalErrors) return failure;
  const { lines } = await diagnoseAwaited(each, { source, target });
  return new ReplicatorError(failure.message, {
    ...describeFailure(failure),
    details: lines,
  });
}

function describeFailure({ side, object, remedy, exitCode }: ReplicatorError) {
  return { side, object, remedy, exitCode };
}

async function diagnoseAwaited(
  { subscription, slot }: AwaitedSubscription,
  { source, target }: Pick<WaitForLsnOptions, "source" | "target">,
): Promise<ApplyErrorDiagnosis> {
  const [publication] = subscription?.publications ?? [];
  if (subscription === undefined || slot === undefined || publication === undefined) {
    return { transaction: undefined, obstacles: [], lines: [] };
  }
  return await diagnoseApplyError({ source, target, subscription, slot, publication });
}

/**
 * Before 15 nothing counts apply errors: if a worker keeps restarting, nothing is applied and the
 * next transaction has conflicts on the target, it is failing.
 *
 * @throws ReplicatorError with the conflicts
 */
async function refuseObstacles(
  name: string,
  each: AwaitedSubscription,
  { source, target }: Pick<WaitForLsnOptions, "source" | "target">,
): Promise<void> {
  if (target.majorVersion >= 15) return;
  const { obstacles, lines } = await diagnoseAwaited(each, { source, target });
  if (obstacles.length === 0) return;
  throw new ReplicatorError("the apply worker keeps failing", {
    side: "target",
    object: `subscription ${quoteIdentifier(name)}`,
    details: lines,
    remedy: failingRemedy,
    exitCode: ExitCode.unhealthy,
  });
}

/** What to do about a worker that keeps failing. */
export const failingRemedy: string =
  "remove the conflict on the target, and the worker resumes on its own; or skip the transaction with sync --skip-lsn, and repair with verify; " +
  'the target\'s log shows the error ("logical replication")';

/** Why a subscription is not applying at the moment; undefined if it is. */
export function blockingReason({ subscription, slot, newErrors }: AwaitedSubscription):
  | string
  | undefined {
  if (newErrors > 0) return `the apply worker is failing (${plural(newErrors, "error")})`;
  if (subscription?.workerPid === undefined) {
    return "no apply worker is running: it is restarting, cannot reach the source, or no worker slot is free " +
      "(max_logical_replication_workers)";
  }
  if (slot !== undefined && !slot.active) return "the slot is not being read";
  return undefined;
}

function notInTime(
  late: readonly (readonly [string, AwaitedSubscription])[],
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

function describeLag(each: AwaitedSubscription, lsn: Lsn): string {
  const bytes = bytesBehind(each, lsn);
  const behind = bytes === undefined ? "nothing confirmed yet" : `${formatBytes(bytes)} behind`;
  const reason = blockingReason(each);
  return reason === undefined ? behind : `${behind}, ${reason}`;
}

function bytesBehind({ slot }: AwaitedSubscription, lsn: Lsn): number | undefined {
  const confirmed = slot?.confirmedFlushLsn;
  return confirmed === undefined ? undefined : Math.max(0, lsnDistance(confirmed, lsn));
}

/**
 * Whether only writing WAL will make the position move: an idle source does not flush its last
 * records, and reports the end of a record at the end of a page without the next page's header.
 */
function needsNudge(
  late: readonly (readonly [string, AwaitedSubscription])[],
  { wal, lsn }: { readonly wal: WalPosition; readonly lsn: Lsn },
): boolean {
  if (wal.inRecovery) return false;
  if (wal.flushed < lsn) return true;
  return late.every(([, each]) => {
    const bytes = bytesBehind(each, lsn);
    return bytes !== undefined && bytes < pageBytes && blockingReason(each) === undefined;
  });
}

/** The readings so far, which show whether anything is moving. */
class Watch {
  readonly #options: WaitForLsnOptions;
  readonly #startedMs = performance.now();
  readonly #errorsBefore = new Map<string, number>();
  readonly #confirmed = new Map<string, Lsn>();
  readonly #blockedSinceMs = new Map<string, number>();
  readonly #reported = new Set<string>();
  /**
   * When a subscription's position last moved, or it was last suspected, and how many readings
   * since then found no worker.
   */
  readonly #standing = new Map<string, { sinceMs: number; absences: number }>();
  #movedMs = performance.now();
  #lagReportedMs = -Infinity;

  constructor(options: WaitForLsnOptions) {
    this.#options = options;
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedMs;
  }

  /** Time since anything was applied, or since the last nudge. */
  get stuckMs(): number {
    return performance.now() - this.#movedMs;
  }

  note(found: readonly [string, Found][]): readonly [string, AwaitedSubscription][] {
    return found.map(([name, each]) => {
      const errors = each.subscription?.applyErrors ?? 0;
      const confirmed = each.slot?.confirmedFlushLsn;
      const before = this.#confirmed.get(name);
      const moved = confirmed !== undefined && before !== undefined && confirmed > before;
      if (moved) this.#movedMs = performance.now();
      if (confirmed !== undefined) this.#confirmed.set(name, confirmed);
      if (moved || !this.#errorsBefore.has(name)) this.#errorsBefore.set(name, errors);
      const standing = this.#standing.get(name);
      if (moved || standing === undefined) {
        this.#standing.set(name, { sinceMs: performance.now(), absences: 0 });
      } else if (each.subscription?.workerPid === undefined) standing.absences++;
      return [name, { ...each, newErrors: errors - (this.#errorsBefore.get(name) ?? 0) }];
    });
  }

  /**
   * Subscriptions that do not advance while their worker keeps restarting; each only periodically.
   */
  suspects(
    late: readonly (readonly [string, AwaitedSubscription])[],
  ): readonly (readonly [string, AwaitedSubscription])[] {
    const now = performance.now();
    return late.filter(([name]) => {
      const standing = this.#standing.get(name);
      if (standing === undefined || standing.absences < suspiciousAbsences) return false;
      if (now - standing.sinceMs < restartMs) return false;
      standing.sinceMs = now;
      return true;
    });
  }

  /** Reports lag periodically, and each reason once. */
  report(late: readonly (readonly [string, AwaitedSubscription])[]): void {
    const { events, target, lsn } = this.#options;
    const now = performance.now();
    const database = target.endpoint.database;
    for (const [name, each] of late) {
      const bytes = bytesBehind(each, lsn);
      if (bytes !== undefined && now - this.#lagReportedMs >= lagEventMs) {
        events({ kind: "replication-lag", database, subscription: name, bytes });
      }
      const reason = blockingReason(each);
      if (reason === undefined) {
        this.#blockedSinceMs.delete(name);
        continue;
      }
      const since = this.#blockedSinceMs.get(name) ?? now;
      this.#blockedSinceMs.set(name, since);
      const key = JSON.stringify([name, each.newErrors > 0]);
      const isTransient = each.newErrors === 0 && now - since < restartMs;
      if (isTransient || this.#reported.has(key)) continue;
      this.#reported.add(key);
      events({
        kind: "warning",
        side: "target",
        object: `subscription ${quoteIdentifier(name)}`,
        message: reason,
        remedy: "see the target's log for the cause",
      });
    }
    if (now - this.#lagReportedMs >= lagEventMs) this.#lagReportedMs = now;
  }

  /** Commits an empty message on the source, which flushes its WAL and moves its keepalives on. */
  async nudge(): Promise<void> {
    const { source, events } = this.#options;
    this.#movedMs = performance.now(); // restarts the interval until the next nudge
    try {
      await source.execute(
        "SET synchronous_commit = on; SELECT pg_catalog.pg_logical_emit_message(true, 'seren', '')",
      );
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      if (this.#reported.has("nudge")) return;
      this.#reported.add("nudge");
      events({
        kind: "warning",
        side: "source",
        message: `could not make the idle source report its position: ${error.message}`,
        remedy: "commit any change on the source",
      });
    }
  }
}
