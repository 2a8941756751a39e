/**
 * The result of comparing two databases, as plain data. Sizes are in bytes, durations in
 * milliseconds, times in ISO 8601, UTC.
 *
 * @module
 */
import type { TableName } from "../../core/internal.ts";

/** `unchecked`: no difference was found, but not everything could be compared. */
export type Verdict = "equal" | "different" | "unchecked";

/** Something that was not compared, and why. */
export interface NotChecked {
  /** Its name on the source. */
  readonly database?: string;
  /** For example `rows of archive` or `large objects`. */
  readonly what: string;
  /** Why. */
  readonly reason: string;
  /** Whether the comparison failed, in which case the verdict cannot be `equal`. */
  readonly failed: boolean;
}

/** How the digest of a table was computed. */
export type DigestMethod =
  /** The server's 64-bit hash of bytes, each value seeded with the hash of the preceding ones. */
  | "hash"
  /** MD5 of each row, for servers whose hash functions differ. */
  | "md5"
  /** MD5 of each value, then of the row, for rows whose text would exceed 1 GB. */
  | "columns";

/** The kind of relation compared. */
export type VerifiedKind = "table" | "partitioned table" | "materialized view";

/** One table, partition or materialized view on both sides. */
export interface VerifiedTable extends TableName {
  /** What kind it is. */
  readonly kind: VerifiedKind;
  /** The result of the comparison. */
  readonly verdict: Verdict;
  /** Why it is not equal, apart from differing rows: `the target has no such table`. */
  readonly reason?: string;
  /** Undefined if the table could not be read or does not exist. */
  readonly sourceRows?: number;
  /** How many rows the target has, if not as many. */
  readonly targetRows?: number;
  /** Sum of the rows' hashes on the source, hexadecimal: equal contents have equal digests. */
  readonly digest?: string;
  /** How rows are hashed. */
  readonly method?: DigestMethod;
  /** The filter, if only some rows were compared. */
  readonly predicate?: string;
  /** Size on the source without indexes. */
  readonly bytes: number;
  /** Duration in milliseconds. */
  readonly ms: number;
  /** A WAL position of the source; everything committed before it has been compared. */
  readonly asOf?: string;
  /**
   * Rows that differed at first because changes were in flight, and were then equal.
   */
  readonly settledRows: number;
  /**
   * Chunks that an interrupted run found equal and that were not read again, and the time of the
   * first.
   */
  readonly resumed?: { readonly chunks: number; readonly since: string };
  /** What differs. */
  readonly differences: readonly RowDifference[];
  /** Whether more rows differ than are listed. */
  readonly more: boolean;
  /** Rows that repair wrote or deleted on the target. */
  readonly repairedRows?: number;
}

/** A row that differs between the sides. */
export interface RowDifference {
  /** `missing`: from the target; `extra`: only on the target. */
  readonly kind: "missing" | "extra" | "different";
  /** Key columns with their values as text; empty for a table without a key. */
  readonly key: readonly ValuePair[];
  /**
   * The columns that differ; for `missing` and `extra` all columns, or none if values are withheld.
   */
  readonly columns: readonly DifferingColumn[];
  /** Number of identical rows, for a table without a key. */
  readonly sourceCount?: number;
  /** How often the row exists on the target. */
  readonly targetCount?: number;
}

/** A column of a key. */
export interface ValuePair {
  /** The column. */
  readonly column: string;
  /** Null is SQL NULL; undefined if values are withheld. */
  readonly value?: string | null;
}

/**
 * A column with its value on both sides as text. Undefined if there is no such row or values are
 * withheld.
 */
export interface DifferingColumn {
  /** The column. */
  readonly column: string;
  /** Its name on the source. */
  readonly source?: string | null;
  /** Its name on the target. */
  readonly target?: string | null;
}

/** A kind of object, compared as a whole: indexes, grants, sequences, large objects. */
export interface VerifiedSection {
  /** Stable name for scripts: `indexes`. */
  readonly section: string;
  /** The result of the comparison. */
  readonly verdict: Verdict;
  /** Objects compared. */
  readonly compared: number;
  /** What differs. */
  readonly differences: readonly ObjectDifference[];
  /** Expected differences, each with its reason. They do not affect the verdict. */
  readonly notes: readonly ObjectDifference[];
  /** Why it is `unchecked`. */
  readonly reason?: string;
}

/** An object that differs between the sides. */
export interface ObjectDifference {
  /** `index orders_by_day`, `sequence orders_id_seq`. */
  readonly object: string;
  /** A predicate for `object`: `is missing on the target`. */
  readonly message: string;
  /** Its name on the source. */
  readonly source?: string | null;
  /** Its name on the target. */
  readonly target?: string | null;
  /** What differs, such as `owner`; undefined if the whole object is missing or extra. */
  readonly property?: string;
  /** Why the difference is expected. */
  readonly reason?: string;
  /** What to do about it. */
  readonly remedy?: string;
  /** Set aside by `init`; running it again creates the object once the cause is fixed. */
  readonly setAside?: true;
}

/** One database on both sides. */
export interface VerifiedDatabase {
  /** Its name on the source. */
  readonly source: string;
  /** Its name on the target. */
  readonly target: string;
  /** Whether a subscription follows the source, so that transient differences were ruled out. */
  readonly live: boolean;
  /** Everything the source committed before this WAL position has been compared. */
  readonly asOf?: string;
  /** The tables. */
  readonly tables: readonly VerifiedTable[];
  /** One for each kind of object. */
  readonly sections: readonly VerifiedSection[];
  /** Duration in milliseconds. */
  readonly ms: number;
}

/** The combined verdict: `different` outweighs `unchecked`, which outweighs `equal`. */
export function worst(verdicts: Iterable<Verdict>): Verdict {
  let result: Verdict = "equal";
  for (const verdict of verdicts) {
    if (verdict === "different") return verdict;
    if (verdict === "unchecked") result = verdict;
  }
  return result;
}
