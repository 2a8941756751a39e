import type postgres from "postgres";

/** A table or materialized view that stores rows itself. */
export interface StoredRelation {
  readonly schema: string;
  readonly name: string;
  /**
   * Columns by name, with their types: the position of a column inherited later changes in a
   * restored table.
   */
  readonly columns: readonly { readonly name: string; readonly type: string }[];
}

/** A digest of a relation, independent of row order. */
export interface Content {
  readonly rows: string;
  /** Sums of both halves of each row's MD5, so that equal rows count too. */
  readonly checksum: string;
}

/** How rows are hashed; must be the same for both sides. */
export type RowMethod = "row" | "columns";

/** SQLSTATEs for a row whose text would exceed 1 GB. */
const TOO_LONG = ["54000", "53200", "XX000"];

/**
 * Every relation that stores rows: tables, partitions, inheritance parents and children,
 * populated materialized views.
 */
export async function storedRelations(session: postgres.Sql): Promise<StoredRelation[]> {
  const rows = await session.unsafe<{ schema: string; name: string; columns: string }[]>(`
SELECT n.nspname AS schema, c.relname AS name,
  (SELECT COALESCE(jsonb_agg(jsonb_build_object('name', a.attname, 'type', t.typname)
     ORDER BY a.attname COLLATE "C"), '[]')
   FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)::text AS columns
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'm') AND c.relispopulated
ORDER BY 1, 2`).simple();
  return rows.map((row) => ({ ...row, columns: JSON.parse(row.columns) }));
}

/**
 * The content of one relation; `undefined` when `method` is "row" and some row is too long for it.
 */
export async function contentOf(
  session: postgres.Sql,
  relation: StoredRelation,
  method: RowMethod,
): Promise<Content | undefined> {
  const text = method === "row" ? rowText(relation) : columnDigests(relation);
  try {
    const [row] = await session.unsafe<Content[]>(`
SELECT count(*)::text AS rows, COALESCE(sum(('x' || left(m, 16))::bit(64)::bigint), 0) || ' ' ||
  COALESCE(sum(('x' || right(m, 16))::bit(64)::bigint), 0) AS checksum
FROM (SELECT md5(${text}) AS m FROM ONLY ${quote(relation.schema)}.${
      quote(relation.name)
    } AS r) AS digests`)
      .simple();
    return row;
  } catch (error) {
    const code = (error as { code?: string }).code ?? "";
    if (method === "row" && TOO_LONG.includes(code)) return undefined;
    throw error;
  }
}

/** The value of a sequence. */
export async function sequenceValues(session: postgres.Sql): Promise<Map<string, string>> {
  const names = await session.unsafe<{ schema: string; name: string }[]>(`
SELECT n.nspname AS schema, c.relname AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`).simple();
  const values = new Map<string, string>();
  for (const { schema, name } of names) {
    const [row] = await session.unsafe<{ value: string }[]>(
      `SELECT last_value || ' ' || is_called AS value FROM ${quote(schema)}.${quote(name)}`,
    ).simple();
    values.set(`${schema}.${name}`, row?.value ?? "");
  }
  return values;
}

/** The row as text, with columns ordered by name. */
function rowText(relation: StoredRelation): string {
  return `ROW(${relation.columns.map(({ name }) => `r.${quote(name)}`).join(", ")})::text`;
}

/**
 * One digest per column: NULL is distinct, columns cannot run together, and all have the same
 * length.
 */
function columnDigests(relation: StoredRelation): string {
  const digests = relation.columns.map(({ name, type }) => {
    const column = `r.${quote(name)}`;
    const text = type === "bytea" ? column : `${column}::text`;
    return `COALESCE(md5(${text}), 'NULL')`;
  });
  return digests.join(" || ',' || ") || "''";
}

function quote(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}
