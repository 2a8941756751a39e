/**
 * Replication slots: creating them with an exported snapshot, and dropping them.
 *
 * @module
 */
import {
  ExitCode,
  type Lsn,
  parseLsn,
  quoteIdentifier,
  ReplicatorError,
  retry,
} from "../../core/internal.ts";
import {
  type Endpoint,
  openSession,
  ServerError,
  type Session,
  SqlState,
} from "../../postgres/internal.ts";
import type { SlotState } from "./read_slots.ts";
import { SlotWait, type SlotWaitOptions } from "./slot_wait.ts";

/** A new slot. Its snapshot exists until the session that created it runs another command. */
export interface CreatedSlot {
  readonly name: string;
  /** Changes committed before it are in the snapshot, all others are delivered by the slot. */
  readonly consistentPoint: Lsn;
  /** For `SET TRANSACTION SNAPSHOT`. */
  readonly snapshot: string;
}

/** What {@linkcode createSlot} takes. */
export interface CreateSlotOptions extends SlotWaitOptions {
  readonly name: string;
  /** A walsender on the database, which must stay idle until the snapshot is imported. */
  readonly walsender: Session;
  readonly signal: AbortSignal;
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
function createSlotCommand(
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
  const watching = new SlotWait(options).watch(AbortSignal.any([options.signal, watch.signal]));
  try {
    const created = walsender.queryOne<
      { readonly consistent_point: string; readonly snapshot_name: string }
    >(createSlotCommand(name, { majorVersion: observer.majorVersion, failover }));
    const row = await created;
    return { name, consistentPoint: parseLsn(row.consistent_point), snapshot: row.snapshot_name };
  } catch (error) {
    watch.abort();
    throw await watching ?? explain(error, options);
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

const dropStatement = `
  SELECT pg_catalog.pg_drop_replication_slot(slot_name)
    FROM pg_catalog.pg_replication_slots WHERE slot_name = $1`;

const endReaderStatement = `
  SELECT pg_catalog.pg_terminate_backend(active_pid) AS ended FROM pg_catalog.pg_replication_slots
   WHERE slot_name = $1 AND active`;

const dropDelaysMs: readonly number[] = Array<number>(49).fill(100);

/**
 * Drops a slot and ends the walsender that reads it. Does nothing if the slot does not exist.
 *
 * @throws ServerError if the server refuses, for instance because a client keeps reconnecting
 */
export async function dropSlot(
  session: Session,
  { name, signal }: { readonly name: string; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  await retry(async () => {
    try {
      await session.query(dropStatement, [name]);
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      if (error.sqlState === SqlState.undefinedObject) return; // dropped by another session
      if (isSlotInUse(error)) await session.query(endReaderStatement, [name]);
      throw error;
    }
  }, { delaysMs: dropDelaysMs, isRetryable: isSlotInUse, signal });
}

/** Whether a walsender, or a session that reads changes, has acquired the slot. */
export function isSlotInUse(error: unknown): boolean {
  return error instanceof ServerError && error.sqlState === SqlState.objectInUse;
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
