/**
 * What a comparison of two databases comes to: plain data for a terminal, a JSON document, an HTML
 * page. Sizes are bytes, durations milliseconds, moments ISO 8601 in UTC.
 *
 * @module
 */
import type { TableName } from "../../core/internal.ts";

/** Nothing is `equal` that could not be compared as a whole: that is `unchecked`. */
export type Verdict = "equal" | "different" | "unchecked";

/** What was left out of the comparison, and why: never silently. */
export interface NotChecked {
  /** Its name on the source. */
  readonly database?: string;
  /** In words: `rows of archive`, `large objects`. */
  readonly what: string;
  readonly reason: string;
  /** Whether it had to be compared and could not: then nobody may say that both sides are equal. */
  readonly failed: boolean;
}

/** How the rows of a table became a digest. */
export type DigestMethod =
  /** The server's 64-bit hash of bytes, of each value seeded with that of the values before it. */
  | "hash"
  /** MD5 of each row's values: for servers whose hash functions differ. */
  | "md5"
  /**
   * MD5 of each value, then of the row: for rows whose text is longer than a value may be (1 GB).
   */
  | "columns";

/** What kind of relation was compared. */
export type VerifiedKind = "table" | "partitioned table" | "materialized view";

/** One table, partition or materialized view on both sides. */
export interface VerifiedTable extends TableName {
  readonly kind: VerifiedKind;
  readonly verdict: Verdict;
  /** Why it is not equal, when that is not told by rows: `the target has no such table`. */
  readonly reason?: string;
  /** Undefined where it could not be read or is not there. */
  readonly sourceRows?: number;
  readonly targetRows?: number;
  /** Sum of the rows' hashes on the source, hexadecimal: equal contents have equal digests. */
  readonly digest?: string;
  readonly method?: DigestMethod;
  /** Which rows, where a rule leaves some out. */
  readonly predicate?: string;
  /** Bytes on the source's disk, without indexes. */
  readonly bytes: number;
  readonly ms: number;
  /**
   * A position in the source's WAL: everything that the source had committed before it has been
   * compared.
   */
  readonly asOf?: string;
  /**
   * Rows that differed at the first reading because changes were on their way, and were equal in
   * the end.
   */
  readonly settledRows: number;
  /**
   * Pieces of the table that an interrupted run had found equal, the first of them at this moment;
   * they were not read again.
   */
  readonly resumed?: { readonly chunks: number; readonly since: string };
  readonly differences: readonly RowDifference[];
  /** Whether more rows differ than are listed. */
  readonly more: boolean;
  /** Rows that repair has written or removed on the target. */
  readonly repairedRows?: number;
}

/** A row that is not the same on both sides. */
export interface RowDifference {
  /** `missing`: on the target; `extra`: only there. */
  readonly kind: "missing" | "extra" | "different";
  /** Columns of the key with their values as text; empty for a table without a key. */
  readonly key: readonly ValuePair[];
  /**
   * The values that differ; for `missing` and `extra` all of them. Empty when values are not to be
   * shown.
   */
  readonly columns: readonly DifferingColumn[];
  /** How often the row is there, for a table without a key. */
  readonly sourceCount?: number;
  readonly targetCount?: number;
}

/** A column of a key. */
export interface ValuePair {
  readonly column: string;
  /** Null is SQL's NULL; undefined when values are not to be shown. */
  readonly value?: string | null;
}

/**
 * A column with its value on both sides, as text. Undefined: there is no such row, or values are
 * not to be shown.
 */
export interface DifferingColumn {
  readonly column: string;
  readonly source?: string | null;
  readonly target?: string | null;
}

/** A kind of objects compared as a whole: indexes, grants, sequences, large objects. */
export interface VerifiedSection {
  /** Stable name for scripts: `indexes`. */
  readonly section: string;
  readonly verdict: Verdict;
  /** Objects compared. */
  readonly compared: number;
  readonly differences: readonly ObjectDifference[];
  /** What is not the same and is to be expected: each tells its reason. They do not count. */
  readonly notes: readonly ObjectDifference[];
  /** Why it is `unchecked`. */
  readonly reason?: string;
}

/** An object that is not the same on both sides. */
export interface ObjectDifference {
  /** `index orders_by_day`, `sequence orders_id_seq`. */
  readonly object: string;
  /** In a sentence: `is missing on the target`. */
  readonly message: string;
  readonly source?: string | null;
  readonly target?: string | null;
  /** What differs: `owner`, `definition`; none where the whole object is missing or extra. */
  readonly property?: string;
  /** Why it may be so. */
  readonly reason?: string;
  /** What to do about it. */
  readonly remedy?: string;
  /** Set aside by `init`: running it again creates the object when the cause is gone. */
  readonly setAside?: true;
}

/** One database on both sides. */
export interface VerifiedDatabase {
  /** Its name on the source. */
  readonly source: string;
  readonly target: string;
  /** Whether a subscription of the target follows the source, so that differences were awaited. */
  readonly live: boolean;
  /** Everything that the source had committed before this position has been compared. */
  readonly asOf?: string;
  readonly tables: readonly VerifiedTable[];
  readonly sections: readonly VerifiedSection[];
  readonly ms: number;
}

/** The worst of several: one difference makes all different, else one gap makes all unchecked. */
export function worst(verdicts: Iterable<Verdict>): Verdict {
  let result: Verdict = "equal";
  for (const verdict of verdicts) {
    if (verdict === "different") return verdict;
    if (verdict === "unchecked") result = verdict;
  }
  return result;
}
