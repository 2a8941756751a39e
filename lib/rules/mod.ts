/**
 * Which tables are copied, and which of their rows: filters and table rules as one pure model that
 * every phase asks.
 *
 * Requires no permissions.
 *
 * @example Explain what happens to each table of a database
 * ```ts
 * import { readSourceTables } from "@seren/postgres-replicator/catalog";
 * import { openSession, resolveEndpoint } from "@seren/postgres-replicator/postgres";
 * import { decideTables, readRuleFlags } from "@seren/postgres-replicator/rules";
 *
 * await using session = await openSession(
 *   await resolveEndpoint(Deno.env.get("SOURCE_URL")!, { side: "source" }),
 * );
 * const { rules, problems } = readRuleFlags({
 *   includeTables: [],
 *   excludeTables: ["app.audit_log"],
 *   schemaOnlyTables: ["sessions"],
 *   tableFilters: [],
 *   timeFilters: [],
 * });
 * if (problems.length > 0) throw new Error(problems.map(({ message }) => message).join("; "));
 * const scope = decideTables(
 *   { ...rules, now: new Date().toISOString() },
 *   await readSourceTables(session),
 * );
 * for (const { table, decision } of scope.tables) {
 *   console.log(`${table.name}: ${decision.outcome}, ${decision.reason}`);
 * }
 * ```
 *
 * @module
 */
export {
  type Consequences,
  consequencesOf,
  type DecidedTable,
  decideTables,
  type Decision,
  fingerprintScope,
  type LeftOutDependent,
  mergeRules,
  noTableRules,
  type Outcome,
  type PartPattern,
  readRuleFlags,
  type ResolvedRules,
  resolveRules,
  type RowRule,
  type RuleFlags,
  type RuleOrigin,
  type RuleScope,
  ruleSources,
  type RulesReading,
  type SourceColumn,
  type SourceDatabase,
  type SourceDependent,
  type SourceForeignKey,
  type SourceTable,
  type SourceTableKind,
  type TableChoice,
  type TablePattern,
  type TableRules,
  TableScope,
  type TimeWindow,
} from "./internal.ts";
