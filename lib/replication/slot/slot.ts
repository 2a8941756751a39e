/**
 * Replication slots: creating them with an exported snapshot, and dropping them.
 *
 * @module
 */
import {
  displayName,
  errorMessage,
  type EventSink,
  ExitCode,
  formatDuration,
  type Lsn,
  parseLsn,
  plural,
  quoteIdentifier,
  ReplicatorError,
} from "../../core/internal.ts";
import {
  type Endpoint,
  openSession,
  pause,
  retry,
  ServerError,
  type Session,
  SqlState,
} from "../../postgres/internal.ts";
import type { SlotState } from "./read_slots.ts";

/** A new slot. Its snapshot exists until the session that created it runs another command. */
export interface CreatedSlot {
  readonly name: string;
  /** Changes committed before it are in the snapshot, all others are delivered by the slot. */
  readonly consistentPoint: Lsn;
  /** For `SET TRANSACTION SNAPSHOT`. */
  readonly snapshot: string;
}

/** What {@linkcode createSlot} takes. */
export interface CreateSlotOptions {
  readonly name: string;
  /** A walsender on the database, which must stay idle until the snapshot is imported. */
  readonly walsender: Session;
  /** Any session on the server, to observe what the creation waits for. */
  readonly observer: Session;
  /** How long to wait for other transactions. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
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

/**
 * The replication command that creates a slot. Its grammar changed in 15; failover slots exist
 * since 17.
 *
 * TWO_PHASE stays off: a prepared transaction is then delivered at its commit, and the target needs
 * no `max_prepared_transactions`.
 *
 * Source: PostgreSQL documentation, "54.4. Streaming Replication Protocol",
 * CREATE_REPLICATION_SLOT.
 */
export function createSlotCommand(
  name: string,
  { majorVersion, failover }: { readonly majorVersion: number; readonly failover: boolean },
): string {
  const create = `CREATE_REPLICATION_SLOT ${quoteIdentifier(name)} LOGICAL pgoutput`;
  if (majorVersion < 15) return `${create} EXPORT_SNAPSHOT`;
  return `${create} (SNAPSHOT 'export'${failover && majorVersion >= 17 ? ", FAILOVER true" : ""})`;
}

/**
 * Creates a slot. The server waits for every running transaction of any database; events report
 * them. A failed creation leaves no slot behind.
 *
 * @throws ReplicatorError with the transactions that did not end in time
 */
export async function createSlot(
  options: CreateSlotOptions & { readonly failover: boolean },
): Promise<CreatedSlot> {
  const { name, walsender, observer, failover } = options;
  const watch = new AbortController();
  const waiting = new SlotWait(options);
  const watching = waiting.watch(AbortSignal.any([options.signal, watch.signal]));
  try {
    const created = walsender.queryOne<
      { readonly consistent_point: string; readonly snapshot_name: string }
    >(createSlotCommand(name, { majorVersion: observer.majorVersion, failover }));
    const row = await created;
    return { name, consistentPoint: parseLsn(row.consistent_point), snapshot: row.snapshot_name };
  } catch (error) {
    if (waiting.timedOut !== undefined) throw waiting.timedOut;
    throw explain(error, options);
  } finally {
    watch.abort();
    await watching;
  }
}

function explain(error: unknown, { name, walsender }: CreateSlotOptions): unknown {
  if (!(error instanceof ServerError)) return error;
  const remedies: Readonly<Record<string, string>> = {
    [SqlState.duplicateObject]: "another run is creating it, or an earlier run was killed: " +
      "run cleanup, or drop the slot if it is not in use",
    [SqlState.objectNotInPrerequisiteState]:
      "set wal_level = logical on the source (needs a restart)",
    [SqlState.configurationLimitExceeded]:
      "raise max_replication_slots and max_wal_senders on the source (needs a restart), or drop unused slots",
    [SqlState.insufficientPrivilege]:
      "grant the role the REPLICATION attribute, or the provider's equivalent",
  };
  const remedy = remedies[error.sqlState];
  return remedy === undefined ? error : new ReplicatorError(
    `the slot ${name} cannot be created: ${error.serverMessage.message}`,
    {
      side: "source",
      object: `database ${walsender.endpoint.database}`,
      remedy,
      exitCode: ExitCode.prerequisite,
      cause: error,
    },
  );
}

const firstCheckMs = 250;
const checkEveryMs = 1_000;
const reportEveryMs = 15_000;

/** Reports what a creation waits for, and cancels it after the timeout. */
class SlotWait {
  /** The error of a creation that was cancelled. */
  timedOut: ReplicatorError | undefined;
  readonly #options: CreateSlotOptions;
  readonly #reported = new Map<string, number>();

  constructor(options: CreateSlotOptions) {
    this.#options = options;
  }

  /** Runs until the signal aborts; never throws. */
  async watch(signal: AbortSignal): Promise<void> {
    const start = performance.now();
    try {
      await pause(firstCheckMs, signal);
      for (;;) {
        const transactions = await readAwaited(
          this.#options.observer,
          this.#options.walsender.processId,
        );
        signal.throwIfAborted();
        const waitedMs = performance.now() - start;
        this.#report(transactions, waitedMs);
        if (waitedMs >= this.#options.timeoutMs) {
          this.timedOut = slotTimeout(transactions, this.#options);
          await this.#options.walsender.cancel();
          return;
        }
        await pause(
          Math.min(checkEveryMs, Math.max(50, this.#options.timeoutMs - waitedMs)),
          signal,
        );
      }
    } catch (error) {
      if (signal.aborted) return;
      // observing is optional; the creation continues and reports the server's errors itself
      this.#options.events({
        kind: "warning",
        side: "source",
        message: `cannot read what the new slot is waiting for: ${errorMessage(error)}`,
      });
    }
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
  { timeoutMs, walsender }: CreateSlotOptions,
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
      side: "source",
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
export function describeAwaited(transaction: AwaitedTransaction): string {
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
export async function readAwaited(
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

const dropStatement = `
  SELECT pg_catalog.pg_terminate_backend(active_pid) AS ended FROM pg_catalog.pg_replication_slots
   WHERE slot_name = $1 AND active`;

const dropAttempts = 50;
const dropPauseMs = 100;

/**
 * Drops a slot and ends the walsender that reads it. Does nothing if the slot does not exist.
 *
 * @throws ServerError if the server refuses, for instance because a client keeps reconnecting
 */
export async function dropSlot(
  session: Session,
  { name, signal }: { readonly name: string; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  for (let attempt = 1;; attempt++) {
    try {
      await session.query(
        "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots WHERE slot_name = $1",
        [name],
      );
      return;
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      if (error.sqlState === SqlState.undefinedObject) return; // dropped by another session
      if (error.sqlState !== SqlState.objectInUse || attempt >= dropAttempts) throw error;
    }
    await session.query(dropStatement, [name]);
    await pause(dropPauseMs, signal);
  }
}

const creationClass = 0x53455253; // "SERS"

/**
 * Marks the slot as being created for as long as the session lasts: a walsender that waits for
 * transactions does not notice that its client was killed, an idle session does. The lock is
 * shared, so runs of one slot do not exclude each other.
 */
export async function markCreation(session: Session, slot: string): Promise<void> {
  await session.query(
    "SELECT pg_catalog.pg_advisory_lock_shared($1::int, pg_catalog.hashtext($2))",
    [
      creationClass,
      slot,
    ],
  );
}

/**
 * Whether a slot is being created by a run that no longer exists. The session must be on the slot's
 * database.
 */
export async function isCreationOrphaned(session: Session, slot: SlotState): Promise<boolean> {
  if (!slot.active || slot.confirmedFlushLsn !== undefined) return false;
  const { marked } = await session.queryOne<{ readonly marked: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_locks AS l
                     WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted
                       AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
                       AND l.classid = $1::int::pg_catalog.oid AND l.objid = pg_catalog.hashtext($2)::pg_catalog.oid) AS marked`,
    [creationClass, slot.name],
  );
  return !marked;
}

/** Drops a slot over a new session, which an interruption does not end. */
export async function dropSlotApart(source: Endpoint, name: string): Promise<void> {
  await using session = await retry(() => openSession(source));
  await dropSlot(session, { name });
}

/** Lists up to `max` tables and counts the others. */
export function nameSome(
  tables: readonly { readonly schema: string; readonly name: string }[],
  max = 5,
): string {
  const names = tables.slice(0, max).map(displayName).join(", ");
  return tables.length > max ? `${names} and ${tables.length - max} more` : names;
}
