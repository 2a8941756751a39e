/**
 * Which rows a subscription receives, and from where.
 *
 * @module
 */
import { type Endpoint, type Session, withDatabase } from "../../postgres/internal.ts";
import { listTables, type Table } from "../../catalog/internal.ts";
import { type PublishedRows, type SubscriptionAccess } from "../../replication/internal.ts";
import { readScope } from "./table_scope.ts";
import type { ApplySettings } from "./run.ts";
import type { TableRules } from "../../rules/internal.ts";

/** How the target's server connects to a database of the source. */
export function accessTo(
  source: Endpoint,
  { sourceFromTarget, passfile }: Pick<ApplySettings, "sourceFromTarget" | "passfile">,
): SubscriptionAccess {
  return {
    sourceFromTarget: withDatabase(sourceFromTarget ?? source, source.database),
    passfile,
  };
}

/**
 * The tables whose rows the rules include, of those given or of all tables of the database.
 */
export async function selectRows(
  session: Session,
  tables: readonly Table[] | undefined,
  rules: TableRules,
): Promise<PublishedRows> {
  const all = tables ?? await listTables(session);
  const scope = (await readScope(session, rules))?.scope;
  return {
    tables: all.filter((table) => scope?.hasRows(table) ?? true),
    predicateOf: (table) => scope?.predicateOf(table),
  };
}
