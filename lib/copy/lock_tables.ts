/**
 * Keeps the tables of a copy as they are while it runs.
 *
 * @module
 */
import { plural, quoteQualified, ReplicatorError, type TableName } from "../core/internal.ts";
import { type Endpoint, openSession, type Session, SnapshotHolder } from "../postgres/internal.ts";
import { listTables, type Table } from "../catalog/internal.ts";

/** A snapshot and the tables that it sees, all of them locked in ACCESS SHARE mode. */
export interface LockedSnapshot {
  /** The snapshot that is read under. */
  readonly snapshot: SnapshotHolder;
  /** The tables. */
  readonly tables: readonly Table[];
}

/** What {@linkcode exportLockedSnapshot} takes besides the place. */
export interface LockOptions {
  /** Ends the work; the promise then rejects with its reason. */
  readonly signal: AbortSignal;
  /** The tables that are wanted, of all there are; asked again under the snapshot. */
  readonly select?: (session: Session, tables: readonly Table[]) => Promise<readonly Table[]>;
}

/**
 * Where the consistent point of a database comes from: {@linkcode exportLockedSnapshot}, or with
 * replication the slot that is made at that point. All of the tables that it gives are locked, and
 * its snapshot sees just these.
 */
export type SnapshotSource<Point extends LockedSnapshot = LockedSnapshot> = (
  source: Endpoint,
  options: LockOptions,
) => Promise<Point>;

const attempts = 5;
const batchSize = 500;

/**
 * Locks all tables that are wanted, then exports a snapshot, then makes sure that it sees just
 * these tables.
 *
 * ACCESS SHARE stops nothing but what would falsify the copy: DROP, ALTER TABLE … and TRUNCATE,
 * which would make a table look empty to an older snapshot ("13.6. Caveats"). pg_dump takes the
 * same locks.
 *
 * @throws ReplicatorError when tables keep appearing and vanishing
 */
export async function exportLockedSnapshot(
  source: Endpoint,
  { signal, select = (_, tables) => Promise.resolve(tables) }: LockOptions,
): Promise<LockedSnapshot> {
  const wanted = async (session: Session) => await select(session, await listTables(session));
  for (let attempt = 0; attempt < attempts; attempt++) {
    const { snapshot, tables: locked } = await lockAndExport(source, { signal, wanted });
    try {
      const tables = await wanted(snapshot.session);
      if (sameTables(locked, tables)) return { snapshot, tables };
    } catch (error) {
      await snapshot[Symbol.asyncDispose]();
      throw error;
    }
    await snapshot[Symbol.asyncDispose]();
  }
  throw new ReplicatorError(
    `tables appeared or vanished during each of ${plural(attempts, "attempt")} to lock them`,
    {
      side: "source",
      object: `database ${source.database}`,
      remedy: "wait until the migration or job that creates tables there has ended, then run again",
    },
  );
}

/** @returns the snapshot, and the tables that were chosen and locked before it was taken */
async function lockAndExport(
  source: Endpoint,
  { signal, wanted }: {
    readonly signal: AbortSignal;
    readonly wanted: (session: Session) => Promise<readonly Table[]>;
  },
): Promise<LockedSnapshot> {
  const session = await openSession(source, { signal });
  const tables = await wanted(session).catch(async (error) => {
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
