/**
 * What applies the changes of a slot on the target: the boundary between replication and the
 * program that applies changes.
 *
 * @module
 */
import type { Lsn, TableName } from "../core/internal.ts";
import type { Table } from "../catalog/internal.ts";
import type { Endpoint, Session } from "../postgres/internal.ts";
import type { ReplicationNames } from "./publication/names.ts";
import type { ScopeComment } from "./publication/publication_comment.ts";
import type { LeftIdentity } from "./publication/restore_replica_identities.ts";
import type { SubscriptionOrigin } from "./subscription/create_subscription.ts";
import type { HarmfulSetting } from "./subscription/worker_settings.ts";

/** What applies the changes: a subscription of the target's server, or a process of the tool. */
export const applierKinds = ["subscription", "client"] as const;

/** One of {@linkcode applierKinds}. */
export type ApplierKind = typeof applierKinds[number];

/** What an applier is doing. Durable on the target. */
export type ApplierState = "absent" | "stopped" | "running";

/** How the target's server reaches the changes. */
export interface SubscriptionAccess {
  /** The source's database, at the address by which the target's server reaches it. */
  readonly sourceFromTarget: Endpoint;
  /** A file with the password on the target's server. */
  readonly passfile: string | undefined;
}

/** The stream that a new applier follows. */
export interface AppliedStream {
  /** A session on the source's database. */
  readonly source: Session;
  /** Names of its slot, publication and applier. */
  readonly names: ReplicationNames;
  /** The published tables. */
  readonly published: readonly Table[];
  /** The row filter of a table; undefined for all rows. */
  readonly predicateOf: (table: TableName) => string | undefined;
  /** Record of the stream, stored with the applier. */
  readonly scopeComment: ScopeComment;
  /** How the target's server connects to the source, for a subscription. */
  readonly access: SubscriptionAccess;
  /** See {@linkcode SubscriptionOrigin}. */
  readonly origin: SubscriptionOrigin;
}

/**
 * Applies one slot's changes in commit order, each exactly once.
 *
 * States: absent → stopped ({@linkcode create}) ⇄ running ({@linkcode start}, {@linkcode stop}) →
 * absent ({@linkcode remove}). All of them are durable on the target: a handle only refers to the
 * applier, and disposing of the handle does not stop an applier that runs on the server.
 */
export interface Applier extends AsyncDisposable {
  /** The name of the stream, shared by slot, publication and applier. */
  readonly name: string;
  /** What applies the changes. */
  readonly kind: ApplierKind;
  /** Reads its state from the target: `absent`, `stopped` or `running`. */
  state(): Promise<ApplierState>;
  /**
   * Creates the applier, stopped. It starts at the slot's position.
   *
   * @returns settings of the target that were overridden for it
   */
  create(stream: AppliedStream): Promise<readonly HarmfulSetting[]>;
  /** Starts applying changes; durable, also after a restart of the server. */
  start(): Promise<void>;
  /** Resolves once nothing is being applied any longer. */
  stop(): Promise<void>;
  /** Skips the transaction that ends at the position, then starts. */
  skip(lsn: Lsn): Promise<void>;
  /** Lets a stopped applier resume no earlier than a position to which its slot was advanced. */
  advance(lsn: Lsn): Promise<void>;
  /** Applies changes of tables that were added to the publication. */
  addTables(tables: readonly TableName[]): Promise<void>;
  /** Stops applying changes of tables that the publication no longer lists. */
  keepTables(tables: readonly TableName[]): Promise<void>;
  /**
   * Removes the applier and leaves the slot. Does nothing if it is absent.
   *
   * @returns tables whose replica identity could not be restored
   */
  remove(options: {
    /** Whether the target's tables get back the replica identity they had before the copy. */
    readonly restoreIdentities: boolean;
    /**
     * Whether triggers and foreign keys that the tool's own applier holds stay so: another stream
     * of the tables follows.
     *
     * @default false
     */
    readonly keepsHeldObjects?: boolean;
  }): Promise<readonly LeftIdentity[]>;
}

/** What {@linkcode openApplier} takes besides the session. */
export interface ApplierOptions {
  /** Name of the stream, shared by slot, publication and applier. */
  readonly name: string;
  /** Ends waiting for the applier to stop. */
  readonly signal?: AbortSignal;
  /**
   * How long the applier may take to stop, in milliseconds; then stopping fails.
   *
   * @default Infinity
   */
  readonly stopTimeoutMs?: number;
}
