/**
 * Tables get back the replica identity that they had before replication.
 *
 * @module
 */
import { quoteQualified, type TableName } from "../core/mod.ts";
import type { Session } from "../postgres/mod.ts";
import { type ChangedIdentity, restoreIdentity } from "./descriptor.ts";

const fullStatement = `
  SELECT n.nspname AS schema, c.relname AS name
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind = 'r' AND c.relreplident = 'f'`;

/** Tables of the session's database that have REPLICA IDENTITY FULL. */
export async function listFullTables(session: Session): Promise<readonly TableName[]> {
  return await session.query<TableName>(fullStatement);
}

// by its OID where that was written down: a table may have been renamed since, and another one may have its name
const stateStatement = `
  SELECT n.nspname AS schema, c.relname AS name,
         EXISTS (SELECT FROM pg_catalog.pg_index AS i
                   JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
                  WHERE i.indrelid = c.oid AND x.relname = $3 AND i.indisvalid AND i.indisunique
                    AND i.indimmediate AND i.indpred IS NULL) AS has_index
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.oid = coalesce($1::pg_catalog.oid, pg_catalog.to_regclass($2)::pg_catalog.oid)
     AND c.relkind = 'r' AND c.relreplident = 'f'
     AND coalesce(pg_catalog.pg_has_role($4::pg_catalog.oid, c.relowner, 'MEMBER'), true)
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_rel AS r WHERE r.prrelid = c.oid)`;

type TableState = TableName & { readonly has_index: boolean };

/**
 * Restores what was changed to FULL, in the caller's transaction. Tables that are gone, that have another identity by now, or that a
 * publication lists are passed over; where the index of an identity is gone, the identity becomes the default.
 */
export async function restoreIdentities(
  session: Session,
  changed: readonly ChangedIdentity[],
  { side, writtenBy }: {
    readonly side: "source" | "target";
    /** OID of the role whose record `changed` is: only tables that it may alter itself are touched. Undefined: all. */
    readonly writtenBy?: number;
  },
): Promise<void> {
  for (const identity of changed) {
    const { schema, name, index } = identity;
    const [table] = await session.query<TableState>(stateStatement, [
      side === "source" ? identity.oid ?? null : null,
      quoteQualified(schema, name),
      index ?? "",
      writtenBy ?? null,
    ]);
    if (table === undefined) continue;
    const before = identity.before === "i" && !table.has_index ? "d" : identity.before;
    await session.execute(
      restoreIdentity({ ...identity, schema: table.schema, name: table.name, before }),
    );
  }
}
