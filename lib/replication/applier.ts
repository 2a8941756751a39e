/**
 * Who applies the changes of a slot on the target. At present a subscription of the target's server
 * does; for targets that cannot reach the source somebody else could.
 *
 * @module
 */
import type { Session } from "../postgres/internal.ts";
import {
  createSubscription,
  type CreateSubscriptionOptions,
  disableSubscription,
  dropSubscription,
  enableSubscription,
} from "./subscription/subscription.ts";

/** What an applier does at present. */
export type ApplierState = "absent" | "stopped" | "running";

/**
 * Applies one slot's changes, in the order of their commits and each exactly once.
 *
 * States: absent → stopped ({@linkcode create}) ⇄ running ({@linkcode start}, {@linkcode stop}) →
 * absent ({@linkcode remove}).
 */
export interface Applier {
  /** Of the stream: slot, publication and subscription have it. */
  readonly name: string;
  state(): Promise<ApplierState>;
  /** Makes it, at rest; where it begins is the slot's position. */
  create(): Promise<void>;
  start(): Promise<void>;
  /** Resolves when nothing is being applied any more. */
  stop(): Promise<void>;
  /** The slot stays. */
  remove(): Promise<void>;
}

/** A subscription of the target's server. */
export class SubscriptionApplier implements Applier {
  readonly name: string;
  readonly #session: Session;
  readonly #options: CreateSubscriptionOptions;
  readonly #signal: AbortSignal;

  constructor(options: CreateSubscriptionOptions, signal: AbortSignal) {
    this.name = options.name;
    this.#session = options.session;
    this.#options = options;
    this.#signal = signal;
  }

  async state(): Promise<ApplierState> {
    const [row] = await this.#session.query<{ readonly enabled: boolean }>(
      `SELECT subenabled AS enabled FROM pg_catalog.pg_subscription
        WHERE subname = $1 AND subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())`,
      [this.name],
    );
    return row === undefined ? "absent" : row.enabled ? "running" : "stopped";
  }

  async create(): Promise<void> {
    await createSubscription(this.#options);
  }

  async start(): Promise<void> {
    await enableSubscription(this.#session, this.name);
  }

  async stop(): Promise<void> {
    await disableSubscription(this.#session, { name: this.name, signal: this.#signal });
  }

  async remove(): Promise<void> {
    await dropSubscription(this.#session, { name: this.name, signal: this.#signal });
  }
}
