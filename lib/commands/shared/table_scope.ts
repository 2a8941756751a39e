/**
 * The tables of each database under the run's rules: read from the source, resolved, and their
 * predicates judged by it.
 *
 * @module
 */
import {
  checkPredicate,
  listDatabases,
  listUnreadableNames,
  readEncoding,
  readSourceTables,
} from "../../catalog/internal.ts";
import {
  displayName,
  formatCount,
  plural,
  type Problem,
  tableKey,
  UsageError,
} from "../../core/internal.ts";
import { describeNames, unreadableDatabases } from "./unreadable_names.ts";
import {
  type Endpoint,
  isUnconvertible,
  openSession,
  withDatabase,
} from "../../postgres/internal.ts";
import {
  asksNothing,
  type Consequences,
  consequencesOf,
  decideTables,
  describeConsequences,
  type Outcome,
  type PredicateFacts,
  resolveRules,
  type SourceDatabase,
  type TableRules,
  type TableScope,
} from "../../rules/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import type { TableDecision } from "./report.ts";

/** One database under the rules. */
export interface DatabaseScope {
  readonly database: string;
  readonly source: SourceDatabase;
  readonly scope: TableScope;
  readonly consequences: Consequences;
  /** What the source says of the predicates, by `tableKey`. */
  readonly predicates: ReadonlyMap<string, PredicateFacts>;
}

/** The scope of one database under rules that are known to be valid. */
export type ReadScope = Omit<DatabaseScope, "predicates">;

/** What resolving takes. */
export interface ScopeOptions {
  readonly source: Endpoint;
  /** Those that the run copies. */
  readonly databases: readonly string[];
  readonly rules: TableRules;
  readonly signal: AbortSignal;
}

/**
 * Reads the databases and resolves the rules against them.
 *
 * @throws UsageError with everything that is wrong with the rules, predicates included; nothing was
 * touched
 * @throws ReplicatorError when names of tables, columns and the like are in bytes that no session
 * in UTF-8 can write
 */
export async function resolveScopes(
  { source, databases, rules, signal }: ScopeOptions,
): Promise<readonly DatabaseScope[]> {
  const problems: Problem[] = [];
  const others = new Set<string>();
  const read: {
    readonly source: SourceDatabase;
    readonly predicates: DatabaseScope["predicates"];
  }[] = [];
  const unreadable: string[] = [];
  for (const database of databases) {
    await using session = await openSession(withDatabase(source, database), { signal });
    if (others.size === 0) {
      for (const { name } of await listDatabases(session)) {
        if (!databases.includes(name)) others.add(name);
      }
    }
    const tables = await readTables(session, database);
    if (typeof tables === "string") {
      unreadable.push(tables);
      continue;
    }
    const evaluated = await judge(session, decideTables(rules, tables));
    problems.push(...evaluated.problems);
    read.push({ source: tables, predicates: evaluated.predicates });
  }
  if (unreadable.length > 0) {
    throw unreadableDatabases(unreadable);
  }
  const resolved = resolveRules(rules, read.map(({ source }) => source), { others: [...others] });
  const all = [...resolved.problems, ...problems];
  // a column that is not there is told once, by the rule and not by the server
  const told = new Set(resolved.problems.map(({ path }) => path));
  const distinct = all.filter((problem) =>
    resolved.problems.includes(problem) || !told.has(problem.path)
  );
  if (distinct.length > 0) throw new UsageError(distinct);
  return read.map((each, index) => ({
    ...each,
    database: each.source.name,
    scope: resolved.scopes[index]!,
    consequences: consequencesOf(resolved.scopes[index]!, each.source),
  }));
}

/** What the rules are about, or in words which names stand against reading it. */
async function readTables(session: Session, database: string): Promise<SourceDatabase | string> {
  const named = async () => {
    const names = await listUnreadableNames(session);
    return names.length === 0 ? undefined : `database ${database}: ${describeNames(names)}`;
  };
  // any bytes may be in its names, also in those that are read only when the copy has begun
  if (await readEncoding(session) === "SQL_ASCII") {
    const unreadable = await named();
    if (unreadable !== undefined) return unreadable;
  }
  try {
    return await readSourceTables(session);
  } catch (error) {
    if (!isUnconvertible(error)) throw error;
    const unreadable = await named();
    if (unreadable === undefined) throw error;
    return unreadable;
  }
}

/**
 * Reads the scope of the session's database, as its transaction sees it. The rules have been
 * resolved before.
 *
 * @returns undefined when there are no rules
 */
export async function readScope(
  session: Session,
  rules: TableRules,
): Promise<ReadScope | undefined> {
  if (asksNothing(rules)) return undefined;
  const source = await readSourceTables(session);
  const scope = decideTables(rules, source);
  return { database: source.name, source, scope, consequences: consequencesOf(scope, source) };
}

async function judge(
  session: Session,
  scope: TableScope,
): Promise<
  { readonly predicates: Map<string, PredicateFacts>; readonly problems: readonly Problem[] }
> {
  const predicates = new Map<string, PredicateFacts>();
  const problems: Problem[] = [];
  for (const { table, decision } of scope.tables) {
    if (decision.outcome !== "filtered") continue;
    const answer = await checkPredicate(session, { table, predicate: decision.predicate });
    if ("facts" in answer) {
      predicates.set(tableKey(table), answer.facts);
      continue;
    }
    const { problem, remedy } = answer;
    problems.push({
      path: decision.rules[0]?.origin.path ?? "rules",
      message:
        `${scope.database}: ${displayName(table)}: the source refuses the predicate: ${problem}` +
        (remedy === undefined ? "" : ` (${remedy})`),
    });
  }
  return { predicates, problems };
}

/** Every table with what happens to it, for a report. */
export function tableDecisions({ scope }: Pick<DatabaseScope, "scope">): readonly TableDecision[] {
  return scope.tables.map(({ table: { schema, name }, decision }) => ({
    schema,
    name,
    outcome: decision.outcome,
    reason: decision.reason,
    ...(decision.outcome === "filtered" ? { predicate: decision.predicate } : {}),
  }));
}

/** `12 copied, 1 filtered, 2 structure only, 3 left out` */
export function countOutcomes({ scope }: Pick<DatabaseScope, "scope">): string {
  const words: Readonly<Record<Outcome, string>> = {
    "copied": "copied",
    "filtered": "filtered",
    "structure-only": "structure only",
    "left-out": "left out",
  };
  const counts = Map.groupBy(scope.tables, ({ decision }) => decision.outcome);
  const parts = (Object.keys(words) as Outcome[]).flatMap((outcome) => {
    const count = counts.get(outcome)?.length ?? 0;
    return count === 0 ? [] : [`${formatCount(count)} ${words[outcome]}`];
  });
  return `${plural(scope.tables.length, "table")}: ${parts.join(", ") || "none"}`;
}

/** What else does not come, in sentences. */
export function scopeNotes(
  { consequences }: Pick<DatabaseScope, "consequences">,
): readonly string[] {
  return describeConsequences(consequences);
}
