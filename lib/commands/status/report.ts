/**
 * What `status` returns: plain data. What cannot be told is `null`. Sizes are bytes; LSNs are texts
 * as PostgreSQL writes them. `docs/guides/status.md` explains every field,
 * `docs/reference/status.schema.json` has the form.
 *
 * @module
 */
import type { Side } from "../../core/internal.ts";
import type { StreamState, TableState } from "../../replication/internal.ts";

export type { StreamState };

/** Where all our streams of changes stand. */
export interface StatusReport {
  /** Of this form. */
  readonly formatVersion: 1;
  /** When it was read, ISO. */
  readonly at: string;
  readonly source: ServerStatus;
  readonly target: ServerStatus;
  /** The source's WAL; null when the source is out of reach. */
  readonly wal: WalStatusReport | null;
  readonly databases: readonly DatabaseStatus[];
  /** Everything that somebody should look at, worst first. */
  readonly findings: readonly StatusFinding[];
  /** No finding is a problem. */
  readonly healthy: boolean;
}

/** One of the two servers. */
export interface ServerStatus {
  /** Without password. */
  readonly url: string;
  readonly reachable: boolean;
  readonly version: string | null;
  /** Why it is out of reach. */
  readonly problem: string | null;
}

/** The source's WAL. */
export interface WalStatusReport {
  /** Its end (`pg_current_wal_insert_lsn`). */
  readonly lsn: string;
  readonly bytesPerSecond: number | null;
}

/** One database with all of its streams. */
export interface DatabaseStatus {
  /** Its name on the source. */
  readonly source: string | null;
  /** Its name on the target. */
  readonly target: string | null;
  /** One for each epoch: tables copied under a later snapshot have a stream of their own. */
  readonly streams: readonly StreamStatus[];
  /** What DDL has changed on one side; null when it cannot be compared. */
  readonly drift: readonly DriftStatus[] | null;
  /** Sequences that differ; null when they cannot be compared. They are set at the cutover. */
  readonly sequences: readonly SequenceStatus[] | null;
  /**
   * Objects that `init` set aside and that are still to be created; null when the target is out of
   * reach.
   */
  readonly setAside: readonly string[] | null;
}

/** A slot, its publication and its subscription. */
export interface StreamStatus {
  /** All three have it. */
  readonly name: string;
  readonly epoch: number;
  readonly createdAt: string | null;
  readonly state: StreamState;
  readonly lagBytes: number | null;
  /** 0 when nothing waits. */
  readonly lagSeconds: number | null;
  readonly appliedBytesPerSecond: number | null;
  /** Until nothing waits, at these rates. */
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
  /** WAL that it keeps on the source's disk. */
  readonly retainedBytes: number | null;
  /** `reserved`, `extended`, `unreserved` or `lost`. 13+ */
  readonly walStatus: string | null;
  /** WAL that may be written before it can be lost; null: no limit. 13+ */
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
  /** What the worker has reported to the source as applied. */
  readonly appliedLsn: string | null;
  /** Since the last message from the source that the worker has taken. */
  readonly silenceSeconds: number | null;
  /** Since statistics were reset. 15+ */
  readonly applyErrors: number | null;
  readonly syncErrors: number | null;
  /** By kind. 18+ */
  readonly conflicts: Readonly<Record<string, number>>;
  /** Sessions whose locks hold it up. */
  readonly blockedBy: readonly BlockerStatus[];
  readonly tables: readonly SubscribedTableStatus[];
}

/** A session that holds the worker up. */
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

/** An object that both sides do not have alike. */
export interface DriftStatus {
  readonly kind: string;
  readonly schema: string;
  readonly name: string;
  readonly column: string | null;
  readonly message: string;
}

/** A sequence that stands elsewhere. */
export interface SequenceStatus {
  readonly schema: string;
  readonly name: string;
  /** Its value, in digits: it may exceed what JSON numbers can hold. */
  readonly source: string;
  readonly target: string;
  /** How far the target is behind. */
  readonly distance: number;
}

/** Something to look at. */
export interface StatusFinding {
  /** Stable name for scripts: `slot-at-risk`. */
  readonly id: string;
  /** `problem` makes `--check` fail. */
  readonly severity: "problem" | "warning";
  readonly side: Side;
  readonly database: string | null;
  readonly stream: string | null;
  readonly message: string;
  readonly remedy: string;
}

/** What `--check` asks for. */
export interface StatusLimits {
  readonly maxLagBytes: number | undefined;
  readonly maxLagSeconds: number | undefined;
}

/** What `--check` says. */
export interface StatusCheck {
  readonly ok: boolean;
  readonly reasons: readonly string[];
}
