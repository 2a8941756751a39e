/**
 * The subscriptions of a database and their apply workers. Only reads.
 *
 * Source: PostgreSQL documentation, "27.2.8. pg_stat_subscription".
 *
 * @module
 */
import { type Lsn, parseOptionalLsn } from "../../core/internal.ts";
import { type Session, textArray } from "../../postgres/internal.ts";

/** A subscription of the session's database and its main apply worker. */
export interface SubscriptionState {
  /** Subscription name, unquoted. */
  readonly name: string;
  /** OID of the subscription (`pg_subscription.oid`). */
  readonly oid: number;
  /** Whether it is enabled; false after `ALTER SUBSCRIPTION … DISABLE`. */
  readonly enabled: boolean;
  /** Undefined if it is detached from its slot (`slot_name = NONE`). */
  readonly slotName: string | undefined;
  /** Names of the publications that it subscribes to, unquoted. */
  readonly publications: readonly string[];
  /** The apply worker's process ID; undefined while none is running. */
  readonly workerPid: number | undefined;
  /** The last position that the worker has received. */
  readonly receivedLsn: Lsn | undefined;
  /** The last position that it has reported to the source. */
  readonly latestEndLsn: Lsn | undefined;
  /** Time since the source's last message, in milliseconds. */
  readonly silenceMs: number | undefined;
  /** Apply errors since the statistics were reset; undefined before 15. */
  readonly applyErrors: number | undefined;
}

const currentDatabaseOid =
  "(SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())";

const identifiersStatement = `
  SELECT s.oid, s.subname::pg_catalog.text AS name FROM pg_catalog.pg_subscription AS s WHERE s.subdbid = ${currentDatabaseOid}`;

// before 14 only superusers may read the column oid; subscriptions of the same name in two
// databases cannot be distinguished then
const identifiersByNameStatement = `
  SELECT DISTINCT w.subid AS oid, w.subname::pg_catalog.text AS name
    FROM pg_catalog.pg_stat_subscription AS w
    JOIN pg_catalog.pg_subscription AS s ON s.subname = w.subname
   WHERE s.subdbid = ${currentDatabaseOid}`;

/**
 * A subquery of the subscriptions (`oid`, `name`) of the session's database, using what the role
 * may read.
 */
export async function subscriptionIdentifiers(session: Session): Promise<string> {
  if (session.majorVersion >= 14) return identifiersStatement;
  const { allowed } = await session.queryOne<{ allowed: boolean }>(
    "SELECT pg_catalog.has_column_privilege('pg_subscription', 'oid', 'SELECT') AS allowed",
  );
  return allowed ? identifiersStatement : identifiersByNameStatement;
}

// not to_jsonb(pg_subscription): only superusers may read its connection string
const subscriptionStatement = (identifiers: string) => `
  SELECT s.subname::pg_catalog.text AS name, i.oid, s.subenabled AS enabled, s.subslotname::pg_catalog.text AS slot_name,
         pg_catalog.to_json(s.subpublications) AS publications,
         w.pid AS worker_pid, w.received_lsn::pg_catalog.text AS received_lsn,
         w.latest_end_lsn::pg_catalog.text AS latest_end_lsn,
         (extract(epoch FROM pg_catalog.clock_timestamp() - w.last_msg_receipt_time) * 1000)::pg_catalog.float8 AS silence_ms
    FROM pg_catalog.pg_subscription AS s
    JOIN (${identifiers}) AS i ON i.name = s.subname
    LEFT JOIN pg_catalog.pg_stat_subscription AS w
           ON w.subid = i.oid AND w.relid IS NULL AND w.pid IS NOT NULL
          AND pg_catalog.to_jsonb(w) ->> 'leader_pid' IS NULL                        -- 16+
   WHERE s.subdbid = ${currentDatabaseOid}
     AND ($1::pg_catalog.text[] IS NULL OR s.subname::pg_catalog.text = ANY ($1::pg_catalog.text[]))
   ORDER BY s.subname::pg_catalog.text COLLATE pg_catalog."C"`;

/** The view exists since 15. */
const applyErrorStatement = `
  SELECT subid, apply_error_count::pg_catalog.float8 AS errors FROM pg_catalog.pg_stat_subscription_stats`;

type SubscriptionRow = {
  readonly name: string;
  readonly oid: number;
  readonly enabled: boolean;
  readonly slot_name: string | null;
  readonly publications: readonly string[];
  readonly worker_pid: number | null;
  readonly received_lsn: string | null;
  readonly latest_end_lsn: string | null;
  readonly silence_ms: number | null;
};

/** Reads the subscriptions of the session's database: those named, or all. */
export async function readSubscriptions(
  session: Session,
  names?: readonly string[],
): Promise<readonly SubscriptionState[]> {
  const statement = subscriptionStatement(await subscriptionIdentifiers(session));
  const rows = await session.query<SubscriptionRow>(statement, [names ? textArray(names) : null]);
  const errors = new Map<number, number>();
  if (session.majorVersion >= 15) {
    for (
      const row of await session.query<{ subid: number; errors: number }>(applyErrorStatement)
    ) errors.set(row.subid, row.errors);
  }
  return rows.map((row) => ({
    name: row.name,
    oid: row.oid,
    enabled: row.enabled,
    slotName: row.slot_name ?? undefined,
    publications: row.publications,
    workerPid: row.worker_pid ?? undefined,
    receivedLsn: parseOptionalLsn(row.received_lsn),
    latestEndLsn: parseOptionalLsn(row.latest_end_lsn),
    silenceMs: row.silence_ms ?? undefined,
    applyErrors: errors.get(row.oid),
  }));
}
