/**
 * The words of checkpoints: runs, epochs, and what is done of a database. Plain data.
 *
 * @module
 */
import type { TableName } from "../core/internal.ts";
import type { SetAsideObject } from "../schema/internal.ts";

/** What a run moves; another scope never goes on with its work. */
export interface RunScope {
  /** Source name → target name, in the order of the copy. */
  readonly databases: Readonly<Record<string, string>>;
  /** `fingerprintScope` of databases and rules. */
  readonly fingerprint: string;
  /**
   * The moment that time windows reach back from: computed once, and used again by every later
   * attempt. ISO 8601.
   */
  readonly now: string;
  /** Whether replication follows. */
  readonly sync: boolean;
  /** How the databases were selected; undefined in records of earlier versions. */
  readonly selection?: DatabaseFilter;
}

/** Names or wildcards that selected the databases of a run, each list sorted; empty: all. */
export interface DatabaseFilter {
  /** Names or patterns; empty for all. */
  readonly include: readonly string[];
  /** Names or patterns to leave out. */
  readonly exclude: readonly string[];
}

/**
 * A moment of the source, so described that equal descriptions see equal rows: the same server
 * process, and a snapshot with the same transactions (`pg_current_snapshot()`). Every write takes a
 * transaction number, so nothing was written in between.
 *
 * The server's start is part of it, because a crash may forget numbers that it then gives again.
 */
export interface SourcePoint {
  /** `pg_postmaster_start_time()`, microseconds since 1970 as text. */
  readonly serverStart: string;
  /** OID of the database. */
  readonly databaseOid: number;
  /** `10:20:10,14`: xmin, xmax, and the transactions in progress. */
  readonly transactions: string;
}

/** One consistent point of a source database, and the tables that were copied as of it. */
export interface SnapshotGeneration {
  /** From 1. */
  readonly epoch: number;
  /** Where the source's WAL stood; undefined where it may not be read. */
  readonly lsn?: string;
  /** Identifier of the exported snapshot; importable only while its exporting session lives. */
  readonly snapshot: string;
  /** By the target's clock, ISO 8601. */
  readonly startedAt: string;
  /** Undefined where the source does not tell. */
  readonly point?: SourcePoint;
  /** The replication slot that begins at this point. */
  readonly slot?: string;
  /** The publication of this epoch's tables. */
  readonly publication?: string;
  /** The subscription that goes on from this point. */
  readonly subscription?: string;
}

/**
 * One part of a table as it was planned: the plan is kept because the table's size, which ranges
 * come from, changes.
 */
export interface PlannedPart {
  /** Counted from 0. */
  readonly part: number;
  readonly parts: number;
  /** First block; undefined for a whole table. */
  readonly from?: number;
  /**
   * The block after the last; undefined for the last part, which is open, and for a whole table.
   */
  readonly to?: number;
  /** In place of blocks: the range of a column's values; open where a bound is undefined. */
  readonly key?: {
    readonly column: string;
    readonly type: string;
    readonly from?: string;
    readonly to?: string;
  };
  /** Whether its rows are committed. */
  readonly done: boolean;
  /** Rows of a part that is done; undefined when the run was killed before it noted them. */
  readonly rows?: number;
  readonly bytes?: number;
}

/** What is recorded of a table's rows. All parts belong to one epoch. */
export interface TableRecord extends TableName {
  readonly epoch: number;
  readonly parts: readonly PlannedPart[];
}

/** What a ledger is begun with. */
export interface LedgerRun {
  /** Which run: a UUID, the same for all databases and attempts of a run. */
  readonly run: string;
  /** Version of the tool that began it. */
  readonly tool: string;
  readonly source: LedgerSource;
  readonly scope: RunScope;
  /** What gave the structure: another pg_dump may write the same in other words. */
  readonly dumpTool: string;
  /**
   * What happens to each table, in words, for telling how another scope differs: `analytics.orders`
   * → `copied`.
   */
  readonly decisions: Readonly<Record<string, string>>;
}

/** Everything that the ledger of one target database says. */
export interface LedgerState extends LedgerRun {
  /** By the target's clock, ISO 8601. */
  readonly startedAt: string;
  readonly epochs: readonly SnapshotGeneration[];
  readonly tables: readonly TableRecord[];
  /** Digests of the statements that are committed, see `statementDigest`. */
  readonly statements: ReadonlySet<string>;
  /** Digests of the dump's statements → their objects, in words. */
  readonly structure: ReadonlyMap<string, string>;
  /** Whether everything of this database is done, but for what was set aside. */
  readonly complete: boolean;
  /** Objects that the target refused when all else was done. */
  readonly setAside: readonly SetAsideObject[];
}

/** The source database as the ledger knows it. */
export interface LedgerSource {
  /** Its name. */
  readonly database: string;
  /** `pg_control_system().system_identifier`; undefined where it may not be read. */
  readonly systemIdentifier?: string;
  readonly databaseOid: number;
}
