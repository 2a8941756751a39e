/**
 * Replica identities: what identifies a row in a replicated UPDATE or DELETE.
 *
 * Publishing a table without one makes UPDATE and DELETE fail on the source.
 *
 * Source: PostgreSQL documentation, "ALTER TABLE", REPLICA IDENTITY.
 *
 * @module
 */
import type { IdentityKind } from "./publication_comment.ts";
import { planningHazardOf } from "../../catalog/internal.ts";
import { quoteIdentifier, quoteQualified, type TableName } from "../../core/internal.ts";
import { ServerError, type Session } from "../../postgres/internal.ts";

/** A table's replica identity, with everything that decides whether it can be published. */
export interface PublishableIdentity {
  /** OID of the table. */
  readonly oid: number;
  /** The table, by schema and name. */
  readonly table: TableName;
  /** `pg_class.relreplident`: default, nothing, index or full. */
  readonly kind: IdentityKind;
  /** The index of `REPLICA IDENTITY USING INDEX`. */
  readonly index: string | undefined;
  /** Key columns of a usable index; empty without one, undefined for FULL. */
  readonly columns: readonly string[] | undefined;
  /** Whether the table has a primary key, usable or not. */
  readonly hasPrimaryKey: boolean;
  /** Columns of the primary key if the target can find rows by it: empty if it is deferrable. */
  readonly primaryKey: readonly string[];
  /** Generated columns. */
  readonly generated: readonly string[];
  /** A unique index without generated columns that could be the replica identity. */
  readonly alternative: string | undefined;
}

// INCLUDE columns follow the key columns in indkey and do not belong to the identity
const statement = `
  WITH keys AS (
    SELECT i.indrelid, i.indexrelid, i.indisprimary, i.indisreplident,
           i.indisvalid AND i.indimmediate AND i.indpred IS NULL AS usable,
           x.relname AS index,
           pg_catalog.json_agg(a.attname ORDER BY k.n) AS columns,
           pg_catalog.bool_and(a.attnum IS NOT NULL AND a.attnotnull AND a.attgenerated = '') AS plain
      FROM pg_catalog.pg_index AS i
      JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
     CROSS JOIN LATERAL pg_catalog.generate_series(0, i.indnkeyatts - 1) AS k (n)
      LEFT JOIN pg_catalog.pg_attribute AS a
        ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.n] AND a.attnum <> 0
     WHERE i.indisunique
     -- catalogs have primary keys only since 14: earlier, a key does not imply the other columns
     GROUP BY i.indrelid, i.indexrelid, i.indisprimary, i.indisreplident, i.indisvalid,
              i.indimmediate, i.indpred, x.relname
  )
  SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relreplident AS kind,
         (SELECT k.index FROM keys AS k
           WHERE k.indrelid = c.oid AND k.indisreplident) AS index,
         (SELECT k.columns FROM keys AS k
           WHERE k.indrelid = c.oid AND k.usable
             AND CASE c.relreplident WHEN 'd' THEN k.indisprimary
                                     WHEN 'i' THEN k.indisreplident END) AS columns,
         (SELECT k.columns FROM keys AS k
           WHERE k.indrelid = c.oid AND k.indisprimary AND k.usable) AS primary_key,
         EXISTS (SELECT FROM pg_catalog.pg_index AS i
                  WHERE i.indrelid = c.oid AND i.indisprimary) AS has_primary_key,
         (SELECT coalesce(pg_catalog.json_agg(a.attname ORDER BY a.attnum), '[]')
            FROM pg_catalog.pg_attribute AS a
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             AND a.attgenerated <> '') AS generated,
         (SELECT k.index FROM keys AS k
           WHERE k.indrelid = c.oid AND k.usable AND k.plain
           ORDER BY k.index COLLATE pg_catalog."C" LIMIT 1) AS alternative
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind = 'r' AND c.relpersistence = 'p'`;

type IdentityRow = {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: IdentityKind;
  readonly index: string | null;
  readonly columns: readonly string[] | null;
  readonly primary_key: readonly string[] | null;
  readonly has_primary_key: boolean;
  readonly generated: readonly string[];
  readonly alternative: string | null;
};

/** Reads the replica identities of all ordinary tables and leaf partitions, by OID. */
export async function readReplicaIdentities(
  session: Session,
): Promise<ReadonlyMap<number, PublishableIdentity>> {
  const rows = await session.query<IdentityRow>(statement);
  return new Map(rows.map((row) => [row.oid, {
    oid: row.oid,
    table: { schema: row.schema, name: row.name },
    kind: row.kind,
    index: row.index ?? undefined,
    columns: row.kind === "f" ? undefined : row.columns ?? [],
    hasPrimaryKey: row.has_primary_key,
    primaryKey: row.primary_key ?? [],
    generated: row.generated,
    alternative: row.alternative ?? undefined,
  }]));
}

/**
 * Why UPDATE and DELETE would fail once the table is published, on the source or on the target;
 * undefined if they would not.
 *
 * Values of generated columns are not replicated: the target computes its own. Up to 17 a key with
 * a generated column stops the target at the first UPDATE; from 18 on the source rejects the
 * UPDATE.
 */
export function identityProblem(
  identity: PublishableIdentity,
  sourceMajor: number,
): string | undefined {
  const { kind, columns, hasPrimaryKey, generated } = identity;
  if (kind === "f") return fullProblem(identity, sourceMajor);
  if (columns === undefined || columns.length === 0) {
    if (kind === "n") return "its replica identity is NOTHING";
    if (kind === "i") return "the index of its replica identity is no longer usable";
    return hasPrimaryKey ? "its primary key is deferrable" : "it has no primary key";
  }
  const values = columns.filter((column) => generated.includes(column));
  if (values.length === 0) return undefined;
  const key = kind === "i" ? "replica identity" : "primary key";
  return `its ${key} has the generated column ${
    values.join(", ")
  }, whose values are not replicated`;
}

/** Why REPLICA IDENTITY FULL does not suffice; undefined if it does. */
export function fullProblem(
  identity: PublishableIdentity,
  sourceMajor: number,
): string | undefined {
  const { generated, primaryKey } = identity;
  if (sourceMajor >= 18 && generated.length > 0) {
    return `REPLICA IDENTITY FULL includes the generated column ${
      generated.join(", ")
    }, whose values are not replicated`;
  }
  const values = primaryKey.filter((column) => generated.includes(column));
  if (values.length === 0) return undefined;
  return `even with REPLICA IDENTITY FULL the target finds rows by the primary key, which has the generated column ${
    values.join(", ")
  }, whose values are not replicated`;
}

/**
 * What makes a table publishable that has a problem by {@linkcode identityProblem} or
 * {@linkcode equalityProblem}.
 *
 * @param options `canBeFull`: whether REPLICA IDENTITY FULL would suffice, by
 * {@linkcode fullProblem} and {@linkcode equalityProblem}
 */
export function identityRemedy(
  identity: PublishableIdentity,
  { canBeFull }: { readonly canBeFull: boolean },
): string {
  const { table: { schema, name }, alternative } = identity;
  const alter = `ALTER TABLE ${quoteQualified(schema, name)}`;
  if (alternative !== undefined) {
    return `on the source: ${alter} REPLICA IDENTITY USING INDEX ${quoteIdentifier(alternative)};`;
  }
  const byIndex =
    `on the source, create a unique index on NOT NULL columns that are not generated, then ${alter} REPLICA IDENTITY USING INDEX …`;
  if (identity.hasPrimaryKey) return byIndex;
  return canBeFull
    ? `on the source: ${alter} ADD PRIMARY KEY (…); or, at the cost of more WAL, ${alter} REPLICA IDENTITY FULL; (or use ` +
      "--replica-identity full)"
    : `on the source: ${alter} ADD PRIMARY KEY (…); or ${byIndex.replace("on the source, ", "")}`;
}

/**
 * Why the target cannot find a table's rows by all columns: a type without equality (`json`, `xml`,
 * `point`). Planning a GROUP BY shows it, because that needs equality as well.
 */
export async function equalityProblem(
  session: Session,
  { table, columns }: { readonly table: TableName; readonly columns: readonly string[] },
): Promise<string | undefined> {
  if (columns.length === 0) return "it has no columns to distinguish its rows";
  const hazard = await planningHazardOf(session, table);
  if (hazard !== undefined) {
    return `checking whether all columns distinguish its rows would run a user-defined function: ${hazard}`;
  }
  try {
    await session.query(
      `EXPLAIN SELECT FROM ONLY ${quoteQualified(table.schema, table.name)}
        GROUP BY ${columns.map(quoteIdentifier).join(", ")}`,
    );
    return undefined;
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    return `its rows cannot be distinguished by all columns: ${error.serverMessage.message}`;
  }
}
