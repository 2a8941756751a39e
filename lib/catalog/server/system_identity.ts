/**
 * Determines whether two sessions are in the same database, whatever their addresses and users.
 *
 * @module
 */
import { ServerError, type Session } from "../../postgres/internal.ts";

/** How the databases of two sessions relate. */
export type ServerRelation = "same-database" | "same-cluster" | "different";

/** What identifies a server. */
export type ClusterFacts = {
  /**
   * Undefined if the role may not read it. Clones restored from a backup share it with their
   * origin.
   */
  readonly systemIdentifier: string | undefined;
  readonly database: string;
  readonly databaseOid: number;
  readonly inRecovery: boolean;
  /** Databases and roles with their OIDs: unique except among clones. */
  readonly fingerprint: string;
};

/**
 * Determines how the databases of two sessions relate.
 *
 * The proof is a lock that one session takes and the other one sees, which needs no privileges and
 * works through poolers. For standbys, which do not share locks with their primary, identifiers
 * decide.
 */
export async function sameDatabase(a: Session, b: Session): Promise<ServerRelation> {
  const [factsOfA, factsOfB] = await Promise.all([readClusterFacts(a), readClusterFacts(b)]);
  const seen = await seesLockOf(a, b);
  return relate(factsOfA, factsOfB, { sharesLocks: seen });
}

/** The decision. Pure. */
export function relate(
  a: ClusterFacts,
  b: ClusterFacts,
  { sharesLocks }: { readonly sharesLocks: boolean | undefined },
): ServerRelation {
  if (sharesLocks === false && !a.inRecovery && !b.inRecovery) return "different";
  const same = sharesLocks === true ||
    (a.systemIdentifier !== undefined && b.systemIdentifier !== undefined
      ? a.systemIdentifier === b.systemIdentifier
      : a.fingerprint === b.fingerprint);
  if (!same) return "different";
  return a.databaseOid === b.databaseOid ? "same-database" : "same-cluster";
}

const factsStatement = `
  SELECT d.datname AS database, d.oid AS database_oid, pg_catalog.pg_is_in_recovery() AS in_recovery,
         pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may_identify,
         (SELECT pg_catalog.string_agg(pg_catalog.format('%s %s %s', oid, datname, datfrozenxid), ',' ORDER BY oid)
            FROM pg_catalog.pg_database)
         || '/' ||
         (SELECT pg_catalog.string_agg(pg_catalog.format('%s %s', oid, rolname), ',' ORDER BY oid)
            FROM pg_catalog.pg_roles) AS fingerprint
    FROM pg_catalog.pg_database AS d
   WHERE d.datname = pg_catalog.current_database()`;

const identifierStatement = `
  SELECT system_identifier::pg_catalog.text AS identifier FROM pg_catalog.pg_control_system()`;

type FactsRow = {
  readonly database: string;
  readonly database_oid: number;
  readonly in_recovery: boolean;
  readonly may_identify: boolean;
  readonly fingerprint: string;
};

/** Reads what identifies a server and the session's database. */
export async function readClusterFacts(session: Session): Promise<ClusterFacts> {
  const row = await session.queryOne<FactsRow>(factsStatement);
  const identifier = row.may_identify
    ? (await session.queryOne<{ identifier: string }>(identifierStatement)).identifier
    : undefined;
  return {
    systemIdentifier: identifier,
    database: row.database,
    databaseOid: row.database_oid,
    inRecovery: row.in_recovery,
    fingerprint: row.fingerprint,
  };
}

/** Undefined when it cannot be tested: a pooler without transactions. */
async function seesLockOf(holder: Session, observer: Session): Promise<boolean | undefined> {
  const [high, low] = crypto.getRandomValues(new Int32Array(2));
  try {
    return await holder.transaction(async () => {
      await holder.query("SELECT pg_catalog.pg_advisory_xact_lock($1::int, $2::int)", [
        high!,
        low!,
      ]);
      const { seen } = await observer.queryOne<{ seen: boolean }>(
        `SELECT EXISTS (SELECT FROM pg_catalog.pg_locks
                         WHERE locktype = 'advisory' AND objsubid = 2
                           AND classid = ($1::int::bigint & 4294967295)::pg_catalog.oid
                           AND objid = ($2::int::bigint & 4294967295)::pg_catalog.oid) AS seen`,
        [high!, low!],
      );
      return seen;
    });
  } catch (error) {
    if (error instanceof ServerError) return undefined;
    throw error;
  }
}
