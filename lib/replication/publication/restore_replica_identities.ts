/**
 * Restores the replica identities that tables had before replication.
 *
 * @module
 */
import { displayName, quoteQualified, type Side, type TableName } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { type ChangedIdentity, restoreIdentity } from "./publication_comment.ts";

const fullStatement = `
  SELECT n.nspname AS schema, c.relname AS name
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind = 'r' AND c.relreplident = 'f'`;

/** Lists the tables of the session's database that have REPLICA IDENTITY FULL. */
export async function listFullTables(session: Session): Promise<readonly TableName[]> {
  return await session.query<TableName>(fullStatement);
}

// by OID where it was recorded: the table may have been renamed since, and another may have its
// name
const stateStatement = (hasSchemas: boolean) => `
  SELECT n.nspname AS schema, c.relname AS name,
         EXISTS (SELECT FROM pg_catalog.pg_index AS i
                   JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
                  WHERE i.indrelid = c.oid AND x.relname = $3 AND i.indisvalid AND i.indisunique
                    AND i.indimmediate AND i.indpred IS NULL) AS has_index,
         coalesce(pg_catalog.pg_has_role($4::pg_catalog.oid, c.relowner, 'MEMBER'), true) AS is_writers,
         pg_catalog.to_json(ARRAY(SELECT p.pubname::pg_catalog.text
                 FROM pg_catalog.pg_publication AS p
                WHERE p.puballtables
                   OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel AS r
                               WHERE r.prpubid = p.oid AND r.prrelid IN (SELECT * FROM published))${
  hasSchemas
    ? `
                   OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace AS s
                                JOIN pg_catalog.pg_class AS a ON a.relnamespace = s.pnnspid
                               WHERE s.pnpubid = p.oid AND a.oid IN (SELECT * FROM published))`
    : ""
}
                ORDER BY p.pubname COLLATE pg_catalog."C")) AS publications
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.oid = (SELECT oid FROM wanted) AND c.relkind = 'r' AND c.relreplident = 'f'`;

const wantedClause = `
  WITH wanted AS (
    SELECT coalesce($1::pg_catalog.oid, pg_catalog.to_regclass($2)::pg_catalog.oid) AS oid
  ), published AS (
    SELECT oid FROM wanted
    UNION SELECT a.relid::pg_catalog.oid FROM wanted AS w, pg_catalog.pg_partition_ancestors(w.oid::pg_catalog.regclass) AS a
  )`;

type IdentityState = TableName & {
  readonly has_index: boolean;
  readonly is_writers: boolean;
  readonly publications: readonly string[];
};

/** A table that keeps REPLICA IDENTITY FULL. */
export interface LeftIdentity {
  /** The table, with the identity it had before. */
  readonly changed: ChangedIdentity;
  /** Why it was not restored, as a phrase for messages. */
  readonly reason: string;
  /** Publications of the same database that publish it; empty if that is not the reason. */
  readonly publications: readonly string[];
}

/**
 * Restores identities that were changed to FULL, in the caller's transaction. Skips tables that
 * were dropped or have another identity by now; an identity whose index was dropped becomes the
 * default.
 *
 * A table that is still published, directly, through its schema, through a partitioned table above
 * it, or FOR ALL TABLES, keeps FULL: with another identity its UPDATE and DELETE could fail.
 *
 * @returns the tables that keep FULL, and why
 */
export async function restoreIdentities(
  session: Session,
  changed: readonly ChangedIdentity[],
  { side, writtenBy }: {
    readonly side: Side;
    /**
     * OID of the role that could write `changed`: only tables which that role may alter are
     * restored. Undefined trusts the record.
     */
    readonly writtenBy?: number | undefined;
  },
): Promise<readonly LeftIdentity[]> {
  const left: LeftIdentity[] = [];
  const statement = wantedClause + stateStatement(session.majorVersion >= 15);
  for (const identity of changed) {
    const { schema, name, index } = identity;
    const [table] = await session.query<IdentityState>(statement, [
      side === "source" ? identity.oid ?? null : null,
      quoteQualified(schema, name),
      index ?? "",
      writtenBy ?? null,
    ]);
    if (table === undefined) continue;
    const reason = leftBecause(table);
    if (reason !== undefined) {
      left.push({ changed: identity, reason, publications: table.publications });
      continue;
    }
    const before = identity.before === "i" && !table.has_index ? "d" : identity.before;
    await session.execute(
      restoreIdentity({ ...identity, schema: table.schema, name: table.name, before }),
    );
  }
  return left;
}

function leftBecause({ is_writers, publications, ...table }: IdentityState): string | undefined {
  if (publications.length > 0) {
    const names = publications.map((name) => displayName({ schema: "public", name })).join(", ");
    return `stays FULL: it is published by ${names}, and with another identity its UPDATE and DELETE could fail`;
  }
  return is_writers
    ? undefined
    : `stays FULL: the role that recorded the previous identity of ${
      displayName(table)
    } may not alter it`;
}
