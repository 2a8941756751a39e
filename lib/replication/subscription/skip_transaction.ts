/**
 * Leaving out a transaction that cannot be applied, after somebody has decided so.
 *
 * @module
 */
import { formatLsn, type Lsn, quoteIdentifier, quoteLiteral } from "../../core/internal.ts";
import { type Session, withoutEventTriggers } from "../../postgres/internal.ts";
import { disableSubscription, enableSubscription } from "./subscription.ts";

/**
 * Makes a subscription pass over the transaction that ends at a position, and go on behind it.
 *
 * From 15 on by `ALTER SUBSCRIPTION … SKIP`, which does nothing to a transaction that ends
 * elsewhere. Before by advancing the replication origin, which passes over everything up to the
 * position.
 *
 * Source: PostgreSQL documentation, "29.7. Conflicts".
 */
export async function skipTransaction(
  target: Session,
  { subscription, oid, lsn, signal }: {
    readonly subscription: string;
    readonly oid: number;
    /** Where the transaction ends. */
    readonly lsn: Lsn;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<void> {
  await disableSubscription(target, { name: subscription, signal });
  if (target.majorVersion >= 15) {
    await withoutEventTriggers(target, () =>
      target.execute(
        `ALTER SUBSCRIPTION ${quoteIdentifier(subscription)} SKIP (lsn = ${
          quoteLiteral(formatLsn(lsn))
        })`,
      ));
  } else {
    // a transaction is sent when its commit record begins at or behind the position
    await target.query(
      "SELECT pg_catalog.pg_replication_origin_advance($1, $2::pg_catalog.pg_lsn)",
      [
        `pg_${oid}`,
        formatLsn(lsn + 1n),
      ],
    );
  }
  await enableSubscription(target, subscription);
}
