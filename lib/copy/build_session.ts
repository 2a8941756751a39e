/**
 * A session of one builder, which builds indexes and analyzes tables.
 *
 * @module
 */
import {
  displayName,
  type EventSink,
  ReplicatorError,
  retry,
  retryEvent,
  type TableName,
} from "../core/internal.ts";
import { type Endpoint, openSessionWithRetry, type Session } from "../postgres/internal.ts";
import type { DumpStatement } from "../schema/internal.ts";
import { giveStatistics, reportFailure, type StatisticsRestorer } from "./analyze.ts";

/** What builders do in their sessions. */
export interface BuildSessionOptions {
  readonly target: Endpoint;
  /** Settings that the dump's statements require, for every session. */
  readonly sessionStatements: readonly DumpStatement[];
  /** Sessions that share the server's memory and workers. */
  readonly sessions: number;
  readonly signal: AbortSignal;
  readonly events: EventSink;
  /** Database, as events name it. */
  readonly database: string;
  /** Executes statements; its errors name the object. */
  readonly apply: (session: Session, statements: readonly DumpStatement[]) => Promise<void>;
  /**
   * Called with a new session after one broke: the statements under way may have been committed.
   */
  readonly onReopened: (session: Session) => Promise<void>;
  /** Restores the source's statistics where possible; undefined to analyze every table. */
  readonly statistics: StatisticsRestorer | undefined;
  /** Pauses of a session whose connection broke; their number is the number of retries. */
  readonly retryDelaysMs: readonly number[];
}

/** Opened when it is first used; reopened after it broke. */
export class BuildSession implements AsyncDisposable {
  readonly #options: BuildSessionOptions;
  #session: Session | undefined;
  /** Sessions that its memory and workers are computed for. */
  #sharedBy = 0;

  constructor(options: BuildSessionOptions) {
    this.#options = options;
  }

  /**
   * Executes statements. Retries after a broken session or a lock timeout.
   *
   * @param options `alone`: no other session builds anything, so this one need not share memory and
   * parallel workers
   */
  async build(
    statements: readonly DumpStatement[],
    { alone = false }: { readonly alone?: boolean } = {},
  ): Promise<void> {
    const { apply, onReopened, events, database, retryDelaysMs, signal, sessions } = this.#options;
    await retry(async ({ retries }) => {
      try {
        if (this.#session === undefined) {
          this.#session = await this.#open();
          if (retries > 0) await onReopened(this.#session);
        }
        await this.#share(this.#session, alone ? 1 : sessions);
        await apply(this.#session, statements);
      } catch (error) {
        await this.#close();
        throw error;
      }
    }, {
      delaysMs: retryDelaysMs,
      signal,
      onRetry: (error, attempt, delayMs) =>
        events(retryEvent({ what: `building indexes of ${database}`, error, attempt, delayMs })),
    });
  }

  /** Gives tables statistics. Fails only if the run is aborted; otherwise a failure is reported. */
  async analyze(tables: readonly TableName[]): Promise<void> {
    const { events, signal, statistics: source } = this.#options;
    const open = async () => this.#session ??= await this.#open();
    try {
      await giveStatistics(tables, { source, open, signal, events });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ReplicatorError)) throw error;
      for (const table of tables) reportFailure(displayName(table), error, events);
      await this.#close();
    }
  }

  /** Its settings end with the session. */
  async #open(): Promise<Session> {
    const { target, apply, sessionStatements, events, signal } = this.#options;
    const settings = { synchronous_commit: "off" };
    const session = await openSessionWithRetry(target, {
      signal,
      settings,
      events,
      computesValues: true,
    });
    await apply(session, sessionStatements);
    this.#sharedBy = 0;
    return session;
  }

  async #share(session: Session, sessions: number): Promise<void> {
    if (this.#sharedBy === sessions) return;
    await session.query(buildSettingsStatement, [sessions]);
    this.#sharedBy = sessions;
  }

  async #close(): Promise<void> {
    await this.#session?.close();
    this.#session = undefined;
  }

  /** Closes the session if it is open. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }
}

// Memory: an eighth of effective_cache_size, divided among the builders that work at the same time.
// Workers: those of the server, divided too, and none if none are configured. Never less than
// configured.
const buildSettingsStatement = `
  SELECT pg_catalog.set_config('maintenance_work_mem', greatest(
           (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'maintenance_work_mem'),
           least(2097151,
             (SELECT setting::bigint * 8 FROM pg_catalog.pg_settings WHERE name = 'effective_cache_size')
               / 8 / $1::int))::pg_catalog.text || 'kB', false),
         pg_catalog.set_config('max_parallel_maintenance_workers', CASE wanted WHEN 0 THEN 0 ELSE greatest(
           wanted,
           least(pg_catalog.current_setting('max_parallel_workers')::int,
                 pg_catalog.current_setting('max_worker_processes')::int) / $1::int) END::pg_catalog.text, false)
    FROM pg_catalog.current_setting('max_parallel_maintenance_workers') AS configured (value)
   CROSS JOIN LATERAL CAST(configured.value AS int) AS wanted`;
