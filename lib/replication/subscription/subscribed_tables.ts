/**
 * The tables that subscriptions follow. Only reads.
 *
 * Source: PostgreSQL documentation, "52.55. pg_subscription_rel".
 *
 * @module
 */
import { cutoverSchema, type Lsn, parseOptionalLsn, type TableName } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { subscriptionIdentifiers } from "./read_subscriptions.ts";

/**
 * How far a subscription's first copy of a table is. The tool's subscriptions copy nothing: their
 * tables are `ready` from the start. Set by the target's server, durable.
 */
export const tableStates = ["init", "copying", "finished", "synchronized", "ready"] as const;

/** One of {@linkcode tableStates}. */
export type TableState = typeof tableStates[number];

/** A table of a subscription. */
export interface SubscribedTable {
  readonly subscription: string;
  readonly schema: string;
  readonly name: string;
  readonly state: TableState;
  /** Where the first copy ended; undefined while it runs. */
  readonly lsn: Lsn | undefined;
}

const tableStatement = (identifiers: string) => `
  SELECT s.name AS subscription, n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name,
         CASE r.srsubstate WHEN 'i' THEN 'init' WHEN 'd' THEN 'copying' WHEN 'f' THEN 'finished'
                           WHEN 's' THEN 'synchronized' ELSE 'ready' END AS state,
         r.srsublsn::pg_catalog.text AS lsn
    FROM pg_catalog.pg_subscription_rel AS r
    JOIN (${identifiers}) AS s ON s.oid = r.srsubid
    JOIN pg_catalog.pg_class AS c ON c.oid = r.srrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE n.nspname <> '${cutoverSchema}'
   ORDER BY 1, n.nspname::pg_catalog.text COLLATE pg_catalog."C", c.relname::pg_catalog.text COLLATE pg_catalog."C"`;

/** Reads the tables of all subscriptions of the session's database. */
export async function readSubscribedTables(session: Session): Promise<readonly SubscribedTable[]> {
  const rows = await session.query<
    Omit<SubscribedTable, "lsn"> & { readonly lsn: string | null }
  >(tableStatement(await subscriptionIdentifiers(session)));
  return rows.map((row) => ({ ...row, lsn: parseOptionalLsn(row.lsn) }));
}

// includes the partitions of subscribed partitioned tables
const followedStatement = `
  WITH RECURSIVE subscribed (oid) AS (
    SELECT srrelid FROM pg_catalog.pg_subscription_rel WHERE srsubid = ANY ($1::pg_catalog.oid[])
    UNION
    SELECT i.inhrelid FROM subscribed
      JOIN pg_catalog.pg_inherits AS i ON i.inhparent = subscribed.oid
      JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid AND c.relispartition
  )
  SELECT n.nspname AS schema, c.relname AS name
    FROM subscribed
    JOIN pg_catalog.pg_class AS c ON c.oid = subscribed.oid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace`;

/**
 * Reads the tables whose changes the subscriptions apply, including partitions of subscribed
 * partitioned tables.
 *
 * @param oids OIDs of subscriptions of the session's database
 */
export async function readFollowedTables(
  session: Session,
  oids: readonly number[],
): Promise<readonly TableName[]> {
  return await session.query<TableName>(followedStatement, [`{${oids.join(",")}}`]);
}
