/**
 * What the creation of a slot waits for: every transaction that was running on the server.
 *
 * @module
 */
import {
  errorMessage,
  type EventSink,
  ExitCode,
  formatDuration,
  pause,
  plural,
  repeatUntilAborted,
  ReplicatorError,
} from "../../core/internal.ts";
import { type Session } from "../../postgres/internal.ts";

/** What waiting for a slot takes. */
export interface SlotWaitOptions {
  /** The session that creates the slot. */
  readonly walsender: Session;
  /** Any session on the server, to observe what the creation waits for. */
  readonly observer: Session;
  /** How long to wait for other transactions. */
  readonly timeoutMs: number;
  readonly events: EventSink;
}

/** A transaction that must end before a slot can be created. */
export interface AwaitedTransaction {
  /** Undefined for a prepared transaction, which has no backend. */
  readonly pid: number | undefined;
  /** The identifier of a prepared transaction. */
  readonly preparedAs: string | undefined;
  readonly database: string | undefined;
  readonly user: string | undefined;
  readonly application: string | undefined;
  readonly state: string | undefined;
  /** Milliseconds since it began; undefined if the role may not see it. */
  readonly ageMs: number | undefined;
  /** When its current or last statement began. */
  readonly queryStart: string | undefined;
}

const firstCheckMs = 250;

const checkEveryMs = 1_000;

const reportEveryMs = 15_000;

/** Reports what a creation waits for, and cancels it after the timeout. */
export class SlotWait {
  readonly #options: SlotWaitOptions;
  readonly #reported = new Map<string, number>();

  constructor(options: SlotWaitOptions) {
    this.#options = options;
  }

  /**
   * Runs until the signal aborts; never throws.
   *
   * @returns the error of the creation if it was cancelled
   */
  async watch(signal: AbortSignal): Promise<ReplicatorError | undefined> {
    const { observer, walsender, timeoutMs } = this.#options;
    const start = performance.now();
    const waitedMs = () => performance.now() - start;
    let timedOut: ReplicatorError | undefined;
    try {
      await pause(firstCheckMs, signal);
      await repeatUntilAborted(async () => {
        const transactions = await readAwaited(observer, walsender.processId);
        signal.throwIfAborted();
        this.#report(transactions, waitedMs());
        if (waitedMs() < timeoutMs) return true;
        timedOut = slotTimeout(transactions, this.#options);
        await walsender.cancel();
        return false;
      }, {
        intervalMs: () => Math.min(checkEveryMs, Math.max(50, timeoutMs - waitedMs())),
        signal,
      });
    } catch (error) {
      if (signal.aborted) return timedOut;
      // observing is optional; the creation continues and reports the server's errors itself
      this.#options.events({
        kind: "warning",
        side: this.#options.walsender.side,
        message: `cannot read what the new slot is waiting for: ${errorMessage(error)}`,
      });
    }
    return timedOut;
  }

  #report(transactions: readonly AwaitedTransaction[], waitedMs: number): void {
    const { events, walsender } = this.#options;
    const [oldest] = transactions;
    if (oldest === undefined) return;
    events({
      kind: "step-progress",
      step: "slot",
      database: walsender.endpoint.database,
      done: 0,
      total: transactions.length,
      current: `waiting for ${describeAwaited(oldest)}`,
    });
    for (const transaction of transactions) {
      const key = transaction.preparedAs ?? String(transaction.pid);
      const last = this.#reported.get(key);
      if (last !== undefined && waitedMs - last < reportEveryMs) continue;
      this.#reported.set(key, waitedMs);
      events({
        kind: "info",
        message: `the new slot is waiting for a transaction to end: ${
          describeAwaited(transaction)
        }`,
      });
    }
  }
}

function slotTimeout(
  transactions: readonly AwaitedTransaction[],
  { timeoutMs, walsender }: SlotWaitOptions,
): ReplicatorError {
  const pids = transactions.flatMap(({ pid }) => pid ?? []);
  const prepared = transactions.flatMap(({ preparedAs }) => preparedAs ?? []);
  return new ReplicatorError(
    `the slot was not created within ${formatDuration(timeoutMs)}: ${
      plural(
        transactions.length,
        "transaction that began earlier has",
        "transactions that began earlier have",
      )
    } not ended; no slot is left behind`,
    {
      side: walsender.side,
      object: `database ${walsender.endpoint.database}`,
      details: transactions.map(describeAwaited),
      remedy: [
        "wait until they end and run again, with a longer --slot-timeout if necessary",
        ...(pids.length === 0
          ? []
          : [`or end them: SELECT pg_catalog.pg_terminate_backend(${pids[0]});`]),
        ...(prepared.length === 0
          ? []
          : [`finish abandoned prepared transactions: ROLLBACK PREPARED '${prepared[0]}';`]),
      ].join("; "),
      exitCode: ExitCode.prerequisite,
    },
  );
}

/**
 * Describes a transaction: `pid 4711 (app, report.py): 2 h 05 min old, idle in transaction, last
 * statement began …`.
 */
function describeAwaited(transaction: AwaitedTransaction): string {
  const { pid, preparedAs, database, user, application, state, ageMs, queryStart } = transaction;
  const who = [user, application, database === undefined ? undefined : `database ${database}`]
    .filter((part) => part !== undefined && part !== "").join(", ");
  const what = [
    ageMs === undefined ? undefined : `${formatDuration(ageMs)} old`,
    state,
    queryStart === undefined ? undefined : `last statement began ${queryStart}`,
  ].filter((part) => part !== undefined);
  const name = preparedAs === undefined ? `pid ${pid}` : `prepared transaction '${preparedAs}'`;
  return `${name}${who === "" ? "" : ` (${who})`}${
    what.length === 0 ? "" : `: ${what.join(", ")}`
  }`;
}

// every role may read pg_locks, unlike backend_xid; age() of the transaction ID gives the order
const awaitedStatement = `
  WITH waiting AS (
    SELECT transactionid FROM pg_catalog.pg_locks
     WHERE pid = $1 AND locktype = 'transactionid' AND NOT granted
  ), holder AS (
    SELECT DISTINCT held.pid, held.transactionid
      FROM pg_catalog.pg_locks AS held
     CROSS JOIN waiting
     WHERE held.locktype = 'transactionid' AND held.granted
       AND pg_catalog.age(held.transactionid) >= pg_catalog.age(waiting.transactionid)
  )
  SELECT a.pid, NULL AS gid, a.datname AS database, a.usename AS username, a.application_name AS application,
         a.state, extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::pg_catalog.float8 * 1000 AS age_ms,
         pg_catalog.to_char(a.query_start, 'YYYY-MM-DD HH24:MI:SS') AS query_start
    FROM (SELECT pid FROM holder WHERE pid IS NOT NULL GROUP BY pid) AS h
    JOIN pg_catalog.pg_stat_activity AS a ON a.pid = h.pid
   UNION ALL
  SELECT NULL, p.gid, p.database, p.owner, NULL, 'prepared',
         extract(epoch FROM pg_catalog.clock_timestamp() - p.prepared)::pg_catalog.float8 * 1000, NULL
    FROM holder AS h
    JOIN pg_catalog.pg_prepared_xacts AS p ON p.transaction = h.transactionid
   ORDER BY age_ms DESC NULLS LAST`;

type AwaitedRow = {
  readonly pid: number | null;
  readonly gid: string | null;
  readonly database: string | null;
  readonly username: string | null;
  readonly application: string | null;
  readonly state: string | null;
  readonly age_ms: number | null;
  readonly query_start: string | null;
};

/**
 * Reads the transactions that a backend waits for, and older ones, which must end as well. Oldest
 * first.
 */
async function readAwaited(
  observer: Session,
  walsenderPid: number,
): Promise<readonly AwaitedTransaction[]> {
  const rows = await observer.query<AwaitedRow>(awaitedStatement, [walsenderPid]);
  return rows.map((row) => ({
    pid: row.pid ?? undefined,
    preparedAs: row.gid ?? undefined,
    database: row.database ?? undefined,
    user: row.username ?? undefined,
    application: row.application ?? undefined,
    state: row.state ?? undefined,
    ageMs: row.age_ms ?? undefined,
    queryStart: row.query_start ?? undefined,
  }));
}
