/**
 * Waiting until the target has applied what the source had written at some moment.
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
  /** On the database that is replicated, in no transaction. */
  readonly source: Session;
  /** On the database that has the subscriptions, in no transaction. */
  readonly target: Session;
  /** Names of subscriptions of the target's database. */
  readonly subscriptions: readonly string[];
  /**
   * The position to wait for: `readWalPosition(source).inserted` after the last change that
   * matters.
   */
  readonly lsn: Lsn;
  readonly signal: AbortSignal;
  /** Told how far each subscription is behind, and what keeps it. */
  readonly events: EventSink;
  /** Gives up after this time. Default: waits as long as it takes. */
  readonly timeoutMs?: number;
}

/** One subscription while it is waited for. */
export interface AwaitedSubscription {
  /** Undefined: the target has none of this name. */
  readonly subscription: SubscriptionState | undefined;
  /** Undefined: the source has no such slot. */
  readonly slot: SlotState | undefined;
  /** Apply errors since the waiting began or anything was applied. */
  readonly newErrors: number;
}

/**
 * Errors one after the other, nothing applied in between, that are not taken for a passing trouble.
 */
const terminalErrors = 3;
const shortestPauseMs = 20;
const longestPauseMs = 500;
const lagEventMs = 500;
/** How long a missing worker or inactive slot may be a restart that nobody needs to hear about. */
const restartMs = 10_000;
const stuckMs = 1_500;
/** Looks without a worker that make one suspect that it fails. */
const absencesOfFailing = 3;
/** A WAL page: a position at its start may never be reported by an idle source. */
const pageBytes = 8192;

/**
 * Resolves when every named subscription has applied and flushed all changes up to the position:
 * its slot's `confirmed_flush_lsn` has reached it. What was committed on the source before that
 * position is then visible on the target.
 *
 * An idle source does not make it wait: its keepalives move the position. Where the WAL up to the
 * position is not on the source's disk yet and nothing writes, an empty message
 * (`pg_logical_emit_message`) is committed there to bring it out.
 *
 * Requires `--allow-net` of both servers (for the sessions).
 *
 * @throws ReplicatorError that says why it can never come, or has not come in time: subscription or
 * slot missing, disabled, lost, apply errors one after the other
 */
export async function waitForLsn(options: WaitForLsnOptions): Promise<void> {
  const { source, target, subscriptions, lsn, signal, timeoutMs = Infinity } = options;
  if (subscriptions.length === 0) throw new RangeError("no subscription was named");
  const watch = new Watch(options);
  for (let pauseMs = shortestPauseMs;; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
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
    watch.tell(late);
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

/** Why waiting is of no use; undefined when it may be. */
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
    return target("there is no such subscription in this database", "create it with sync");
  }
  if (subscription.slotName === undefined) {
    return target(
      "it has no slot (slot_name = NONE) and receives nothing",
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
      `look for the reason in the target's log, then: ALTER SUBSCRIPTION ${
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
  if (slot === undefined) return source("there is no such slot on this server");
  if (slot.walStatus === "lost" || slot.invalidationReason !== undefined) {
    return source(
      `the server has given the slot up (${slot.invalidationReason ?? "wal_status is lost"})`,
    );
  }
  if (newErrors >= terminalErrors) {
    return target(
      `the apply worker fails again and again (${plural(newErrors, "error")}, nothing applied)`,
      failingRemedy,
    );
  }
  return undefined;
}

/**
 * The same error with the transaction that cannot be applied, where errors of applying are what it
 * is about.
 */
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
 * Before 15 nothing counts errors of applying: a worker that comes and goes while nothing is
 * applied has met one when something on the target is seen to be in its way.
 *
 * @throws ReplicatorError that says what
 */
async function refuseObstacles(
  name: string,
  each: AwaitedSubscription,
  { source, target }: Pick<WaitForLsnOptions, "source" | "target">,
): Promise<void> {
  if (target.majorVersion >= 15) return;
  const { obstacles, lines } = await diagnoseAwaited(each, { source, target });
  if (obstacles.length === 0) return;
  throw new ReplicatorError("the apply worker fails again and again", {
    side: "target",
    object: `subscription ${quoteIdentifier(name)}`,
    details: lines,
    remedy: failingRemedy,
    exitCode: ExitCode.unhealthy,
  });
}

/** What to do about a worker that fails again and again. */
export const failingRemedy: string =
  "remove what is in the way on the target: the worker goes on by itself; or leave the transaction out with sync --skip-lsn, and repair with verify; " +
  'the target\'s log has the error itself ("logical replication")';

/** What keeps a subscription from applying just now, in words; undefined when it is at work. */
export function blockingReason({ subscription, slot, newErrors }: AwaitedSubscription):
  | string
  | undefined {
  if (newErrors > 0) return `the apply worker fails (${plural(newErrors, "error")})`;
  if (subscription?.workerPid === undefined) {
    return "no apply worker runs: it starts again, or cannot reach the source, or workers are used up " +
      "(max_logical_replication_workers)";
  }
  if (slot !== undefined && !slot.active) return "nobody reads the slot";
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
      remedy: "wait longer if it moves; else see status and the target's log",
      exitCode: ExitCode.unhealthy,
    },
  );
}

function describeLag(each: AwaitedSubscription, lsn: Lsn): string {
  const bytes = bytesBehind(each, lsn);
  const behind = bytes === undefined ? "nothing confirmed yet" : `${formatBytes(bytes)} behind`;
  const hindered = blockingReason(each);
  return hindered === undefined ? behind : `${behind}, ${hindered}`;
}

function bytesBehind({ slot }: AwaitedSubscription, lsn: Lsn): number | undefined {
  const confirmed = slot?.confirmedFlushLsn;
  return confirmed === undefined ? undefined : Math.max(0, lsnDistance(confirmed, lsn));
}

/**
 * Whether only WAL of our own will make it move: nobody flushes what an idle source has written,
 * and the end of a record at the end of a page is reported without the next page's header.
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

/** What was seen so far, to tell moving from standing still. */
class Watch {
  readonly #options: WaitForLsnOptions;
  readonly #startedMs = performance.now();
  readonly #errorsBefore = new Map<string, number>();
  readonly #confirmed = new Map<string, Lsn>();
  readonly #hinderedSinceMs = new Map<string, number>();
  readonly #told = new Set<string>();
  /**
   * When a subscription's position last moved, or it was last suspected, and how often it had no
   * worker since.
   */
  readonly #standing = new Map<string, { sinceMs: number; absences: number }>();
  #movedMs = performance.now();
  #lagToldMs = -Infinity;

  constructor(options: WaitForLsnOptions) {
    this.#options = options;
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedMs;
  }

  /** How long nothing was applied, or since the last nudge. */
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

  /** Those that stand still while their worker comes and goes; each of them now and then. */
  suspects(
    late: readonly (readonly [string, AwaitedSubscription])[],
  ): readonly (readonly [string, AwaitedSubscription])[] {
    const now = performance.now();
    return late.filter(([name]) => {
      const standing = this.#standing.get(name);
      if (standing === undefined || standing.absences < absencesOfFailing) return false;
      if (now - standing.sinceMs < restartMs) return false;
      standing.sinceMs = now;
      return true;
    });
  }

  /** Lag now and then; what hinders, once. */
  tell(late: readonly (readonly [string, AwaitedSubscription])[]): void {
    const { events, target, lsn } = this.#options;
    const now = performance.now();
    const database = target.endpoint.database;
    for (const [name, each] of late) {
      const bytes = bytesBehind(each, lsn);
      if (bytes !== undefined && now - this.#lagToldMs >= lagEventMs) {
        events({ kind: "replication-lag", database, subscription: name, bytes });
      }
      const reason = blockingReason(each);
      if (reason === undefined) {
        this.#hinderedSinceMs.delete(name);
        continue;
      }
      const since = this.#hinderedSinceMs.get(name) ?? now;
      this.#hinderedSinceMs.set(name, since);
      const told = JSON.stringify([name, each.newErrors > 0]);
      const passing = each.newErrors === 0 && now - since < restartMs;
      if (passing || this.#told.has(told)) continue;
      this.#told.add(told);
      events({
        kind: "warning",
        side: "target",
        object: `subscription ${quoteIdentifier(name)}`,
        message: reason,
        remedy: "the target's log says why",
      });
    }
    if (now - this.#lagToldMs >= lagEventMs) this.#lagToldMs = now;
  }

  /**
   * Commits an empty message on the source: its WAL is flushed, and keepalives carry a later
   * position.
   */
  async nudge(): Promise<void> {
    const { source, events } = this.#options;
    this.#movedMs = performance.now(); // not again at once
    try {
      await source.execute(
        "SET synchronous_commit = on; SELECT pg_catalog.pg_logical_emit_message(true, 'seren', '')",
      );
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      if (this.#told.has("nudge")) return;
      this.#told.add("nudge");
      events({
        kind: "warning",
        side: "source",
        message: `the idle source could not be made to report its position: ${error.message}`,
        remedy: "any committed change on the source does the same",
      });
    }
  }
}
