/**
 * Runs DDL for objects owned by the tool without firing the database's event triggers: an audit
 * trigger would write rows that conflict with replication, a guard would prevent dropping them.
 *
 * From 17 on, a superuser's sessions have `event_triggers = off` from the start. Elsewhere, roles
 * that may set `session_replication_role = replica` prevent ordinary event triggers from firing.
 * The rest (those that fire in replica mode, or all where the role may not set it) are disabled if
 * the role owns them, and enabled again in the same transaction. Any others fire, and `validate`
 * reports them (see {@linkcode readEventTriggers}).
 *
 * Source: PostgreSQL documentation, "ALTER EVENT TRIGGER" and "session_replication_role".
 *
 * @module
 */
import { quoteIdentifier } from "../../core/internal.ts";
import { actAsReplica } from "./replica_role.ts";
import type { Session } from "./session.ts";

/** An enabled event trigger. */
export interface EventTrigger {
  readonly name: string;
  /** `ddl_command_start`, `sql_drop`… */
  readonly event: string;
  /** `evtenabled`: O(rigin), R(eplica), A(lways). */
  readonly mode: "O" | "R" | "A";
  /** Whether the session's role may disable it. */
  readonly owned: boolean;
  /** The `schema.function` that it calls, for display. */
  readonly calls: string;
}

const enableMode = { O: "ENABLE", R: "ENABLE REPLICA", A: "ENABLE ALWAYS" } as const;

/**
 * The event triggers of the session's database that DDL in this session would currently fire.
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
 * Runs `work`, DDL for objects owned by the tool, in a transaction without firing those event
 * triggers that the role can disable. A crash leaves every trigger as it was.
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
 * The same for statements that cannot run in a transaction block; prevents only ordinary event
 * triggers.
 */
export async function besideEventTriggers<Result>(
  session: Session,
  work: () => Promise<Result>,
): Promise<Result> {
  if ((await readEventTriggers(session)).length === 0) return await work();
  const { previous } = await session.queryOne<{ readonly previous: string }>(
    "SELECT pg_catalog.current_setting('session_replication_role') AS previous",
  );
  const changed = await actAsReplica(session, "SESSION");
  try {
    return await work();
  } finally {
    if (changed && session.isOpen) {
      await session.execute(`SET session_replication_role = ${previous}`);
    }
  }
}

/**
 * The event triggers that fire after {@linkcode silenceEventTriggers} nevertheless. Changes
 * nothing. Nothing else may use the session meanwhile: where the role may not set
 * `session_replication_role`, the transaction is aborted until the savepoint is restored.
 */
export async function readUnsilencedEventTriggers(
  session: Session,
): Promise<readonly EventTrigger[]> {
  if ((await readEventTriggers(session)).length === 0) return [];
  return await session.transaction(async () => {
    await actAsReplica(session, "LOCAL");
    return await readEventTriggers(session);
  });
}

/**
 * Prevents ordinary event triggers from firing in this session until it ends, if the role may: for
 * sessions that create temporary objects.
 *
 * @returns those that fire nevertheless
 */
export async function silenceEventTriggers(session: Session): Promise<readonly EventTrigger[]> {
  const triggers = await readEventTriggers(session);
  if (triggers.length === 0 || !await actAsReplica(session, "SESSION")) return triggers;
  return await readEventTriggers(session);
}
