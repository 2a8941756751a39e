/**
 * The applier of a stream that a subscription of the target's server applies.
 *
 * @module
 */
import { type Lsn, ReplicatorError } from "../core/internal.ts";
import type { Session } from "../postgres/internal.ts";
import type { AppliedStream, Applier, ApplierOptions, ApplierState } from "./applier.ts";
import type { LeftIdentity } from "./publication/restore_replica_identities.ts";
import { advanceOrigin } from "./subscription/advance_origin.ts";
import { createSubscription } from "./subscription/create_subscription.ts";
import { readSubscriptionComments } from "./subscription/list_owned_subscriptions.ts";
import { readSubscriptions } from "./subscription/read_subscriptions.ts";
import { skipTransaction } from "./subscription/skip_transaction.ts";
import {
  disableSubscription,
  dropSubscription,
  enableSubscription,
  forgetRemovedTables,
  refreshTables,
} from "./subscription/subscription.ts";
import { type HarmfulSetting, readHarmfulSettings } from "./subscription/worker_settings.ts";

const ownerStatement = `
  SELECT s.subenabled AS enabled, s.subowner AS owner
    FROM pg_catalog.pg_subscription AS s
    JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid
   WHERE s.subname = $1 AND d.datname = pg_catalog.current_database()`;

/** A subscription of the target's server. */
export class SubscriptionApplier implements Applier {
  readonly name: string;
  readonly kind = "subscription";
  readonly #session: Session;
  readonly #signal: AbortSignal | undefined;
  readonly #stopTimeoutMs: number | undefined;

  constructor(session: Session, { name, signal, stopTimeoutMs }: ApplierOptions) {
    this.name = name;
    this.#session = session;
    this.#signal = signal;
    this.#stopTimeoutMs = stopTimeoutMs;
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
    await disableSubscription(this.#session, {
      name: this.name,
      signal: this.#signal,
      timeoutMs: this.#stopTimeoutMs,
    });
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

  async advance(lsn: Lsn): Promise<void> {
    await advanceOrigin(this.#session, { subscription: this.name, lsn });
  }

  /** A subscription reads the list from the source. */
  async addTables(): Promise<void> {
    await refreshTables(this.#session, this.name);
  }

  async keepTables(): Promise<void> {
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
