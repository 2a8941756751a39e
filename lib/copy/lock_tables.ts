/**
 * Locks the tables of a copy so that they cannot change under it.
 *
 * @module
 */
import { plural, poll, quoteQualified, ReplicatorError, type TableName } from "../core/internal.ts";
import { type Endpoint, openSession, type Session, SnapshotHolder } from "../postgres/internal.ts";
import { listTables, type Table } from "../catalog/internal.ts";

/** A snapshot and the tables that it sees, locked in ACCESS SHARE mode. */
export interface LockedSnapshot {
  /** The snapshot that is read under. */
  readonly snapshot: SnapshotHolder;
  /** The tables. */
  readonly tables: readonly Table[];
}

/** Which tables {@linkcode exportLockedSnapshot} locks. */
export interface LockOptions {
  /** Ends the work; the promise then rejects with its reason. */
  readonly signal: AbortSignal;
  /** Selects from all tables; called again under the snapshot. Undefined: all of them. */
  readonly select:
    | ((session: Session, tables: readonly Table[]) => Promise<readonly Table[]>)
    | undefined;
}

const attempts = 5;
const batchSize = 500;

/**
 * Locks the selected tables, exports a snapshot, and makes sure that it sees exactly these tables.
 *
 * ACCESS SHARE blocks only what would falsify the copy: DROP, ALTER TABLE … and TRUNCATE, which
 * makes a table appear empty to an older snapshot ("13.6. Caveats"). pg_dump takes the same locks.
 *
 * @throws ReplicatorError if tables keep being created and dropped
 */
export async function exportLockedSnapshot(
  source: Endpoint,
  { signal, select }: LockOptions,
): Promise<LockedSnapshot> {
  const readTables = async (session: Session) => {
    const tables = await listTables(session);
    return await (select?.(session, tables) ?? tables);
  };
  const snapshot = await poll(async () => {
    const { snapshot, tables: locked } = await lockAndExport(source, { signal, readTables });
    try {
      const tables = await readTables(snapshot.session);
      if (sameTables(locked, tables)) return { snapshot, tables };
    } catch (error) {
      await snapshot[Symbol.asyncDispose]();
      throw error;
    }
    await snapshot[Symbol.asyncDispose]();
    return undefined;
  }, { intervalMs: 0, maxProbes: attempts, signal });
  if (snapshot !== undefined) return snapshot;
  throw new ReplicatorError(
    `tables were created or dropped during each of ${plural(attempts, "attempt")} to lock them`,
    {
      side: "source",
      object: `database ${source.database}`,
      remedy:
        "wait for the migration or job that creates or drops tables there, then run the same command again",
    },
  );
}

/** @returns the snapshot, and the tables that were locked before it was taken */
async function lockAndExport(
  source: Endpoint,
  { signal, readTables }: {
    readonly signal: AbortSignal;
    readonly readTables: (session: Session) => Promise<readonly Table[]>;
  },
): Promise<LockedSnapshot> {
  const session = await openSession(source, { signal });
  const tables = await readTables(session).catch(async (error) => {
    await session.close();
    throw error;
  });
  return {
    snapshot: await SnapshotHolder.export(session, () => lockTables(session, tables)),
    tables,
  };
}

/** Locks tables in ACCESS SHARE mode until the session's transaction ends. */
export async function lockTables(session: Session, tables: readonly TableName[]): Promise<void> {
  for (let from = 0; from < tables.length; from += batchSize) {
    const names = tables.slice(from, from + batchSize).map(({ schema, name }) =>
      quoteQualified(schema, name)
    );
    await session.execute(`LOCK TABLE ONLY ${names.join(", ONLY ")} IN ACCESS SHARE MODE`);
  }
}

function sameTables(before: readonly Table[], after: readonly Table[]): boolean {
  return before.length === after.length &&
    before.every(({ oid }, index) => after[index]?.oid === oid);
}
