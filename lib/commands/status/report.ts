/**
 * What `status` returns: plain data. Unknown values are `null`, sizes are bytes, LSNs are text as
 * PostgreSQL prints them. `docs/guides/status.md` explains every field,
 * `docs/reference/status.schema.json` is the schema.
 *
 * @module
 */
import type { Side } from "../../core/internal.ts";
import type { StreamState, TableState } from "../../replication/internal.ts";

export { type StreamState, streamStates } from "../../replication/internal.ts";

/** The status of all streams between two servers. */
export interface StatusReport {
  /** The version of this format. */
  readonly formatVersion: 1;
  /** The time of the reading, ISO. */
  readonly at: string;
  readonly source: ServerStatus;
  readonly target: ServerStatus;
  /** The source's WAL; null if the source is unreachable. */
  readonly wal: WalStatusReport | null;
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
  readonly reachable: boolean;
  readonly version: string | null;
  /** Why it is unreachable. */
  readonly problem: string | null;
}

/** The source's WAL. */
export interface WalStatusReport {
  /** Its end (`pg_current_wal_insert_lsn`). */
  readonly lsn: string;
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
}

/** A slot, its publication and its subscription. */
export interface StreamStatus {
  /** The name of slot, publication and subscription. */
  readonly name: string;
  readonly epoch: number;
  readonly createdAt: string | null;
  readonly state: StreamState;
  readonly lagBytes: number | null;
  /** 0 if nothing is pending. */
  readonly lagSeconds: number | null;
  readonly appliedBytesPerSecond: number | null;
  /** Time until nothing is pending, at these rates. */
  readonly catchUpSeconds: number | null;
  readonly slot: SlotStatus | null;
  readonly publication: PublicationStatus | null;
  readonly subscription: SubscriptionStatus | null;
}

/** The slot on the source. */
export interface SlotStatus {
  readonly active: boolean;
  readonly activePid: number | null;
  readonly restartLsn: string | null;
  readonly confirmedFlushLsn: string | null;
  /** WAL that it retains on the source's disk. */
  readonly retainedBytes: number | null;
  /** `reserved`, `extended`, `unreserved` or `lost`. 13+ */
  readonly walStatus: string | null;
  /** WAL that can be written before it may be lost; null without a limit. 13+ */
  readonly safeWalBytes: number | null;
  readonly hoursUntilLost: number | null;
  readonly invalidationReason: string | null;
}

/** The publication on the source. */
export interface PublicationStatus {
  readonly tables: number;
  readonly allTables: boolean;
}

/** The subscription on the target. */
export interface SubscriptionStatus {
  readonly enabled: boolean;
  readonly slotName: string | null;
  readonly publications: readonly string[];
  readonly workerPid: number | null;
  readonly receivedLsn: string | null;
  /** The position that the worker has reported to the source as applied. */
  readonly appliedLsn: string | null;
  /** Time since the worker received its last message from the source. */
  readonly silenceSeconds: number | null;
  /** Apply errors since the statistics were reset. 15+ */
  readonly applyErrors: number | null;
  readonly syncErrors: number | null;
  /** By kind. 18+ */
  readonly conflicts: Readonly<Record<string, number>>;
  /** Sessions whose locks the worker waits for. */
  readonly blockedBy: readonly BlockerStatus[];
  readonly tables: readonly SubscribedTableStatus[];
}

/** A session whose lock the worker waits for. */
export interface BlockerStatus {
  readonly pid: number;
  readonly user: string | null;
  readonly application: string | null;
  readonly transactionSeconds: number | null;
}

/** A table of a subscription. */
export interface SubscribedTableStatus {
  readonly schema: string;
  readonly name: string;
  readonly state: TableState;
  readonly lsn: string | null;
}

/** An object that differs between the sides. */
export interface DriftStatus {
  readonly kind: string;
  readonly schema: string;
  readonly name: string;
  readonly column: string | null;
  readonly message: string;
}

/** A sequence whose value differs on the target. */
export interface SequenceStatus {
  readonly schema: string;
  readonly name: string;
  /** Its value as text, because it may exceed the range of JSON numbers. */
  readonly source: string;
  readonly target: string;
  /** How far the target is behind. */
  readonly distance: number;
}

/** Something that needs attention. */
export interface StatusFinding {
  /** A stable identifier for scripts, such as `slot-at-risk`. */
  readonly id: string;
  /** `problem` makes `--check` fail. */
  readonly severity: "problem" | "warning";
  readonly side: Side;
  readonly database: string | null;
  readonly stream: string | null;
  readonly message: string;
  readonly remedy: string;
}

/** The limits of `--check`. */
export interface StatusLimits {
  readonly maxLagBytes: number | undefined;
  readonly maxLagSeconds: number | undefined;
}

/** The result of `--check`. */
export interface StatusCheck {
  readonly ok: boolean;
  readonly reasons: readonly string[];
}
