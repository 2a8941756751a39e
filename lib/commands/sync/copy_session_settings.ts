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
import {
  type ApplierKind,
  hasActingObjects,
  readFiringTriggers,
} from "../../replication/internal.ts";

/** How a copy avoids to fire triggers. */
export interface QuietCopy {
  /** Settings of its sessions. */
  readonly settings: Readonly<Record<string, string>>;
  /** Whether triggers, rules and foreign keys of the tables have to be held, as by the stream. */
  readonly holds: boolean;
}

/**
 * The session settings of a copy: copied rows must not fire triggers or foreign key checks. If the
 * role cannot disable them, new tables get theirs after the copy, and those of existing tables are
 * held where the tool applies the changes, which needs that as well.
 *
 * @throws ReplicatorError if triggers of existing tables would fire
 */
export async function copySessionSettings(
  session: Session,
  { tables, areNew, kind }: {
    readonly tables: readonly TableName[];
    readonly areNew: boolean;
    readonly kind: ApplierKind;
  },
): Promise<QuietCopy> {
  const isReplica = await session.transaction(() => actAsReplica(session, "LOCAL"));
  const holds = !isReplica && !areNew && kind === "client";
  if (!areNew) {
    const wanted = new Set(tables.map((table) => tableKey(table)));
    if (holds) await hasActingObjects(session, tables, { isCopied: true });
    const triggers = isReplica
      ? await readFiringTriggers(session, { forCopy: true })
      : holds
      ? (await readFiringTriggers(session, { forCopy: true })).filter(({ mode }) =>
        mode === "ALWAYS"
      )
      : await readEnabledTriggers(session);
    const found = triggers.filter((table) => wanted.has(tableKey(table)));
    if (found.length > 0) {
      throw triggersFire(session, { canDisable: isReplica || holds, found });
    }
  }
  return { settings: isReplica ? { session_replication_role: "replica" } : {}, holds };
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
  { canDisable, found }: { readonly canDisable: boolean; readonly found: readonly TriggerOf[] },
): ReplicatorError {
  const names = [...new Set(found.map(displayName))];
  const alter = (what: string) =>
    found.map(({ schema, name, trigger }) =>
      `ALTER TABLE ${quoteQualified(schema, name)} ${what} TRIGGER ${quoteIdentifier(trigger)};`
    ).join(" ");
  return new ReplicatorError(
    canDisable
      ? `triggers of ${
        names.join(", ")
      } that are enabled ALWAYS or for REPLICA would fire for every copied row`
      : `the role may not disable triggers, and ${names.join(", ")} ${
        names.length === 1 ? "has" : "have"
      } some`,
    {
      side: "target",
      object: `database ${session.endpoint.database}`,
      remedy: canDisable
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
