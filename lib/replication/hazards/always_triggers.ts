/**
 * Triggers that also fire for replicated rows.
 *
 * @module
 */
import {
  ownSchemaList,
  quoteIdentifier,
  quoteQualified,
  type TableName,
} from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import type { ApplierKind } from "../applier.ts";
import { type Hazard, listDetails, listSome } from "./hazard.ts";

/** A trigger that is enabled ALWAYS or for REPLICA. */
export type FiringTrigger = TableName & {
  readonly oid: number;
  readonly trigger: string;
  readonly mode: "ALWAYS" | "REPLICA";
};

// The apply worker fires row triggers, and statement triggers only for TRUNCATE. Constraint
// triggers are dumped without their mode. Before 15 the clones of a trigger on partitions count as
// internal, too, so constraint triggers are recognized by their function.
const statement = `
  SELECT c.oid, n.nspname AS schema, c.relname AS name, t.tgname AS trigger,
         CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' ELSE 'REPLICA' END AS mode
    FROM pg_catalog.pg_trigger AS t
    JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_proc AS f ON f.oid = t.tgfoid
    JOIN pg_catalog.pg_namespace AS fn ON fn.oid = f.pronamespace
   WHERE c.relkind = 'r' AND t.tgenabled IN ('A', 'R')
     AND fn.nspname NOT IN (${ownSchemaList}) -- the fence of a cutover lets changes pass
     AND NOT (f.oid < 16384 AND f.proname ~ '^(RI_FKey_|unique_key_recheck)')
     AND (t.tgtype & 1 = 1 OR t.tgtype & 32 = 32 OR $1::pg_catalog.bool)
   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C", t.tgname COLLATE pg_catalog."C"`;

/**
 * Reads the triggers of the session's database that fire in an apply worker; with `forCopy` also
 * statement triggers, which fire when rows are copied with `session_replication_role = replica`.
 */
export async function readFiringTriggers(
  session: Session,
  { forCopy = false }: { readonly forCopy?: boolean } = {},
): Promise<readonly FiringTrigger[]> {
  return await session.query<FiringTrigger>(statement, [forCopy]);
}

/**
 * Finds triggers that would repeat on the target what they have already done on the source. The
 * tool itself applies changes with statements, which fire statement triggers as well.
 */
export async function findAlwaysTriggers(
  session: Session,
  { published, kind }: { readonly published: ReadonlySet<number>; readonly kind: ApplierKind },
): Promise<readonly Hazard[]> {
  const triggers = (await readFiringTriggers(session, { forCopy: kind === "client" }))
    .filter(({ oid }) => published.has(oid));
  if (triggers.length === 0) return [];
  return [{
    id: "always-triggers",
    isCertain: false,
    finding:
      "triggers enabled ALWAYS or for REPLICA fire on the target for every replicated row, although their effects on the source are " +
      `replicated too: ${
        listDetails(triggers, ({ trigger, mode }) => `${trigger}: ENABLE ${mode}`)
      }`,
    remedy:
      `until the cutover, let them fire for ordinary sessions only; first run on the source: ${
        listSome(
          triggers.map(({ schema, name, trigger, mode }) =>
            `ALTER TABLE ${quoteQualified(schema, name)} ${
              mode === "ALWAYS" ? "ENABLE" : "DISABLE"
            } TRIGGER ${quoteIdentifier(trigger)};`
          ),
          " ",
        )
      } After replication has ended, restore ENABLE ALWAYS or REPLICA on the target`,
  }];
}
