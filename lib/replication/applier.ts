/**
 * What applies the changes of a slot on the target: the boundary between replication and the
 * program that applies changes. At present that is a subscription of the target's server.
 *
 * @module
 */
import { type Lsn, ReplicatorError } from "../core/internal.ts";
import type { Table } from "../catalog/internal.ts";
import type { Endpoint, Session } from "../postgres/internal.ts";
import type { ReplicationNames } from "./publication/names.ts";
import type { ScopeComment } from "./publication/publication_comment.ts";
import type { LeftIdentity } from "./publication/restore_replica_identities.ts";
import { readSubscriptionComments } from "./subscription/list_owned_subscriptions.ts";
import { readSubscriptions } from "./subscription/read_subscriptions.ts";
import { skipTransaction } from "./subscription/skip_transaction.ts";
import { createSubscription, type SubscriptionOrigin } from "./subscription/create_subscription.ts";
import {
  disableSubscription,
  dropSubscription,
  enableSubscription,
  forgetRemovedTables,
} from "./subscription/subscription.ts";
import { type HarmfulSetting, readHarmfulSettings } from "./subscription/worker_settings.ts";

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
  /** Names of its slot, publication and subscription. */
  readonly names: ReplicationNames;
  /** The published tables. */
  readonly published: readonly Table[];
  /** Record of the stream, stored as the subscription's comment. */
  readonly scopeComment: ScopeComment;
  /** How the target's server connects to the source. */
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
  /** The name of the stream, shared by slot, publication and subscription. */
  readonly name: string;
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
  /** Stops applying changes of tables that the publication no longer lists. */
  forgetRemovedTables(): Promise<void>;
  /**
   * Removes the applier and leaves the slot. Does nothing if it is absent.
   *
   * @returns tables whose replica identity could not be restored
   */
  remove(options: {
    /** Whether the target's tables get back the replica identity they had before the copy. */
    readonly restoreIdentities: boolean;
  }): Promise<readonly LeftIdentity[]>;
}

/** What {@linkcode openApplier} takes besides the session. */
export interface ApplierOptions {
  /** Name of the stream, shared by slot, publication and subscription. */
  readonly name: string;
  /** Ends waiting for the applier to stop. */
  readonly signal?: AbortSignal;
}

/** Refers to the applier of a stream, whether it exists or not. The session is the target's. */
export function openApplier(
  session: Session,
  options: ApplierOptions,
): Applier {
  return new SubscriptionApplier(session, options);
}

const ownerStatement = `
  SELECT s.subenabled AS enabled, s.subowner AS owner
    FROM pg_catalog.pg_subscription AS s
    JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid
   WHERE s.subname = $1 AND d.datname = pg_catalog.current_database()`;

/** A subscription of the target's server. */
class SubscriptionApplier implements Applier {
  readonly name: string;
  readonly #session: Session;
  readonly #signal: AbortSignal | undefined;

  constructor(session: Session, { name, signal }: ApplierOptions) {
    this.name = name;
    this.#session = session;
    this.#signal = signal;
  }

  async state(): Promise<ApplierState> {
    const found = await this.#read();
    return found === undefined ? "absent" : found.enabled ? "running" : "stopped";
  }

  async create(
    { source, names, published, scopeComment, access, origin }: AppliedStream,
  ): Promise<readonly HarmfulSetting[]> {
    const harmfulSettings = await readHarmfulSettings({ source, target: this.#session });
    await createSubscription({
      session: this.#session,
      name: names.subscription,
      publication: names.publication,
      slot: names.slot,
      ...access,
      origin,
      sourceMajor: source.majorVersion,
      portableBinary: published.every(({ columns }) =>
        columns.every(({ portableBinary }) => portableBinary)
      ),
      scopeComment,
      harmfulSettings,
    });
    return harmfulSettings;
  }

  async start(): Promise<void> {
    await enableSubscription(this.#session, this.name);
  }

  async stop(): Promise<void> {
    await disableSubscription(this.#session, { name: this.name, signal: this.#signal });
  }

  async skip(lsn: Lsn): Promise<void> {
    const [subscription] = await readSubscriptions(this.#session, [this.name]);
    if (subscription === undefined) {
      throw new ReplicatorError(`the subscription ${this.name} does not exist`, {
        side: "target",
        object: `database ${this.#session.endpoint.database}`,
      });
    }
    await skipTransaction(this.#session, {
      subscription: this.name,
      oid: subscription.oid,
      lsn,
      signal: this.#signal,
    });
  }

  async forgetRemovedTables(): Promise<void> {
    await forgetRemovedTables(this.#session, { name: this.name, signal: this.#signal });
  }

  async remove(
    { restoreIdentities }: { readonly restoreIdentities: boolean },
  ): Promise<readonly LeftIdentity[]> {
    const found = await this.#read();
    if (found === undefined) return [];
    const restore = restoreIdentities
      ? (await readSubscriptionComments(this.#session)).get(this.name)?.changedIdentities ?? []
      : [];
    return await dropSubscription(this.#session, {
      name: this.name,
      signal: this.#signal,
      restore,
      // the owner of a subscription can write anything into its comment
      writtenBy: found.owner,
    });
  }

  async #read(): Promise<{ readonly enabled: boolean; readonly owner: number } | undefined> {
    const [row] = await this.#session.query<
      { readonly enabled: boolean; readonly owner: number }
    >(ownerStatement, [this.name]);
    return row;
  }

  /** The server runs the subscription; nothing in this process belongs to it. */
  async [Symbol.asyncDispose](): Promise<void> {}
}
