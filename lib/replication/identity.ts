/**
 * What tells the rows of a table apart for replicated UPDATE and DELETE, as a publication needs it.
 *
 * Publishing a table without it makes the source's own UPDATE and DELETE fail.
 *
 * Source: PostgreSQL documentation, "ALTER TABLE", REPLICA IDENTITY.
 *
 * @module
 */
import { quoteIdentifier, quoteQualified, type TableName } from "../core/mod.ts";
import { ServerError, type Session } from "../postgres/mod.ts";

/** What is done about tables that have no usable replica identity. */
export type IdentityPolicy = "fail" | "full" | "skip";

/** A table's replica identity, with all that a publication asks of it. */
export interface PublishableIdentity {
  readonly oid: number;
  /** `pg_class.relreplident`. */
  readonly kind: "d" | "n" | "i" | "f";
  /** The index of `REPLICA IDENTITY USING INDEX`. */
  readonly index: string | undefined;
  /** Columns of a usable index; empty where there is none, undefined for FULL. */
  readonly columns: readonly string[] | undefined;
  readonly hasPrimaryKey: boolean;
  /** Whether any column is generated. */
  readonly hasGenerated: boolean;
  /** Whether a column of the index is. */
  readonly identityHasGenerated: boolean;
}

const statement = `
  SELECT c.oid, c.relreplident AS kind,
         (SELECT x.relname FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
           WHERE i.indrelid = c.oid AND i.indisreplident) AS index,
         coalesce((SELECT json_agg(a.attname ORDER BY a.attnum)
                     FROM pg_index AS i
                     JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
                    WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate
                      AND CASE c.relreplident WHEN 'd' THEN i.indisprimary
                                              WHEN 'i' THEN i.indisreplident END), '[]') AS columns,
         EXISTS (SELECT FROM pg_index AS i
                  WHERE i.indrelid = c.oid AND i.indisprimary) AS has_primary_key,
         EXISTS (SELECT FROM pg_attribute AS a
                  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                    AND a.attgenerated <> '') AS has_generated,
         EXISTS (SELECT FROM pg_index AS i
                   JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
                  WHERE i.indrelid = c.oid AND a.attgenerated <> ''
                    AND CASE c.relreplident WHEN 'd' THEN i.indisprimary
                                            WHEN 'i' THEN i.indisreplident END) AS identity_has_generated
    FROM pg_class AS c
   WHERE c.relkind = 'r' AND c.relpersistence = 'p'`;

type IdentityRow = {
  readonly oid: number;
  readonly kind: "d" | "n" | "i" | "f";
  readonly index: string | null;
  readonly columns: readonly string[];
  readonly has_primary_key: boolean;
  readonly has_generated: boolean;
  readonly identity_has_generated: boolean;
};

/** Reads the replica identities of all ordinary tables and leaf partitions, by OID. */
export async function readIdentities(
  session: Session,
): Promise<ReadonlyMap<number, PublishableIdentity>> {
  const rows = await session.query<IdentityRow>(statement);
  return new Map(rows.map((row) => [row.oid, {
    oid: row.oid,
    kind: row.kind,
    index: row.index ?? undefined,
    columns: row.kind === "f" ? undefined : row.columns,
    hasPrimaryKey: row.has_primary_key,
    hasGenerated: row.has_generated,
    identityHasGenerated: row.identity_has_generated,
  }]));
}

/**
 * Why the source's UPDATE and DELETE would fail once the table is published; undefined when they would not.
 *
 * From 18 on a replica identity must not have generated columns that are not published; and they cannot be, for the
 * target generates its own.
 */
export function identityProblem(
  identity: PublishableIdentity,
  sourceMajor: number,
): string | undefined {
  if (identity.kind === "f") return fullProblem(identity, sourceMajor);
  if ((identity.columns ?? []).length === 0) {
    if (identity.kind === "n") return "its replica identity is NOTHING";
    if (identity.kind === "i") return "the index of its replica identity cannot be used any more";
    return identity.hasPrimaryKey ? "its primary key is deferrable" : "it has no primary key";
  }
  return sourceMajor >= 18 && identity.identityHasGenerated
    ? "its replica identity has a generated column"
    : undefined;
}

/** Why REPLICA IDENTITY FULL would not do, or does not. */
export function fullProblem(
  { hasGenerated }: PublishableIdentity,
  sourceMajor: number,
): string | undefined {
  return sourceMajor >= 18 && hasGenerated
    ? "REPLICA IDENTITY FULL would have its generated columns, which cannot be published"
    : undefined;
}

/**
 * Why the target could not find the rows of a table by all of their columns: a type without equality (`json`, `xml`, `point`).
 * Told by the planner, which needs the same of a GROUP BY.
 */
export async function equalityProblem(
  session: Session,
  { table, columns }: { readonly table: TableName; readonly columns: readonly string[] },
): Promise<string | undefined> {
  if (columns.length === 0) return "it has no columns to tell its rows apart";
  try {
    await session.query(
      `EXPLAIN SELECT FROM ONLY ${quoteQualified(table.schema, table.name)}
        GROUP BY ${columns.map(quoteIdentifier).join(", ")}`,
    );
    return undefined;
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    return `its rows cannot be told apart by all columns: ${error.serverMessage.message}`;
  }
}
