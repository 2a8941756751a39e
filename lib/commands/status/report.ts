/**
 * What `status` returns: plain data. Unknown values are `null`, sizes are bytes, LSNs are text as
 * PostgreSQL prints them. `docs/guides/status.md` explains every field,
 * `docs/reference/status.schema.json` is the schema.
 *
 * @module
 */
import type { Severity, Side } from "../../core/internal.ts";
import type { CutoverPhase, KeptSlot, UnfinishedSwitch } from "../../cutover/internal.ts";
import type { ApplierKind, StreamState, TableState } from "../../replication/internal.ts";

export { type CutoverPhase, cutoverPhases, type KeptSlot } from "../../cutover/internal.ts";
export { type StreamState, streamStates } from "../../replication/internal.ts";

/** The status of all streams between two servers. */
export interface StatusReport {
  /** The version of this format. */
  readonly formatVersion: 1;
  /** The time of the reading, ISO. */
  readonly at: string;
  /** Whether the source was reached, and its version. */
  readonly source: ServerStatus;
  /** Whether the target was reached, and its version. */
  readonly target: ServerStatus;
  /** The source's WAL; null if the source is unreachable. */
  readonly wal: WalStatusReport | null;
  /** Databases with streams between the two servers. */
  readonly databases: readonly DatabaseStatus[];
  /** Everything that needs attention, problems first. */
  readonly findings: readonly StatusFinding[];
  /** Whether no finding is a problem. */
  readonly healthy: boolean;
}

/** One of the two servers. */
export interface ServerStatus {
  /** The URL without its password. */
  readonly url: string;
  /** Whether this reading reached it. */
  readonly reachable: boolean;
  /** Version of the server: `17.2`; null if unreachable. */
  readonly version: string | null;
  /** Why it is unreachable. */
  readonly problem: string | null;
}

/** The source's WAL. */
export interface WalStatusReport {
  /** Its end (`pg_current_wal_insert_lsn`). */
  readonly lsn: string;
  /** WAL written per second since the last reading; null if unknown. */
  readonly bytesPerSecond: number | null;
}

/** One database with all its streams. */
export interface DatabaseStatus {
  /** Its name on the source. */
  readonly source: string | null;
  /** Its name on the target. */
  readonly target: string | null;
  /** One per snapshot generation: tables copied under a later snapshot have their own stream. */
  readonly streams: readonly StreamStatus[];
  /** What DDL has changed on one side; null if it cannot be compared. */
  readonly drift: readonly DriftStatus[] | null;
  /** Sequences that differ; null if they cannot be compared. The cutover sets them. */
  readonly sequences: readonly SequenceStatus[] | null;
  /** Objects that `init` set aside, still to be created; null if the target is unreachable. */
  readonly setAside: readonly string[] | null;
  /**
   * The cutover of the database; null before `cutover prepare`, or if a side is unreachable.
   * Missing in reports of earlier versions.
   */
  readonly cutover?: {
    /** `prepared`, `switched`, …; see {@linkcode cutoverPhases}. */
    readonly phase: CutoverPhase;
    /** When either side was opened or closed last, ISO 8601. */
    readonly since: string;
    /**
     * The tripwire: changes on the closed side that replication did not bring, up to 20: on the
     * target before the switch, on the source after it. Null in other phases, or if they cannot be
     * read. Missing in reports of earlier versions.
     */
    readonly foreignChanges?: number | null;
    /**
     * Writes that the fence of the closed side has refused since it was closed: on the target
     * before the switch, on the source after it. Null if they were not counted, or the side cannot
     * be reached. Missing in reports of earlier versions.
     */
    readonly refusedWrites?: number | null;
    /**
     * The stream from the target to the source. Null if the target is not in use, there is none, or
     * a side cannot be read. Missing in reports of earlier versions.
     */
    readonly wayBack?: WayBackStatus | null;
    /**
     * The slot of the way back on the closed target, which an earlier switch has left there. Null
     * in other phases, if there is none, or if it cannot be read. Missing in reports of earlier
     * versions.
     */
    readonly keptSlot?: KeptSlot | null;
    /**
     * A switch before its point of no return that has changed something: it is running, or was
     * interrupted, and the same command restores what it left. Null without one; missing in reports
     * of earlier versions.
     */
    readonly unfinished?: UnfinishedSwitch | null;
  } | null;
}

/** The stream that brings the changes of the target in use to the closed source. */
export interface WayBackStatus {
  /** The name of slot, publication and subscription. */
  readonly name: string;
  /** See {@linkcode streamStates}. */
  readonly state: StreamState;
  /** What applies its changes; null without an applier. */
  readonly kind: ApplierKind | null;
  /** WAL that the source has not confirmed, in bytes; null without a slot. */
  readonly lagBytes: number | null;
}

/** A slot, its publication and its subscription. */
export interface StreamStatus {
  /** The name of slot, publication and subscription. */
  readonly name: string;
  /** Snapshot generation: 1 for the first copy, higher for later ones. */
  readonly epoch: number;
  /** When it was created, ISO 8601; null if its comment is missing. */
  readonly createdAt: string | null;
  /** `streaming`, `blocked`, `failing`, …; see {@linkcode streamStates}. */
  readonly state: StreamState;
  /** Source WAL not yet confirmed by the target; null if unknown. */
  readonly lagBytes: number | null;
  /** 0 if nothing is pending. */
  readonly lagSeconds: number | null;
  /** WAL that the target confirms per second; null if unknown. */
  readonly appliedBytesPerSecond: number | null;
  /** Time until nothing is pending, at these rates. */
  readonly catchUpSeconds: number | null;
  /** Replication slot on the source; null if missing or unreachable. */
  readonly slot: SlotStatus | null;
  /** Publication on the source; null if missing or unreachable. */
  readonly publication: PublicationStatus | null;
  /** Subscription on the target; null if missing or unreachable. */
  readonly subscription: SubscriptionStatus | null;
}

/** The slot on the source. */
export interface SlotStatus {
  /** Whether a walsender is reading it. */
  readonly active: boolean;
  /** Process ID of the walsender; null if inactive. */
  readonly activePid: number | null;
  /** Start of the WAL that it retains: `0/16B3748`. */
  readonly restartLsn: string | null;
  /** Position up to which the target has confirmed changes. */
  readonly confirmedFlushLsn: string | null;
  /** WAL that it retains on the source's disk. */
  readonly retainedBytes: number | null;
  /** `reserved`, `extended`, `unreserved` or `lost`. 13+ */
  readonly walStatus: string | null;
  /** WAL that can be written before it may be lost; null without a limit. 13+ */
  readonly safeWalBytes: number | null;
  /** `safeWalBytes` at the current WAL rate; null without a limit or writes. */
  readonly hoursUntilLost: number | null;
  /** Why the server invalidated it: `wal_removed`; null if valid. 16+ */
  readonly invalidationReason: string | null;
}

/** The publication on the source. */
export interface PublicationStatus {
  /** Number of published tables. */
  readonly tables: number;
  /** Whether it was created `FOR ALL TABLES`. */
  readonly allTables: boolean;
}

/**
 * The subscription on the target, or the stream's record if the tool itself applies its changes.
 */
export interface SubscriptionStatus {
  /** What the tool's own process has applied; missing for a subscription. */
  readonly client?: ClientStatus;
  /** Whether it is enabled; false after `ALTER SUBSCRIPTION … DISABLE`. */
  readonly enabled: boolean;
  /** Slot that it reads, unquoted; null if detached (`slot_name = NONE`). */
  readonly slotName: string | null;
  /** Names of the publications that it subscribes to, unquoted. */
  readonly publications: readonly string[];
  /** Process ID of the apply worker, or of the process's session; null while none runs. */
  readonly workerPid: number | null;
  /** Last WAL position that the worker received; null if unknown. */
  readonly receivedLsn: string | null;
  /** The position that was applied, or that the worker has reported to the source as applied. */
  readonly appliedLsn: string | null;
  /** Time since the worker received its last message from the source. */
  readonly silenceSeconds: number | null;
  /** Apply errors since the statistics were reset (15+), or all of a client. */
  readonly applyErrors: number | null;
  /** Errors of initial table synchronization since the statistics were reset. 15+ */
  readonly syncErrors: number | null;
  /** By kind. 18+, or of a client. */
  readonly conflicts: Readonly<Record<string, number>>;
  /** Sessions whose locks the worker waits for. */
  readonly blockedBy: readonly BlockerStatus[];
  /** State of each subscribed table. */
  readonly tables: readonly SubscribedTableStatus[];
}

/** What the tool's own process has applied. */
export interface ClientStatus {
  /** Transactions of the source that it has applied. */
  readonly transactions: number;
  /** Changes that it has applied. */
  readonly changes: number;
  /** Time since the last transaction, in seconds; null before the first. */
  readonly idleSeconds: number | null;
  /** Why it has stopped; null if nothing prevents it from applying changes. */
  readonly error: ClientErrorStatus | null;
}

/** A change that the tool's own process could not apply. */
export interface ClientErrorStatus {
  /** What failed, with table and key, in one line. */
  readonly message: string;
  /** SQLSTATE of the target's error; null if a row was missing or exists already. */
  readonly sqlState: string | null;
  /** What is known of the row on both sides, one line each. */
  readonly details: readonly string[];
  /** End of the transaction, for `--skip-lsn`; null if unknown. */
  readonly finishLsn: string | null;
}

/** A session whose lock the worker waits for. */
export interface BlockerStatus {
  /** Process ID of its backend; 0 for a prepared transaction. */
  readonly pid: number;
  /** Role name, unquoted; null for a prepared transaction. */
  readonly user: string | null;
  /** Its `application_name`; null if empty or not visible. */
  readonly application: string | null;
  /** Age of its transaction, in seconds; null if not visible. */
  readonly transactionSeconds: number | null;
}

/** A table of a subscription. */
export interface SubscribedTableStatus {
  /** Schema name, unquoted. */
  readonly schema: string;
  /** Table name without schema, unquoted. */
  readonly name: string;
  /** `init`, `copying`, `finished`, `synchronized` or `ready`. */
  readonly state: TableState;
  /** WAL position at which its initial copy ended; null if none. */
  readonly lsn: string | null;
}

/** An object that differs between the sides. */
export interface DriftStatus {
  /** `table-missing`, `column-added`, `enum-label`, … */
  readonly kind: string;
  /** Schema name, unquoted. */
  readonly schema: string;
  /** Table name without schema, unquoted; for a type, a table using it. */
  readonly name: string;
  /** Column name, unquoted; null if the table itself differs. */
  readonly column: string | null;
  /** The difference, in one sentence. */
  readonly message: string;
}

/** A sequence whose value differs on the target. */
export interface SequenceStatus {
  /** Schema name, unquoted. */
  readonly schema: string;
  /** Sequence name without schema, unquoted. */
  readonly name: string;
  /** Its value as text, because it may exceed the range of JSON numbers. */
  readonly source: string;
  /** Its value on the target, as text. */
  readonly target: string;
  /** How far the target is behind. */
  readonly distance: number;
}

/** Something that needs attention. */
export interface StatusFinding {
  /** A stable identifier for scripts, such as `slot-at-risk`. */
  readonly id: string;
  /** `problem` makes `--check` fail. */
  readonly severity: Severity;
  /** The server to look at. */
  readonly side: Side;
  /** Database name on the source, or else on the target; null if none. */
  readonly database: string | null;
  /** Name of the stream; null if it concerns no single one. */
  readonly stream: string | null;
  /** What was found, in one sentence. */
  readonly message: string;
  /** What to do next, in one sentence. */
  readonly remedy: string;
}

/** The limits of `--check`. */
export interface StatusLimits {
  /** Largest acceptable lag in bytes; undefined for no limit. */
  readonly maxLagBytes?: number | undefined;
  /** Largest acceptable lag in seconds; undefined for no limit. */
  readonly maxLagSeconds?: number | undefined;
}

/** The result of `--check`. */
export interface StatusCheck {
  /** Whether no finding is a problem and every limit holds. */
  readonly ok: boolean;
  /** One line per problem or exceeded limit; empty if `ok`. */
  readonly reasons: readonly string[];
}
