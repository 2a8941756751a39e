/**
 * Detects that a statement waits for a lock, and which session holds it.
 *
 * A waiting statement looks like a working one: the server sends nothing either way. So the server
 * is queried over another connection.
 *
 * @module
 */
import { repeatUntilAborted } from "../../core/internal.ts";
import type { Endpoint } from "../connect/endpoint.ts";
import type { LockBlocker, LockWait, LockWaitSink } from "../connect/lock_wait.ts";
import { backendKey, isOwnBackend, noteOwnBackend } from "./own_backends.ts";
import type { Backend, StallObserver } from "./stalled_connection.ts";

/** The session to watch. */
export interface LockWatchOptions {
  readonly endpoint: Pick<Endpoint, "side" | "database">;
  readonly backend: Backend;
  readonly report: LockWaitSink;
  /** Opens another session on the same server. */
  readonly observe: (signal: AbortSignal) => Promise<StallObserver>;
}

/**
 * Delay before each further check: short at first, then longer; the last one repeats.
 */
const firstCheckMs = 500;
const laterChecksMs: readonly number[] = [1_500, 3_000, 10_000, 30_000];

/** Interval of checks while the statement waits. */
const waitingCheckMs = 5_000;

/**
 * Watches the statements of one session.
 *
 * States: idle ⇄ watching ({@linkcode watch}) → closed ({@linkcode close}), which is final.
 */
export class LockWatch {
  readonly #options: LockWatchOptions;
  readonly #closed = new AbortController();
  #watching: Promise<void> = Promise.resolve();

  constructor(options: LockWatchOptions) {
    this.#options = options;
    noteOwnBackend({ backend: backendKey(options.backend), isOpen: true });
  }

  /**
   * Watches the statement that starts now.
   *
   * @param isQuiet whether no bytes have moved lately, for an exchange that may be long and busy
   * @returns stops watching
   */
  watch(isQuiet: () => boolean = () => true): () => void {
    const ended = new AbortController();
    // most statements are answered long before, and cost only a timer
    const timer = setTimeout(() => {
      const run = this.#run(AbortSignal.any([this.#closed.signal, ended.signal]), isQuiet);
      this.#watching = Promise.all([this.#watching, run]).then(() => {});
    }, firstCheckMs);
    return () => {
      clearTimeout(timer);
      ended.abort();
    };
  }

  /** Stops all watching; resolves when it has ended. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.#watching;
    noteOwnBackend({ backend: backendKey(this.#options.backend), isOpen: false });
  }

  async #run(signal: AbortSignal, isQuiet: () => boolean): Promise<void> {
    const { endpoint: { side, database }, backend: { processId }, report } = this.#options;
    let waiting: { readonly wait: LockWait; readonly sinceMs: number } | undefined;
    const end = () => {
      if (waiting === undefined) return;
      const { wait: { object }, sinceMs } = waiting;
      const waitedMs = performance.now() - sinceMs;
      report({ kind: "over", side, database, processId, object, waitedMs });
      waiting = undefined;
    };
    await repeatUntilAborted(async () => {
      // a server that does not answer has nothing to report
      const wait = isQuiet() ? await this.#findWait(signal).catch(() => undefined) : undefined;
      if (signal.aborted) return;
      if (wait === undefined) end();
      else if (waiting === undefined || !isSameWait(wait, waiting.wait)) {
        waiting = { wait, sinceMs: waiting?.sinceMs ?? performance.now() - wait.waitedMs };
        report(wait);
      }
    }, { intervalMs: (checks) => delayAfter(checks - 1, waiting !== undefined), signal });
    end();
  }

  async #findWait(signal: AbortSignal): Promise<LockWait | undefined> {
    const { endpoint: { side, database }, backend, observe } = this.#options;
    const { processId, serverStart } = backend;
    const observer = await observe(signal);
    try {
      const rows = await observer.query(waitStatement, [processId]) as readonly WaitRow[];
      const [first] = rows;
      const isOwn = ({ pid }: WaitRow) => isOwnBackend(backendKey({ serverStart, processId: pid }));
      // in a chain of the tool's sessions the first one reports the session that it waits for
      if (first === undefined || rows.every(isOwn)) return undefined;
      return {
        kind: "waiting",
        side,
        database,
        processId,
        object: describeLockedObject(first),
        mode: first.mode,
        waitedMs: first.waited_ms ?? 0,
        blockers: rows.map(toBlocker),
      };
    } finally {
      await observer.close();
    }
  }
}

function delayAfter(check: number, isWaiting: boolean): number {
  return isWaiting ? waitingCheckMs : laterChecksMs[check] ?? laterChecksMs.at(-1)!;
}

function isSameWait(one: LockWait, other: LockWait): boolean {
  const key = (wait: LockWait) =>
    [wait.object, ...wait.blockers.map(({ processId }) => processId)].join(" ");
  return key(one) === key(other);
}

interface WaitRow {
  readonly mode: string;
  readonly locktype: string;
  /** `public.orders`, quoted where necessary; null when it is not a relation of this database. */
  readonly relation: string | null;
  readonly relkind: string | null;
  readonly transaction: string | null;
  /** How long the statement has been running. */
  readonly waited_ms: number | null;
  readonly pid: number;
  readonly role: string | null;
  readonly application: string | null;
  readonly client: string | null;
  readonly state: string | null;
  readonly transaction_ms: number | null;
}

// Source: PostgreSQL documentation, "54.12. pg_locks" and "9.26. System Information Functions",
// pg_blocking_pids.
const waitStatement = `
  SELECT l.mode, l.locktype, c.relkind::pg_catalog.text,
         pg_catalog.format('%I.%I', n.nspname, c.relname) AS relation,
         COALESCE(l.transactionid::pg_catalog.text, l.virtualxid) AS transaction,
         (EXTRACT(epoch FROM pg_catalog.clock_timestamp() - w.query_start) * 1000)::pg_catalog.float8
           AS waited_ms,
         b.pid, a.usename::pg_catalog.text AS role, a.application_name AS application,
         pg_catalog.host(a.client_addr) AS client, a.state,
         (EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.xact_start) * 1000)::pg_catalog.float8
           AS transaction_ms
    FROM pg_catalog.pg_locks AS l
   CROSS JOIN pg_catalog.unnest(pg_catalog.pg_blocking_pids(l.pid)) AS b (pid)
    LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = b.pid
    LEFT JOIN pg_catalog.pg_stat_activity AS w ON w.pid = l.pid
    LEFT JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
          AND l.database IN (0, (SELECT d.oid FROM pg_catalog.pg_database AS d
                                  WHERE d.datname = pg_catalog.current_database()))
    LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE l.pid = $1::pg_catalog.int4 AND NOT l.granted
   ORDER BY a.xact_start, b.pid`;

function toBlocker(row: WaitRow): LockBlocker {
  return {
    processId: row.pid,
    role: row.role,
    application: row.application,
    client: row.client,
    state: row.state,
    transactionMs: row.transaction_ms,
  };
}

const relationKinds: Readonly<Record<string, string>> = {
  r: "table",
  p: "partitioned table",
  v: "view",
  m: "materialized view",
  i: "index",
  I: "partitioned index",
  S: "sequence",
  f: "foreign table",
  t: "TOAST table",
};

function describeLockedObject({ locktype, relation, relkind, transaction }: WaitRow): string {
  if (relation !== null) return `${relationKinds[relkind ?? ""] ?? "relation"} ${relation}`;
  return transaction === null ? `a lock of type ${locktype}` : `transaction ${transaction}`;
}
