/**
 * Whether appliers advance while they are waited for, and what to report about it.
 *
 * @module
 */
import { type EventSink, type Lsn, quoteIdentifier } from "../../core/internal.ts";
import { ServerError, type Session } from "../../postgres/internal.ts";
import { type AwaitedApplier, blockingReason, bytesBehind } from "./awaited_applier.ts";

/** What a watch needs. */
export interface LsnWatchOptions {
  readonly source: Session;
  readonly target: Session;
  readonly lsn: Lsn;
  readonly events: EventSink;
}

const lagEventMs = 500;

/** A worker or slot missing for less than this may be restarting, which is not reported. */
const restartMs = 10_000;

/** Readings without a worker after which it is suspected of failing. */
const suspiciousAbsences = 3;

/** The readings so far, which show whether anything is moving. */
export class LsnWatch {
  readonly #options: LsnWatchOptions;
  readonly #startedMs = performance.now();
  readonly #errorsBefore = new Map<string, number>();
  readonly #confirmed = new Map<string, Lsn>();
  readonly #blockedSinceMs = new Map<string, number>();
  readonly #reported = new Set<string>();
  /**
   * When an applier's position last moved, or it was last suspected, and how many readings
   * since then found no worker.
   */
  readonly #standing = new Map<string, { sinceMs: number; absences: number }>();
  #movedMs = performance.now();
  #lagReportedMs = -Infinity;

  constructor(options: LsnWatchOptions) {
    this.#options = options;
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedMs;
  }

  /** Time since anything was applied, or since the last nudge. */
  get stuckMs(): number {
    return performance.now() - this.#movedMs;
  }

  note(
    found: readonly [string, Omit<AwaitedApplier, "newErrors">][],
  ): readonly [string, AwaitedApplier][] {
    return found.map(([name, each]) => {
      const errors = each.applier?.applyErrors ?? 0;
      const confirmed = each.slot?.confirmedFlushLsn;
      const before = this.#confirmed.get(name);
      const moved = confirmed !== undefined && before !== undefined && confirmed > before;
      if (moved) this.#movedMs = performance.now();
      if (confirmed !== undefined) this.#confirmed.set(name, confirmed);
      if (moved || !this.#errorsBefore.has(name)) this.#errorsBefore.set(name, errors);
      const standing = this.#standing.get(name);
      if (moved || standing === undefined) {
        this.#standing.set(name, { sinceMs: performance.now(), absences: 0 });
      } else if (each.applier?.workerPid === undefined) standing.absences++;
      return [name, { ...each, newErrors: errors - (this.#errorsBefore.get(name) ?? 0) }];
    });
  }

  /**
   * Appliers that do not advance while their worker keeps restarting; each only periodically.
   */
  suspects(
    late: readonly (readonly [string, AwaitedApplier])[],
  ): readonly (readonly [string, AwaitedApplier])[] {
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
  report(late: readonly (readonly [string, AwaitedApplier])[]): void {
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
        ...(each.applier?.kind === "client"
          ? {
            object: `stream ${quoteIdentifier(name)}`,
            remedy: "sync resumes where it was stopped",
          }
          : {
            object: `subscription ${quoteIdentifier(name)}`,
            remedy: "see the target's log for the cause",
          }),
        message: reason,
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
        "SET synchronous_commit = local; SELECT pg_catalog.pg_logical_emit_message(true, 'seren', '')",
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
