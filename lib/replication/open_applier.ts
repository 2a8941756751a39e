/**
 * Finds the applier of a stream.
 *
 * @module
 */
import type { Session } from "../postgres/internal.ts";
import type { Applier, ApplierKind, ApplierOptions } from "./applier.ts";
import { ClientApplier } from "./client_applier.ts";
import { SubscriptionApplier } from "./subscription_applier.ts";

/** What {@linkcode openApplier} takes besides the session. */
export interface OpenApplierOptions extends ApplierOptions {
  /**
   * What applies the changes if no applier exists yet; an existing one stays what it is.
   *
   * @default "subscription"
   */
  readonly kind?: ApplierKind;
}

/**
 * Refers to the applier of a stream, whether it exists or not. The session is the target's.
 */
export async function openApplier(
  session: Session,
  { kind = "subscription", ...options }: OpenApplierOptions,
): Promise<Applier> {
  const appliers: Readonly<Record<ApplierKind, Applier>> = {
    subscription: new SubscriptionApplier(session, options),
    client: new ClientApplier(session, options),
  };
  for (const applier of Object.values(appliers)) {
    if (await applier.state() !== "absent") return applier;
  }
  return appliers[kind];
}
