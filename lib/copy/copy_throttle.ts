/**
 * Samples the source during a copy, and slows the copy down when standbys fall behind.
 *
 * @module
 */
import { type EventSink, formatBytes, pause, ReplicatorError } from "../core/internal.ts";
import { type Endpoint, openSession, type Session } from "../postgres/internal.ts";
import {
  decideRate,
  initialThrottleState,
  type SourceSample,
  type ThrottleNote,
  type Waiter,
} from "./throttle_decision.ts";
import type { CopySettings } from "./copy_settings.ts";
import { RateLimiter } from "./rate_limiter.ts";

/** What is sampled, and how. */
export interface CopyThrottleOptions {
  readonly source: Endpoint;
  readonly settings: Pick<CopySettings, "maxBytesPerSecond" | "throttle">;
  readonly signal: AbortSignal;
  readonly events: EventSink;
}

// Standbys: every replication connection except the tool's own. Waiters: sessions that wait for one
// of the tool's sessions in this database, or behind another waiter.
const sampleStatement = `
  WITH RECURSIVE own (pid) AS (
    SELECT a.pid FROM pg_catalog.pg_stat_activity AS a
     WHERE a.datname = pg_catalog.current_database()
       AND a.application_name = pg_catalog.current_setting('application_name')
  ), waiting (pid, blockers) AS MATERIALIZED (
    SELECT a.pid, pg_catalog.pg_blocking_pids(a.pid) FROM pg_catalog.pg_stat_activity AS a
     WHERE a.wait_event_type = 'Lock'
  ), behind (pid) AS (
    SELECT pid FROM own
    UNION
    SELECT w.pid FROM waiting AS w JOIN behind AS b ON b.pid = ANY (w.blockers)
  )
  SELECT (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
                   'name', coalesce(nullif(r.application_name, ''), r.client_addr::pg_catalog.text, r.pid::pg_catalog.text),
                   'lagBytes', greatest(0, pg_catalog.pg_wal_lsn_diff(
                     CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_receive_lsn()
                          ELSE pg_catalog.pg_current_wal_lsn() END, r.replay_lsn))::pg_catalog.float8)), '[]')
            FROM pg_catalog.pg_stat_replication AS r
           WHERE r.replay_lsn IS NOT NULL AND r.state IN ('streaming', 'catchup')
             AND r.pid NOT IN (SELECT pid FROM own)) AS standbys,
         (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
                   'processId', a.pid, 'role', coalesce(a.usename, '?'),
                   'command', coalesce(pg_catalog.regexp_replace(pg_catalog.upper((pg_catalog.regexp_match(a.query,
                     '^\\s*((?:alter|drop|create|lock|truncate|comment on|cluster|reindex|vacuum)(?:\\s+(?:table|index|unique|full|view|trigger|policy|rule))?|[a-z]+)', 'i'))[1]), '\\s+', ' ', 'g'), '?'),
                   'relation', (SELECT CASE n.nspname WHEN 'public' THEN pg_catalog.quote_ident(c.relname)
                                            ELSE pg_catalog.format('%I.%I', n.nspname, c.relname) END
                                  FROM pg_catalog.pg_locks AS l
                                  JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
                                  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                                 WHERE l.pid = a.pid AND NOT l.granted LIMIT 1),
                   'waitedSeconds', greatest(0, coalesce(extract(epoch FROM pg_catalog.now() - a.query_start), 0))::pg_catalog.float8,
                   'behind', NOT EXISTS (SELECT FROM waiting AS w
                                           JOIN own ON own.pid = ANY (w.blockers)
                                          WHERE w.pid = a.pid)) ORDER BY a.query_start, a.pid), '[]')
            FROM pg_catalog.pg_stat_activity AS a
           WHERE a.pid IN (SELECT pid FROM behind) AND a.pid NOT IN (SELECT pid FROM own)) AS waiters,
         (SELECT pg_catalog.max(pg_catalog.age(a.backend_xmin))::pg_catalog.float8 FROM pg_catalog.pg_stat_activity AS a
           WHERE a.pid IN (SELECT pid FROM own) AND a.pid <> pg_catalog.pg_backend_pid()) AS "snapshotAge"`;

type SampleRow = Pick<SourceSample, "standbys"> & {
  readonly snapshotAge: number | null;
  readonly waiters: readonly (Omit<Waiter, "relation"> & { readonly relation: string | null })[];
};

/**
 * Limits the rate of a copy. States: sampling → ended, by its disposal or its signal. If the source
 * cannot be sampled, a warning is reported and the copy continues.
 */
export class CopyThrottle implements AsyncDisposable {
  readonly #options: CopyThrottleOptions;
  readonly #ended = new AbortController();
  readonly #limiter: RateLimiter;
  readonly #watching: Promise<void>;

  /** Starts sampling. Requires `--allow-net` for the source. */
  constructor(options: CopyThrottleOptions) {
    this.#options = options;
    const signal = AbortSignal.any([options.signal, this.#ended.signal]);
    const { maxBytesPerSecond: bytesPerSecond } = options.settings;
    this.#limiter = new RateLimiter({ bytesPerSecond, signal });
    this.#reportMaxRate();
    this.#watching = this.#watch(signal).catch((error) => {
      if (signal.aborted) return;
      if (!(error instanceof ReplicatorError)) throw error;
      options.events({
        kind: "warning",
        side: "source",
        object: `database ${options.source.database}`,
        message: `it is not monitored during the copy: ${error.message}`,
        remedy: "check the lag of its standbys and sessions that wait for locks yourself",
      });
    });
    this.#watching.catch(() => {}); // the disposal throws it
  }

  /** For `RelayOptions.pace`. */
  get pace(): (bytes: number) => Promise<void> | undefined {
    return this.#limiter.pace;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort(new DOMException("the copy is over", "AbortError"));
    await this.#watching;
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { source, settings: { maxBytesPerSecond, throttle } } = this.#options;
    const { limits, intervalMs } = throttle;
    // a copy that ends before needs no sample
    await pause(intervalMs, signal);
    await using session = await openSession(source, { signal });
    let state = initialThrottleState;
    let last = { atMs: performance.now(), bytes: this.#limiter.bytes };
    for (;; await pause(intervalMs, signal)) {
      const now = { atMs: performance.now(), bytes: this.#limiter.bytes };
      const bytesPerSecond = (now.bytes - last.bytes) / Math.max(1, now.atMs - last.atMs) *
        1000;
      last = now;
      const sample = { ...await readSample(session), bytesPerSecond };
      const decision = decideRate(state, sample, limits);
      state = decision.state;
      const { bytesPerSecond: automatic } = state;
      this.#limiter.bytesPerSecond = automatic === undefined || maxBytesPerSecond === undefined
        ? automatic ?? maxBytesPerSecond
        : Math.min(automatic, maxBytesPerSecond);
      for (const note of decision.notes) this.#reportNote(note, automatic);
    }
  }

  #reportNote(
    { about, message, remedy, over }: ThrottleNote,
    bytesPerSecond: number | undefined,
  ): void {
    const { events, source: { database } } = this.#options;
    if (remedy !== undefined) events({ kind: "warning", side: "source", message, remedy });
    events({
      kind: "governor",
      database,
      about,
      message,
      ...(about === "speed" && bytesPerSecond !== undefined ? { bytesPerSecond } : {}),
      ...(over === undefined ? {} : { over }),
    });
    if (about === "speed" && over) this.#reportMaxRate();
  }

  /** Reports the limit of --max-rate, which applies when no other does. */
  #reportMaxRate(): void {
    const { events, source: { database }, settings: { maxBytesPerSecond } } = this.#options;
    if (maxBytesPerSecond === undefined) return;
    events({
      kind: "governor",
      database,
      about: "speed",
      message: `limited to ${formatBytes(maxBytesPerSecond)}/s by --max-rate`,
      bytesPerSecond: maxBytesPerSecond,
    });
  }
}

async function readSample(session: Session): Promise<Omit<SourceSample, "bytesPerSecond">> {
  const { standbys, waiters, snapshotAge } = await session.queryOne<SampleRow>(sampleStatement);
  return {
    standbys,
    waiters: waiters.map((waiter) => ({ ...waiter, relation: waiter.relation ?? undefined })),
    snapshotAge: snapshotAge ?? undefined,
  };
}
