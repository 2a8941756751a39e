/**
 * Rows one by one, as hashes: what a piece of a table holds, to be held against the other side.
 *
 * @module
 */
import { quoteIdentifier, quoteLiteral } from "../../core/internal.ts";
import { queryBytes, type Session } from "../../postgres/internal.ts";
import { columnReference, rowAlias, rowHash, valueText } from "./digest.ts";
import type { ComparedColumn } from "../plan/columns.ts";
import type { Comparison } from "../plan/plan_comparisons.ts";
import type { DigestMethod } from "../report/report.ts";
import {
  cellExpression,
  type Chunk,
  fromClause,
  rangeConditions,
  type ScanSide,
  versionColumn,
} from "./scan.ts";

/** What one side has under a key; of a table without one, the rows that look the same. */
export interface Image {
  /** Values of the key as text; empty without one. */
  readonly key: readonly string[];
  /**
   * Hash of the row; of several under one key (the target may lack the constraint), all of them.
   */
  readonly hash: string;
  readonly rows: number;
  /**
   * Changes whenever anything is inserted, updated or deleted here, also if it looks the same
   * afterwards.
   */
  readonly version: string;
}

/** Images by the text of the key, or by hash. */
export type Images = ReadonlyMap<string, Image>;

/** Which rows. */
export type RowSelection =
  /** Those of some cells of a chunk. */
  | { readonly chunk: Chunk; readonly cells: readonly number[] }
  /** Those of some keys (or hashes). */
  | { readonly ids: readonly string[] };

/** What reading rows takes. */
export interface ReadRowsOptions {
  readonly comparison: Comparison;
  readonly side: ScanSide;
  readonly method: DigestMethod;
  readonly selection: RowSelection;
}

type KeyedRow = {
  readonly key: readonly string[];
  readonly hash: string;
  readonly version: string;
};
type HashRow = { readonly hash: string; readonly rows: number; readonly version: string };

/** Keys in one statement. */
const idsOfStatement = 500;

/** Reads rows in one statement and snapshot (a few, for very many keys). */
export async function readImages(session: Session, options: ReadRowsOptions): Promise<Images> {
  const { selection } = options;
  if (!("ids" in selection) || selection.ids.length <= idsOfStatement) {
    return await readOnce(session, options);
  }
  const images = new Map<string, Image>();
  for (let from = 0; from < selection.ids.length; from += idsOfStatement) {
    const ids = selection.ids.slice(from, from + idsOfStatement);
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

/** What an index can answer: ranges of the key, or keys. */
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

/** The bounds of one of a chunk's ranges. */
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
 * A condition for rows with these keys. Literals take the columns' types by themselves, on either
 * side. What the server does not bring itself is compared by its text: its operators may be a
 * user's, and so may a cast to a type that has others.
 */
export function keyCondition(
  { key = [] }: Pick<Comparison, "key">,
  ids: readonly string[],
  /** Where the columns are: of the rows that are read, or of the target's table itself. */
  place: "rows" | "target table" = "rows",
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
