/**
 * The data model of checkpoints: runs, snapshot generations, and progress of a database.
 *
 * @module
 */
import type { TableName } from "../core/internal.ts";
import type { SetAsideObject } from "../schema/internal.ts";

/** What a run copies; a run is resumed only with the same scope. */
export interface RunScope {
  /** Source name → target name, in copy order. */
  readonly databases: Readonly<Record<string, string>>;
  /** `fingerprintScope` of databases and rules. */
  readonly fingerprint: string;
  /**
   * The time that time windows end at, as ISO 8601: fixed for all attempts.
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
 * A point in the source's history; equal points see equal rows: the same server process, and a
 * snapshot with the same transactions (`pg_current_snapshot()`). Every write takes a transaction
 * ID, so nothing was written in between.
 *
 * The server's start time is included, because IDs can be reused after a crash.
 */
export interface SourcePoint {
  /** `pg_postmaster_start_time()`, microseconds since 1970 as text. */
  readonly serverStart: string;
  /** OID of the database. */
  readonly databaseOid: number;
  /** `10:20:10,14`: xmin, xmax, and the transactions in progress. */
  readonly transactions: string;
}

/** One snapshot of a source database that tables are copied from. */
export interface SnapshotGeneration {
  /** From 1. */
  readonly number: number;
  /** The source's WAL position as text; undefined if the role may not read it. */
  readonly lsn?: string;
  /** Name of the exported snapshot; importable only while its exporting session is open. */
  readonly snapshot: string;
  /** By the target's clock, ISO 8601. */
  readonly startedAt: string;
  /** Undefined if unknown. */
  readonly point?: SourcePoint;
  /** The replication slot that starts at this point. */
  readonly slot?: string;
  /** The publication of this generation's tables. */
  readonly publication?: string;
  /** The subscription that continues from this point. */
  readonly subscription?: string;
}

/**
 * One planned part of a table. The plan is recorded because it depends on the table's size, which
 * changes.
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
  /** Instead of blocks: a range of key values, unbounded where undefined. */
  readonly key?: {
    readonly column: string;
    readonly type: string;
    readonly from?: string;
    readonly to?: string;
  };
  /** Whether its rows are committed. */
  readonly done: boolean;
  /** Rows of a done part; undefined when the run was killed before recording them. */
  readonly rows?: number;
  readonly bytes?: number;
}

/** The progress of a table. All parts belong to one generation. */
export interface TableRecord extends TableName {
  readonly generation: number;
  readonly parts: readonly PlannedPart[];
}

/** The head of a ledger. */
export interface LedgerRun {
  /** UUID of the run, for all of its databases and attempts. */
  readonly run: string;
  /** Version of the tool that started it. */
  readonly tool: string;
  readonly source: LedgerSource;
  readonly scope: RunScope;
  /** The pg_dump that read the structure: another one may write it differently. */
  readonly dumpTool: string;
  /**
   * What happens to each table, in words, to describe differences to another scope:
   * `analytics.orders` → `copied`.
   */
  readonly decisions: Readonly<Record<string, string>>;
}

/** The complete ledger of one target database. */
export interface LedgerState extends LedgerRun {
  /** By the target's clock, ISO 8601. */
  readonly startedAt: string;
  readonly generations: readonly SnapshotGeneration[];
  readonly tables: readonly TableRecord[];
  /** Digests of committed statements, see `statementDigest`. */
  readonly statements: ReadonlySet<string>;
  /** Digests of the dump's statements → names of their objects. */
  readonly structure: ReadonlyMap<string, string>;
  /** Whether the database is complete, except for what was set aside. */
  readonly complete: boolean;
  /** Objects that the target refused. */
  readonly setAside: readonly SetAsideObject[];
}

/** The source database, as recorded in the ledger. */
export interface LedgerSource {
  /** Its name. */
  readonly database: string;
  /** `pg_control_system().system_identifier`; undefined if the role may not read it. */
  readonly systemIdentifier?: string;
  readonly databaseOid: number;
}
