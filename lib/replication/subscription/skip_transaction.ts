/**
 * Skips a transaction that cannot be applied, once the user has decided to.
 *
 * @module
 */
import { formatLsn, type Lsn, quoteIdentifier, quoteLiteral } from "../../core/internal.ts";
import { type Session, withoutEventTriggers } from "../../postgres/internal.ts";
import { disableSubscription, enableSubscription } from "./subscription.ts";

/**
 * Makes a subscription skip the transaction that ends at a position, and starts it.
 *
 * Since 15 with `ALTER SUBSCRIPTION … SKIP`, which ignores transactions that end elsewhere. Earlier
 * by advancing the replication origin, which skips everything up to the position.
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
    // a transaction is sent if its commit record begins at or after the position
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
