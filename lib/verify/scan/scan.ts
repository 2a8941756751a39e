/**
 * One pass over part of a table, executed by the server: the number of rows and sum of row hashes
 * for each of many cells.
 *
 * @module
 */
import { quoteIdentifier, quoteLiteral, quoteQualified, type Side } from "../../core/internal.ts";
import { inParentheses } from "../../rules/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { columnReference, rowAlias, rowHash } from "./digest.ts";
import type { ComparedColumn } from "../plan/columns.ts";
import type { Comparison, Part } from "../plan/plan_comparisons.ts";
import type { DigestMethod } from "../report/report.ts";

/** Number and sum of hashes of the rows in a cell. */
export interface Cell {
  /** How many rows. */
  readonly rows: number;
  /** Sum of the hashes of its rows. */
  readonly sum: bigint;
}

/** Non-empty cells by number. */
export type Cells = ReadonlyMap<number, Cell>;

/** A part of a table read in one statement: all of it, or a range of the key's first column. */
export interface Chunk {
  /** The tables that are compared. */
  readonly comparison: Comparison;
  /**
   * Values of the key's first column as text: `lower` inclusive, `upper` exclusive; undefined:
   * open.
   */
  readonly lower: string | undefined;
  /** The key after the last; undefined: to the end. */
  readonly upper: string | undefined;
  /** Values in between, ascending, that divide it into ranges. */
  readonly thresholds: readonly string[];
  /**
   * Each range is divided into this many slices by the low bits of the row hash; a power of two.
   */
  readonly slices: number;
  /** Values that divide it further if it differs. */
  readonly finer?: readonly string[];
}

/** The first key column if ranges can be formed of its values. */
export function rangeColumn({ key }: Comparison): ComparedColumn | undefined {
  return key?.[0]?.isOrdered === true ? key[0] : undefined;
}

/** A FROM item with all rows to compare, under {@linkcode rowAlias}. */
export function fromClause(
  comparison: Comparison,
  side: Side,
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
 * The columns, with the common text form of those whose composite types differ between the sides.
 */
export function selectList({ columns }: Comparison, side: Side): readonly string[] {
  return columns.map(({ name, sourceText, targetText }) => {
    const text = side === "source" ? sourceText : targetText;
    return text === undefined ? quoteIdentifier(name) : `${text} AS ${quoteIdentifier(name)}`;
  });
}

/** The age of the row's `xmin`, in transactions. */
export const ageColumn = "seren row age";

/** Identifies the version of a row; every insert, update and delete changes it. */
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

/** The number of a row's cell; `hash` is the expression for its hash. */
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

/** The statement of a pass; returns cell, count and sum. */
function scanStatement(chunk: Chunk, side: Side, method: DigestMethod): string {
  const { comparison, slices } = chunk;
  const from = fromClause(comparison, side);
  const conditions = rangeConditions(comparison, chunk);
  const where = conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`;
  const hash = rowHash(comparison.columns, method);
  if (slices === 1 && chunk.thresholds.length === 0) {
    return `SELECT 0 AS cell, ${rowsAndSum(hash)} FROM ${from}${where}`;
  }
  // OFFSET 0 keeps the planner from computing the hash twice, for the cell and for the sum
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

/** As text, since the numbers may be of any size. */
function rowsAndSum(hash: string): string {
  return `pg_catalog.format('%s', pg_catalog.count(*)) AS rows,
         pg_catalog.format('%s', COALESCE(pg_catalog.sum(${hash}), 0)) AS sum`;
}

function cellOfHash({ slices }: Chunk): string {
  return `range * ${slices} + (hash & ${slices - 1})::int`;
}

/**
 * Whether starting parallel workers costs more than they save: an eighth to a quarter of both
 * servers' CPU for ranges of 4 MB. The planner would start them because it assumes that a range's
 * blocks are scattered over the table. Other sessions read other ranges meanwhile.
 */
function isShort({ comparison, lower, upper }: Chunk): boolean {
  return (lower !== undefined || upper !== undefined) && comparison.bytes < maxBytesWithoutWorkers;
}

/** Tables below this size have chunks of up to 64 MB, which are read without parallel workers. */
const maxBytesWithoutWorkers = 16 * 1024 ** 3;

/** Applies to the statements sent in the same message, which form one transaction. */
const withoutWorkers = "SET LOCAL max_parallel_workers_per_gather = 0";

type CellRow = { readonly cell: number; readonly rows: string; readonly sum: string };

/** Executes one pass. */
export async function scan(
  session: Session,
  { chunk, side, method }: {
    readonly chunk: Chunk;
    readonly side: Side;
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

/** The cells that differ between the sides. */
export function differingCells(source: Cells, target: Cells): readonly number[] {
  return [...new Set([...source.keys(), ...target.keys()])].filter((cell) => {
    const [one, other] = [source.get(cell), target.get(cell)];
    return one?.rows !== other?.rows || one?.sum !== other?.sum;
  }).sort((a, b) => a - b);
}

/** The sum of all cells. */
export function total(cells: Cells): Cell {
  let [rows, sum] = [0, 0n];
  for (const cell of cells.values()) {
    rows += cell.rows;
    sum += cell.sum;
  }
  return { rows, sum };
}

/**
 * Keeps the planner from evaluating a table's CHECK constraints, which would run user-defined
 * functions in them.
 */
export const planSettings: Readonly<Record<string, string>> = { constraint_exclusion: "off" };

/**
 * Settings of scanning sessions besides the pinned ones. Aggregation uses a hash table, never a
 * sort. A range is read by a bitmap scan, which costs less than an index scan and never reads the
 * whole table.
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
