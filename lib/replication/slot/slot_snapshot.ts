/**
 * A slot with its snapshot, held open, and locks on the tables that the snapshot sees: what rows
 * are copied under.
 *
 * @module
 */
import {
  displayName,
  type EventSink,
  type Lsn,
  plural,
  poll,
  quoteIdentifier,
  ReplicatorError,
  retry,
  tableKey,
  type TableName,
} from "../../core/internal.ts";
import {
  type Endpoint,
  openSession,
  ServerError,
  type Session,
  SnapshotHolder,
  SqlState,
} from "../../postgres/internal.ts";
import { listTables, type Table } from "../../catalog/internal.ts";
import { type LockedSnapshot, type LockOptions, lockTables } from "../../copy/lock_tables.ts";
import { type CreatedSlot, createSlot, dropSlotApart, markCreation } from "./slot.ts";

/** The snapshot of a copy that a slot continues. */
export interface SlotSnapshot extends LockedSnapshot {
  readonly slot: string;
  /** Changes committed before it are in the snapshot, all others are delivered by the slot. */
  readonly consistentPoint: Lsn;
}

/** What {@linkcode createSlotSnapshot} takes besides the source. */
export interface SlotSnapshotOptions {
  /**
   * The slot's name. Its publication must already exist: changes are decoded with the catalog as of
   * the change.
   */
  readonly slot: string;
  /**
   * Its publication, to recognize a TRUNCATE that the slot delivers. Without it, a TRUNCATE counts
   * as a rewrite.
   */
  readonly publication?: string;
  /** Selects among all tables; called again under the snapshot. */
  readonly select?: LockOptions["select"];
  /**
   * Which of them are copied: only those must not be rewritten during the creation.
   *
   * @default all
   */
  readonly isCopied?: (table: TableName) => boolean;
  /** Whether the slot is synchronized to the source's standbys (17+). */
  readonly failover: boolean;
  /** How long to wait for other transactions. */
  readonly slotTimeoutMs: number;
  readonly signal: AbortSignal;
  readonly events: EventSink;
  /** Called between the slot's creation and the locks; for tests. */
  readonly onCreated?: () => Promise<void>;
}

const attempts = 8;

/**
 * Creates a slot, imports its snapshot, and locks the tables in ACCESS SHARE mode.
 *
 * In this order, because creating a slot waits for every transaction, including one that would wait
 * for these locks. A table that is rewritten, altered, dropped or created in between would not be
 * copied as the snapshot saw it; the slot is then dropped and created again. A truncated table
 * reads as empty, which is what the slot's TRUNCATE makes of it.
 *
 * States: nothing → slot created → snapshot held → tables locked (returned), or nothing if it
 * throws. Only the slot is durable.
 *
 * Requires `--allow-net` for the source's host.
 *
 * @throws ReplicatorError if other transactions do not end in time, or tables keep changing
 */
export async function createSlotSnapshot(
  source: Endpoint,
  options: SlotSnapshotOptions,
): Promise<SlotSnapshot> {
  const { signal, slot, events } = options;
  await using observer = await retry(() => openSession(source, { signal }), { signal });
  await markCreation(observer, slot);
  let reason = "";
  const created = await poll(async (failures) => {
    if (failures > 0) events({ kind: "info", message: `creating the slot again: ${reason}` });
    const outcome = await attemptSnapshot(source, { ...options, observer });
    if ("tables" in outcome) return outcome;
    reason = outcome.again;
    return undefined;
  }, { intervalMs: (failures) => 100 * failures, maxProbes: attempts, signal });
  if (created !== undefined) return created;
  throw new ReplicatorError(
    `tables changed during each of ${plural(attempts, "attempt")} to create the slot: ${reason}`,
    {
      side: "source",
      object: `database ${source.database}`,
      details: [`The slot ${slot} was dropped.`],
      remedy: "wait until the migration or job that changes tables has ended, then run again",
    },
  );
}

async function attemptSnapshot(
  source: Endpoint,
  options: SlotSnapshotOptions & { readonly observer: Session },
): Promise<SlotSnapshot | { readonly again: string }> {
  const { slot, signal, events, observer, slotTimeoutMs, failover } = options;
  const selectTables = async (session: Session) => {
    const tables = await listTables(session);
    return await (options.select?.(session, tables) ?? Promise.resolve(tables));
  };
  let created: CreatedSlot | undefined;
  let snapshot: SnapshotHolder | undefined;
  try {
    {
      await using walsender = await openSession(source, { signal, replication: true });
      created = await createSlot({
        name: slot,
        walsender,
        observer,
        timeoutMs: slotTimeoutMs,
        failover,
        signal,
        events,
      });
      snapshot = await SnapshotHolder.reexport(source, {
        identifier: created.snapshot,
        lsn: created.consistentPoint,
        signal,
      });
    }
    await options.onCreated?.();
    const { session } = snapshot;
    const tables = await selectTables(session);
    const again = await lockWithRetry(session, tables) ??
      await changeSince({
        session,
        observer,
        tables,
        now: await selectTables(observer),
        isCopied: options.isCopied ?? (() => true),
        truncated: () => readTruncated(observer, options),
      });
    if (again === undefined) {
      return { snapshot, tables, slot, consistentPoint: created.consistentPoint };
    }
    await snapshot[Symbol.asyncDispose]();
    await dropSlotApart(source, slot);
    return { again };
  } catch (error) {
    await snapshot?.[Symbol.asyncDispose]();
    // report the original error; cleanup finds a slot that cannot be dropped
    if (created !== undefined) {
      await dropSlotApart(source, slot).catch(() =>
        events({
          kind: "warning",
          side: "source",
          object: `slot ${slot}`,
          message: "it could not be dropped and retains WAL on the source",
          remedy: `run cleanup, or: SELECT pg_catalog.pg_drop_replication_slot('${slot}');`,
        })
      );
    }
    throw error;
  }
}

/** No pauses: each attempt has waited for its locks. */
const lockDelaysMs: readonly number[] = Array<number>(9).fill(0);

const passingStates: ReadonlySet<string> = new Set([
  SqlState.lockNotAvailable,
  SqlState.deadlockDetected,
]);

/**
 * Locks within the holder's transaction, in a savepoint so that failing does not end it. A session
 * that waits for these locks may hold one of them: no attempt waits longer than a few seconds.
 *
 * @returns why the snapshot is no longer usable; undefined if all tables are locked
 */
async function lockWithRetry(
  session: Session,
  tables: readonly TableName[],
): Promise<string | undefined> {
  return await retry(async () => {
    await session.execute("SAVEPOINT locks; SET LOCAL lock_timeout = '3s'");
    try {
      await lockTables(session, tables);
      await session.execute("SET LOCAL lock_timeout = 0; RELEASE SAVEPOINT locks");
      return undefined;
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      await session.execute("ROLLBACK TO SAVEPOINT locks; RELEASE SAVEPOINT locks");
      if (
        error.sqlState === SqlState.undefinedTable || error.sqlState === SqlState.invalidSchemaName
      ) {
        return error.serverMessage.message;
      }
      throw error;
    }
  }, {
    delaysMs: lockDelaysMs,
    isRetryable: (error) => error instanceof ServerError && passingStates.has(error.sqlState),
  });
}

const storageStatement = `
  SELECT c.oid, c.relfilenode, pg_catalog.pg_relation_filenode(c.oid) AS now
    FROM pg_catalog.pg_class AS c
   WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND c.oid >= 16384`;

/** What changed between the snapshot and the locks; undefined if nothing did. */
async function changeSince({ session, observer, tables, now, isCopied, truncated }: {
  /** The session that holds the snapshot. */
  readonly session: Session;
  readonly observer: Session;
  readonly tables: readonly Table[];
  /** The currently selected tables. */
  readonly now: readonly Table[];
  readonly isCopied: (table: TableName) => boolean;
  /** OIDs of the tables whose TRUNCATE the slot delivers. */
  readonly truncated: () => Promise<ReadonlySet<number>>;
}): Promise<string | undefined> {
  const present = new Map(now.map((table) => [tableKey(table), table]));
  const seen = new Set(tables.map((table) => tableKey(table)));
  const appeared = now.find((table) => !seen.has(tableKey(table)));
  if (appeared !== undefined) return `${displayName(appeared)} appeared`;
  const storage = new Map(
    (await observer.query<{ readonly oid: number; readonly now: number | null }>(storageStatement))
      .map((row) => [row.oid, row.now]),
  );
  const before = new Map(
    (await session.query<{ readonly oid: number; readonly relfilenode: number }>(storageStatement))
      .map((row) => [row.oid, row.relfilenode]),
  );
  for (const table of tables) {
    const other = present.get(tableKey(table));
    if (other?.oid !== table.oid) return `${displayName(table)} was dropped or replaced`;
    if (shapeOf(other) !== shapeOf(table)) return `${displayName(table)} was altered`;
  }
  const moved = tables.filter((table) =>
    isCopied(table) && storage.get(table.oid) !== before.get(table.oid)
  );
  if (moved.length === 0) return undefined;
  const replicated = await truncated();
  const rewritten = moved.find(({ oid }) => !replicated.has(oid));
  return rewritten === undefined ? undefined : `${displayName(rewritten)} was rewritten`;
}

/** Source: PostgreSQL documentation, "54.9. Logical Replication Message Formats", Truncate. */
const truncateStatement = `
  SELECT pg_catalog.encode(data, 'hex') AS message
    FROM pg_catalog.pg_logical_slot_peek_binary_changes($1, NULL, NULL,
           'proto_version', '1', 'publication_names', $2)
   WHERE pg_catalog.get_byte(data, 0) = pg_catalog.ascii('T')`;

/** Reads the tables whose TRUNCATE the slot delivers up to the end of WAL. Consumes nothing. */
async function readTruncated(
  observer: Session,
  { slot, publication }: Pick<SlotSnapshotOptions, "slot" | "publication">,
): Promise<ReadonlySet<number>> {
  if (publication === undefined) return new Set();
  const rows = await observer.query<{ readonly message: string }>(truncateStatement, [
    slot,
    quoteIdentifier(publication),
  ]);
  return new Set(rows.flatMap(({ message }) => {
    const view = new DataView(Uint8Array.fromHex(message).buffer);
    // 'T', number of relations, options, OIDs
    return Array.from({ length: view.getInt32(1) }, (_, at) => view.getUint32(6 + 4 * at));
  }));
}

function shapeOf({ columns, replicaIdentity }: Table): string {
  return JSON.stringify([replicaIdentity, columns.map(({ name, typeName }) => [name, typeName])]);
}
