/**
 * Reads individual rows as hashes, to compare them with the other side.
 *
 * @module
 */
import { quoteIdentifier, quoteLiteral, type Side } from "../../core/internal.ts";
import { queryBytes, type Session } from "../../postgres/internal.ts";
import { columnReference, rowAlias, rowHash, valueText } from "./digest.ts";
import type { ComparedColumn } from "../plan/columns.ts";
import type { Comparison } from "../plan/plan_comparisons.ts";
import type { DigestMethod } from "../report/report.ts";
import { cellExpression, type Chunk, fromClause, rangeConditions, versionColumn } from "./scan.ts";

/** The rows of one side with the same key or, in a table without a key, with the same values. */
export interface Image {
  /** Key values as text; empty without a key. */
  readonly key: readonly string[];
  /**
   * The row's hash; all hashes if several rows share a key (the target may lack the constraint).
   */
  readonly hash: string;
  readonly rows: number;
  /** Changes with every insert, update and delete, even if the values remain the same. */
  readonly version: string;
}

/** Images by id: the key as JSON, or the hash in a table without a key. */
export type Images = ReadonlyMap<string, Image>;

/** The rows to read. */
export type RowSelection =
  /** By cells of a chunk. */
  | { readonly chunk: Chunk; readonly cells: readonly number[] }
  /** By ids (see {@linkcode Images}). */
  | { readonly ids: readonly string[] };

/** Options of {@linkcode readImages}. */
export interface ReadRowsOptions {
  readonly comparison: Comparison;
  readonly side: Side;
  readonly method: DigestMethod;
  readonly selection: RowSelection;
}

type KeyedRow = {
  readonly key: readonly string[];
  readonly hash: string;
  readonly version: string;
};
type HashRow = { readonly hash: string; readonly rows: number; readonly version: string };

/** Ids in one statement. */
const idsPerStatement = 500;

/** Reads rows in one statement and snapshot, or several for very many ids. */
export async function readImages(session: Session, options: ReadRowsOptions): Promise<Images> {
  const { selection } = options;
  if (!("ids" in selection) || selection.ids.length <= idsPerStatement) {
    return await readOnce(session, options);
  }
  const images = new Map<string, Image>();
  for (let from = 0; from < selection.ids.length; from += idsPerStatement) {
    const ids = selection.ids.slice(from, from + idsPerStatement);
    for (const [id, image] of await readOnce(session, { ...options, selection: { ids } })) {
      images.set(id, image);
    }
  }
  return images;
}

async function readOnce(session: Session, options: ReadRowsOptions): Promise<Images> {
  const { comparison, side, method, selection } = options;
  const { key } = comparison;
  const hashed = `
    SELECT ${
    key === undefined
      ? ""
      : `ARRAY[${key.map((column) => valueText(column)).join(", ")}]::pg_catalog.text[] AS key, `
  }
           ${rangeOf(selection)} AS range, ${rowHash(comparison.columns, method)} AS hash,
           ${rowAlias}."${versionColumn}" AS version
      FROM ${fromClause(comparison, side, { versions: true })}
     WHERE ${innerConditions(comparison, selection)} OFFSET 0`;
  const where = outerCondition(comparison, selection);
  if (key === undefined) {
    const rows = await queryRows<HashRow>(
      session,
      comparison,
      `
      SELECT pg_catalog.format('%s', hash) AS hash, pg_catalog.count(*)::pg_catalog.float8 AS rows,
             pg_catalog.md5(pg_catalog.string_agg(version, ' ' ORDER BY version)) AS version
        FROM (${hashed}) AS hashed WHERE ${where} GROUP BY hash`,
    );
    return new Map(rows.map((row) => [row.hash, { key: [], ...row }]));
  }
  const rows = await queryRows<KeyedRow>(
    session,
    comparison,
    `SELECT pg_catalog.to_json(key) AS key, pg_catalog.format('%s', hash) AS hash, version FROM (${hashed}) AS hashed WHERE ${where}`,
  );
  return gather(rows);
}

/** Runs a query over the rows of a comparison. */
export function queryRows<Row extends object>(
  session: Session,
  { asBytes }: Pick<Comparison, "asBytes">,
  statement: string,
  options: { readonly resultBytes?: number } = {},
): Promise<Row[]> {
  return asBytes ? queryBytes(session, statement, options) : session.query(statement, [], options);
}

function gather(rows: readonly KeyedRow[]): Images {
  const images = new Map<string, Image>();
  for (const { key, hash, version } of rows) {
    const id = JSON.stringify(key);
    const same = images.get(id);
    images.set(
      id,
      same === undefined ? { key, hash, version, rows: 1 } : {
        key,
        hash: [...same.hash.split(","), hash].sort().join(),
        version: [...same.version.split(","), version].sort().join(),
        rows: same.rows + 1,
      },
    );
  }
  return images;
}

function rangeOf(selection: RowSelection): string {
  return "ids" in selection ? "0" : cellExpression({ ...selection.chunk, slices: 1 }, "");
}

/** Conditions that an index can evaluate: key ranges or keys. */
function innerConditions(comparison: Comparison, selection: RowSelection): string {
  if ("ids" in selection) {
    return comparison.key === undefined ? "true" : keyCondition(comparison, selection.ids);
  }
  const { chunk, cells } = selection;
  const ranges = new Set(cells.map((cell) => Math.floor(cell / chunk.slices)));
  const conditions = [...ranges].map((range) =>
    rangeConditions(comparison, boundsOf(chunk, range))
  );
  if (conditions.some(({ length }) => length === 0)) return "true";
  return `(${conditions.map((each) => each.join(" AND ")).join(" OR ")})`;
}

/** The bounds of one range of a chunk. */
export function boundsOf(chunk: Chunk, range: number): Pick<Chunk, "lower" | "upper"> {
  const { thresholds } = chunk;
  return {
    lower: range === 0 ? chunk.lower : thresholds[range - 1],
    upper: range === thresholds.length ? chunk.upper : thresholds[range],
  };
}

function outerCondition({ key }: Comparison, selection: RowSelection): string {
  if ("ids" in selection) {
    return key === undefined ? `hash IN (${selection.ids.join(", ")})` : "true";
  }
  const { chunk: { slices }, cells } = selection;
  return `range * ${slices} + (hash & ${slices - 1})::int IN (${cells.join(", ")})`;
}

/**
 * A condition for rows with these keys. Untyped literals take the column's type on either side.
 * Types that are not built in are compared as text, since their operators and casts may be
 * user-defined.
 */
export function keyCondition(
  { key = [] }: Pick<Comparison, "key">,
  ids: readonly string[],
  { place = "rows" }: {
    /** Whether columns refer to the scanned rows or directly to the target table. */
    readonly place?: "rows" | "target table";
  } = {},
): string {
  const values = ids.map((id) => {
    const texts = JSON.parse(id) as readonly string[];
    const list = texts.map(quoteLiteral).join(", ");
    return texts.length === 1 ? list : `(${list})`;
  });
  const columns = key.map((column) => keyExpression(column, place)).join(", ");
  return `${key.length === 1 ? columns : `(${columns})`} IN (${values.join(", ")})`;
}

function keyExpression(column: ComparedColumn, place: "rows" | "target table"): string {
  const reference = place === "rows" ? columnReference(column) : quoteIdentifier(column.name);
  if (column.isComparable && column.send !== "charsend" && !column.isCharArray) return reference;
  const text = place === "rows" ? undefined : column.targetText;
  return `(${text ?? valueText(column, reference)}) COLLATE pg_catalog."C"`;
}
