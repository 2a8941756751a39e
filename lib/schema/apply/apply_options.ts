/**
 * What applying a schema takes, and where it reports to.
 *
 * @module
 */
import type { DumpStatement } from "../parse/dump_reader.ts";
import type { SetAsideStatement } from "./set_aside.ts";

/** Options of `applyStatements`. */
export interface ApplyOptions {
  /** Called after each batch. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
  /**
   * Statements per Query message.
   *
   * @default 100
   */
  readonly batchSize?: number;
  /**
   * Whether objects were excluded by rules: objects that need them are then reported instead of
   * failing. Tables are always created.
   *
   * @default false
   */
  readonly incomplete?: boolean;
  /**
   * Major version of the source: the remedy for a refusal depends on which side is older.
   */
  readonly sourceMajor?: number | undefined;
  /** Records statements as done, in the transaction that runs them. */
  readonly record?: StatementRecord;
  /**
   * Receives refused statements, and the run continues; without it the first refusal ends the run.
   */
  readonly setAside?: SetAsideSink | undefined;
  /**
   * Whether the caller has begun a transaction for the whole run.
   *
   * @default false
   */
  readonly inTransaction?: boolean;
}

/** Collects refused statements. Several sessions may share it. */
export interface SetAsideSink {
  /** Those collected so far: statements that depend on them are set aside too. */
  readonly items: readonly SetAsideStatement[];
  /** Adds a refused statement to `items`. */
  readonly add: (item: SetAsideStatement) => void;
}

/** Records which statements are done. */
export interface StatementRecord {
  /**
   * SQL that records these statements as done; empty when none needs recording. It is sent before
   * them in the same message, hence in the same transaction.
   */
  readonly statement: (statements: readonly DumpStatement[]) => string;
  /** Called when the transaction has committed. */
  readonly onRecorded: (statements: readonly DumpStatement[]) => void;
}
