/**
 * DDL for objects of the tool's own, which no event trigger of the database is to see: an audit
 * would write rows that replication then stumbles over, a guard would refuse to drop what the tool
 * has made.
 *
 * From 17 on a superuser's sessions have `event_triggers = off` from the start. Elsewhere
 * `session_replication_role = replica` keeps the ordinary ones from running, for roles that may set
 * it; those that run in replica mode too, and all where the role may not set it, are disabled by
 * whoever owns them, in the transaction that enables them again. What none of this reaches runs,
 * and `validate` reports it (see {@linkcode readEventTriggers}).
 *
 * Source: PostgreSQL documentation, "ALTER EVENT TRIGGER" and "session_replication_role".
 *
 * @module
 */
import { quoteIdentifier } from "../../core/internal.ts";
import { actAsReplica } from "./replica_role.ts";
import type { Session } from "./session.ts";

/** An event trigger that is enabled. */
export interface EventTrigger {
  readonly name: string;
  /** `ddl_command_start`, `sql_drop`… */
  readonly event: string;
  /** `evtenabled`: O(rigin), R(eplica), A(lways). */
  readonly mode: "O" | "R" | "A";
  /** Whether the session's role may disable it. */
  readonly owned: boolean;
  /** `schema.function` that it calls, for people. */
  readonly calls: string;
}

const enableMode = { O: "ENABLE", R: "ENABLE REPLICA", A: "ENABLE ALWAYS" } as const;

/**
 * The event triggers of the session's database that would run for DDL of this session, as it is
 * now.
 */
export async function readEventTriggers(session: Session): Promise<readonly EventTrigger[]> {
  return await session.query<EventTrigger & Record<string, unknown>>(`
    SELECT t.evtname AS name, t.evtevent AS event, t.evtenabled AS mode,
           pg_catalog.pg_has_role(t.evtowner, 'USAGE') AS owned,
           pg_catalog.format('%I.%I', n.nspname, p.proname) AS calls
      FROM pg_catalog.pg_event_trigger AS t
      JOIN pg_catalog.pg_proc AS p ON p.oid = t.evtfoid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
     WHERE t.evtenabled <> 'D' AND t.evtevent <> 'login'
       AND COALESCE(pg_catalog.current_setting('event_triggers', true), 'on') <> 'off'
       AND t.evtenabled <> CASE pg_catalog.current_setting('session_replication_role')
                             WHEN 'replica' THEN 'O'::pg_catalog."char" ELSE 'R'::pg_catalog."char" END
     ORDER BY t.evtname`);
}

/**
 * Runs `work`, which is DDL of the tool's own, in a transaction in which no event trigger runs that
 * the role can keep from it. A crash or a kill leaves every trigger as it was.
 */
export async function withoutEventTriggers<Result>(
  session: Session,
  work: () => Promise<Result>,
): Promise<Result> {
  if ((await readEventTriggers(session)).length === 0) return await session.transaction(work);
  return await session.transaction(async () => {
    await actAsReplica(session, "LOCAL");
    const disabled = (await readEventTriggers(session)).filter(({ owned }) => owned);
    for (const { name } of disabled) {
      await session.execute(`ALTER EVENT TRIGGER ${quoteIdentifier(name)} DISABLE`);
    }
    const result = await work();
    for (const { name, mode } of disabled) {
      await session.execute(`ALTER EVENT TRIGGER ${quoteIdentifier(name)} ${enableMode[mode]}`);
    }
    return result;
  });
}

/**
 * The same for statements that are a transaction by themselves, or more than one: ordinary event
 * triggers alone are kept from running.
 */
export async function besideEventTriggers<Result>(
  session: Session,
  work: () => Promise<Result>,
): Promise<Result> {
  if ((await readEventTriggers(session)).length === 0) return await work();
  const { before } = await session.queryOne<{ readonly before: string }>(
    "SELECT pg_catalog.current_setting('session_replication_role') AS before",
  );
  const changed = await actAsReplica(session, "SESSION");
  try {
    return await work();
  } finally {
    if (changed && session.isOpen) {
      await session.execute(`SET session_replication_role = ${before}`);
    }
  }
}

/**
 * Keeps ordinary event triggers from running in this session until its end, where the role may do
 * that: for sessions that make temporary objects.
 *
 * @returns those that run all the same
 */
export async function silenceEventTriggers(session: Session): Promise<readonly EventTrigger[]> {
  const triggers = await readEventTriggers(session);
  if (triggers.length === 0 || !await actAsReplica(session, "SESSION")) return triggers;
  return await readEventTriggers(session);
}
