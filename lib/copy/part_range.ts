/**
 * The range of a table that one part copies.
 *
 * @module
 */
import { quoteIdentifier, quoteLiteral } from "../core/internal.ts";

/**
 * A range of blocks: from `from` up to but not including `to`; the last part is open-ended.
 */
export interface BlockRange {
  /** The first block. */
  readonly from: number;
  /** The block after the last; undefined: to the end. */
  readonly to: number | undefined;
}

/**
 * A range of values of a column that is never NULL: from `fromKey` up to but not including `toKey`;
 * the first and the last part are open-ended.
 */
export interface KeyRange {
  /** The column. */
  readonly column: string;
  /** The column's type, as written in a cast. */
  readonly type: string;
  /** The first key; undefined: from the beginning. */
  readonly fromKey: string | undefined;
  /** The key after the last; undefined: to the end. */
  readonly toKey: string | undefined;
}

/** All parts of a table have the same kind of range. */
export type PartRange = BlockRange | KeyRange;

/** The condition that selects a part's rows. Each row satisfies that of exactly one part. */
export function rangeCondition(range: PartRange): string {
  const conditions = "column" in range ? keyConditions(range) : blockConditions(range);
  return conditions.length === 0 ? "true" : conditions.join(" AND ");
}

function blockConditions({ from, to }: BlockRange): readonly string[] {
  return [
    ...(from === 0 ? [] : [`ctid >= '(${from},0)'::pg_catalog.tid`]),
    ...(to === undefined ? [] : [`ctid < '(${to},0)'::pg_catalog.tid`]),
  ];
}

/** Compares by the column's collation, as the statistics did: a literal has none of its own. */
function keyConditions({ column, type, fromKey, toKey }: KeyRange): readonly string[] {
  const bound = (text: string) => `${quoteLiteral(text)}::${type}`;
  return [
    ...(fromKey === undefined ? [] : [`${quoteIdentifier(column)} >= ${bound(fromKey)}`]),
    ...(toKey === undefined ? [] : [`${quoteIdentifier(column)} < ${bound(toKey)}`]),
  ];
}
