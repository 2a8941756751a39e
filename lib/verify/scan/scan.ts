/**
 * One pass over a piece of a table, inside the server: counts and sums of row hashes, in many cells
 * at once.
 *
 * @module
 */
import { quoteIdentifier, quoteLiteral, quoteQualified } from "../../core/internal.ts";
import { inParentheses } from "../../rules/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { columnReference, rowAlias, rowHash } from "./digest.ts";
import type { ComparedColumn } from "../plan/columns.ts";
import type { Comparison, Part } from "../plan/plan_comparisons.ts";
import type { DigestMethod } from "../report/report.ts";

/** Count and sum of hashes of the rows that fall into a cell. */
export interface Cell {
  readonly rows: number;
  readonly sum: bigint;
}

/** Cells by number; empty ones are not in it. */
export type Cells = ReadonlyMap<number, Cell>;

/**
 * A piece of a table that is read in one statement: all of it, or a range of the key's first
 * column.
 */
export interface Chunk {
  readonly comparison: Comparison;
  /**
   * Values of the key's first column, as text: from `lower` (included) to `upper` (not included);
   * undefined is open.
   */
  readonly lower: string | undefined;
  readonly upper: string | undefined;
  /** Values in between, ascending, that cut it into ranges. */
  readonly thresholds: readonly string[];
  /** Each range is cut again by the last bits of the rows' hashes: a power of two. */
  readonly slices: number;
  /** Values in between that cut it where it differs, if known. */
  readonly finer?: readonly string[];
}

/** Which side's relations are read. */
export type ScanSide = "source" | "target";

/** The first column of the key, of whose values ranges are made. */
export function rangeColumn({ key }: Comparison): ComparedColumn | undefined {
  return key?.[0]?.isOrdered === true ? key[0] : undefined;
}

/** A FROM item of all rows that are compared, under {@linkcode rowAlias}. */
export function fromClause(
  comparison: Comparison,
  side: ScanSide,
  { versions = false }: { readonly versions?: boolean } = {},
): string {
  const columns = [
    ...selectList(comparison, side),
    ...(versions
      ? [
        `pg_catalog.format('%s%s:%s', tableoid, ctid, xmin) AS ${quoteIdentifier(versionColumn)}`,
        `pg_catalog.age(xmin) AS ${quoteIdentifier(ageColumn)}`,
      ]
      : []),
  ];
  const parts = comparison[side];
  const isRead = comparison.columns.every(({ sourceText }) => sourceText === undefined);
  if (!versions && isRead && parts.length === 1 && isPlain(parts[0]!)) {
    return `ONLY ${quoteQualified(parts[0]!.schema, parts[0]!.name)} AS ${rowAlias}`;
  }
  return `(${
    parts.map((part) => `SELECT ${columns.join(", ")} FROM ${partClause(part)}`)
      .join(" UNION ALL ")
  }) AS ${rowAlias}`;
}

/**
 * What stands for the columns: themselves, or the text of those whose types are made in another
 * order on the sides.
 */
export function selectList({ columns }: Comparison, side: ScanSide): readonly string[] {
  return columns.map(({ name, sourceText, targetText }) => {
    const text = side === "source" ? sourceText : targetText;
    return text === undefined ? quoteIdentifier(name) : `${text} AS ${quoteIdentifier(name)}`;
  });
}

/** How many transactions ago the row was written. */
export const ageColumn = "seren row age";

/** What tells a row's versions apart: no update, delete or insert leaves it the same. */
export const versionColumn = "seren row version";

function isPlain({ conditions, extensionCondition }: Part): boolean {
  return conditions.length === 0 && extensionCondition === undefined;
}

function partClause({ schema, name, conditions, extensionCondition }: Part): string {
  const table = `ONLY ${quoteQualified(schema, name)}`;
  const from = extensionCondition === undefined
    ? table
    : `(SELECT *, tableoid, ctid, xmin FROM ${table} ${extensionCondition}) AS ${
      quoteIdentifier(name)
    }`;
  return conditions.length === 0
    ? from
    : `${from} WHERE ${conditions.map(inParentheses).join(" AND ")}`;
}

/** The conditions for a range of the key's first column. */
export function rangeConditions(
  comparison: Comparison,
  { lower, upper }: Pick<Chunk, "lower" | "upper">,
): readonly string[] {
  const column = rangeColumn(comparison);
  if (column === undefined) return [];
  const bound = (operator: string, value: string | undefined) =>
    value === undefined
      ? []
      : [`${columnReference(column)} ${operator} ${quoteLiteral(value)}::${column.sourceType}`];
  return [...bound(">=", lower), ...bound("<", upper)];
}

/** The number of a row's cell; `hash` is an expression for the row's hash. */
export function cellExpression(
  { comparison, thresholds, slices }: Pick<Chunk, "comparison" | "thresholds" | "slices">,
  hash: string,
): string {
  const column = rangeColumn(comparison);
  const range = column === undefined || thresholds.length === 0
    ? "0"
    : `pg_catalog.width_bucket(${columnReference(column)}, ${
      quoteLiteral(textArrayLiteral(thresholds))
    }::${column.sourceType}[])`;
  if (slices === 1) return range;
  return `${range} * ${slices} + (${hash} & ${slices - 1})::int`;
}

function textArrayLiteral(values: readonly string[]): string {
  return `{${values.map((value) => `"${value.replace(/["\\]/g, "\\$&")}"`).join(",")}}`;
}

/** The statement of a pass: cell, count, sum. */
export function scanStatement(chunk: Chunk, side: ScanSide, method: DigestMethod): string {
  const { comparison, slices } = chunk;
  const from = fromClause(comparison, side);
  const conditions = rangeConditions(comparison, chunk);
  const where = conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`;
  const hash = rowHash(comparison.columns, method);
  if (slices === 1 && chunk.thresholds.length === 0) {
    return `SELECT 0 AS cell, ${rowsAndSum(hash)} FROM ${from}${where}`;
  }
  // OFFSET 0 keeps the planner from computing the hash twice, once for the cell and once for the
  // sum
  return slices === 1
    ? `SELECT ${cellExpression(chunk, hash)} AS cell, ${rowsAndSum(hash)}
         FROM ${from}${where} GROUP BY 1`
    : `SELECT cell, ${rowsAndSum("hash")}
         FROM (SELECT ${cellOfHash(chunk)} AS cell, hash
                 FROM (SELECT ${
      cellExpression({ ...chunk, slices: 1 }, "")
    } AS range, ${hash} AS hash
                         FROM ${from}${where} OFFSET 0) AS hashed) AS placed
        GROUP BY cell`;
}

/** As text: numbers of any size. */
function rowsAndSum(hash: string): string {
  return `pg_catalog.format('%s', pg_catalog.count(*)) AS rows,
         pg_catalog.format('%s', COALESCE(pg_catalog.sum(${hash}), 0)) AS sum`;
}

function cellOfHash({ slices }: Chunk): string {
  return `range * ${slices} + (hash & ${slices - 1})::int`;
}

/**
 * Whether parallel workers would cost more to start than they bring: an eighth to a quarter of both
 * servers' CPU for ranges of 4 MB. The planner starts them because it takes the blocks of a range
 * to be all over the table. Other sessions read other ranges meanwhile.
 */
function isShort({ comparison, lower, upper }: Chunk): boolean {
  return (lower !== undefined || upper !== undefined) && comparison.bytes < shortPieces;
}

/** Bytes of a table whose pieces are read without parallel workers: of 64 MB each then. */
const shortPieces = 16 * 1024 ** 3;

/** For what is sent together with it (statements of one message are one transaction). */
const withoutWorkers = "SET LOCAL max_parallel_workers_per_gather = 0";

type CellRow = { readonly cell: number; readonly rows: string; readonly sum: string };

/** Makes one pass. */
export async function scan(
  session: Session,
  { chunk, side, method }: {
    readonly chunk: Chunk;
    readonly side: ScanSide;
    readonly method: DigestMethod;
  },
): Promise<Cells> {
  const statement = scanStatement(chunk, side, method);
  const rows = isShort(chunk)
    ? (await session.queryAll(`${withoutWorkers}; ${statement}`)).at(-1) as CellRow[]
    : await session.query<CellRow>(statement);
  return new Map(
    rows.filter((row) => row.rows !== "0")
      .map(({ cell, rows, sum }) => [cell, { rows: Number(rows), sum: BigInt(sum) }]),
  );
}

/** Cells that are not the same on both sides. */
export function differingCells(source: Cells, target: Cells): readonly number[] {
  return [...new Set([...source.keys(), ...target.keys()])].filter((cell) => {
    const [one, other] = [source.get(cell), target.get(cell)];
    return one?.rows !== other?.rows || one?.sum !== other?.sum;
  }).sort((a, b) => a - b);
}

/** All cells together. */
export function total(cells: Cells): Cell {
  let [rows, sum] = [0, 0n];
  for (const cell of cells.values()) {
    rows += cell.rows;
    sum += cell.sum;
  }
  return { rows, sum };
}

/**
 * Planning must not look whether a table's CHECKs rule a range of keys out: it would run what is
 * constant in them.
 */
export const planSettings: Readonly<Record<string, string>> = { constraint_exclusion: "off" };

/**
 * What sessions that scan need besides the pinned settings: one pass with a hash table, never a
 * sort. A range is read block by block (a bitmap), which costs less than to go from an index to
 * every row, and never by reading the whole table.
 */
export const scanSettings: Readonly<Record<string, string>> = {
  enable_sort: "off",
  enable_indexscan: "off",
  enable_seqscan: "off",
  jit: "off",
  work_mem: "32MB",
  ...planSettings,
  default_transaction_read_only: "on",
};
