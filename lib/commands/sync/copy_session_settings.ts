/**
 * The session settings of a copy into existing tables, which must fire no triggers.
 *
 * @module
 */
import {
  displayName,
  ExitCode,
  quoteIdentifier,
  quoteQualified,
  ReplicatorError,
  tableKey,
  type TableName,
} from "../../core/internal.ts";
import { actAsReplica, type Session } from "../../postgres/internal.ts";
import { readFiringTriggers } from "../../replication/internal.ts";

/**
 * The session settings of a copy: copied rows must not fire triggers or foreign key checks. If the
 * role cannot disable them, new tables get theirs after the copy.
 *
 * @throws ReplicatorError if triggers of existing tables would fire
 */
export async function copySessionSettings(
  session: Session,
  { tables, areNew }: { readonly tables: readonly TableName[]; readonly areNew: boolean },
): Promise<Readonly<Record<string, string>>> {
  const isReplica = await session.transaction(() => actAsReplica(session, "LOCAL"));
  if (!areNew) {
    const wanted = new Set(tables.map((table) => tableKey(table)));
    const triggers = isReplica
      ? await readFiringTriggers(session, { forCopy: true })
      : await readEnabledTriggers(session);
    const found = triggers.filter((table) => wanted.has(tableKey(table)));
    if (found.length > 0) throw triggersFire(session, { isReplica, found });
  }
  return isReplica ? { session_replication_role: "replica" } : {};
}

type TriggerOf = TableName & { readonly trigger: string };

async function readEnabledTriggers(session: Session): Promise<readonly TriggerOf[]> {
  return await session.query<TriggerOf>(
    `SELECT n.nspname AS schema, c.relname AS name, t.tgname AS trigger
       FROM pg_catalog.pg_trigger AS t
       JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
       JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      WHERE t.tgenabled IN ('O', 'A')`,
  );
}

function triggersFire(
  session: Session,
  { isReplica, found }: { readonly isReplica: boolean; readonly found: readonly TriggerOf[] },
): ReplicatorError {
  const names = [...new Set(found.map(displayName))];
  const alter = (what: string) =>
    found.map(({ schema, name, trigger }) =>
      `ALTER TABLE ${quoteQualified(schema, name)} ${what} TRIGGER ${quoteIdentifier(trigger)};`
    ).join(" ");
  return new ReplicatorError(
    isReplica
      ? `triggers of ${
        names.join(", ")
      } that are enabled ALWAYS or for REPLICA would fire for every copied row`
      : `the role may not disable triggers, and ${names.join(", ")} ${
        names.length === 1 ? "has" : "have"
      } some`,
    {
      side: "target",
      object: `database ${session.endpoint.database}`,
      remedy: isReplica
        ? `run on the target: ${alter("DISABLE")} and enable them again after the cutover`
        : session.majorVersion >= 15
        ? `run as a superuser: GRANT SET ON PARAMETER session_replication_role TO ${
          quoteIdentifier(session.endpoint.user)
        }; or connect as a superuser`
        : "connect as a superuser, or as the provider's admin role",
      exitCode: ExitCode.prerequisite,
    },
  );
}
