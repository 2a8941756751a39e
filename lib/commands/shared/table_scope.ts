/**
 * The tables of each database under the rules of a run, with predicates that the source has
 * checked.
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
  isUnconvertible,
  openSession,
  type Session,
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
import { withSessionIn } from "./session_in.ts";
import type { TableDecision } from "./validation_report.ts";

/** One database under the rules. */
export interface DatabaseScope {
  readonly database: string;
  readonly source: SourceDatabase;
  readonly scope: TableScope;
  readonly consequences: Consequences;
  /** What the source reports about the predicates, by `tableKey`. */
  readonly predicates: ReadonlyMap<string, PredicateFacts>;
}

/** The scope of one database under rules that are known to be valid. */
export type ReadScope = Omit<DatabaseScope, "predicates">;

/** What rules are resolved against. */
export interface ScopeOptions {
  /** A session on the source's server. */
  readonly source: Session;
  /** Databases that the run copies. */
  readonly databases: readonly string[];
  readonly rules: TableRules;
  readonly signal: AbortSignal;
}

/**
 * Reads the databases and resolves the rules against them.
 *
 * @throws UsageError with every problem of the rules, predicates included
 * @throws ReplicatorError if names of tables, columns and other objects cannot be converted to
 * UTF-8
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
  const readDatabase = async (session: Session, database: string) => {
    if (others.size === 0) {
      for (const { name } of await listDatabases(session, { withSizes: false })) {
        if (!databases.includes(name)) others.add(name);
      }
    }
    const tables = await readTables(session, database);
    if (typeof tables === "string") {
      unreadable.push(tables);
      return;
    }
    const evaluated = await checkPredicates(session, decideTables(rules, tables));
    problems.push(...evaluated.problems);
    read.push({ source: tables, predicates: evaluated.predicates });
  };
  for (const database of databases) {
    if (asksNothing(rules)) {
      await withSessionIn(
        source,
        { database, signal },
        (session) => readDatabase(session, database),
      );
    } else {
      // predicates are checked in transactions, which the caller's session may not be in
      await using own = await openSession(withDatabase(source.endpoint, database), { signal });
      await readDatabase(own, database);
    }
  }
  if (unreadable.length > 0) {
    throw unreadableDatabases(unreadable);
  }
  const resolved = resolveRules(rules, read.map(({ source }) => source), { others: [...others] });
  const all = [...resolved.problems, ...problems];
  // a missing column is reported once: by the rule, not by the server
  const reported = new Set(resolved.problems.map(({ path }) => path));
  const distinct = all.filter((problem) =>
    resolved.problems.includes(problem) || !reported.has(problem.path)
  );
  if (distinct.length > 0) throw new UsageError(distinct);
  return read.map((each, index) => ({
    ...each,
    database: each.source.name,
    scope: resolved.scopes[index]!,
    consequences: consequencesOf(resolved.scopes[index]!, each.source),
  }));
}

/** The tables that rules apply to, or a description of the names that prevent reading them. */
async function readTables(session: Session, database: string): Promise<SourceDatabase | string> {
  const describeUnreadable = async () => {
    const names = await listUnreadableNames(session);
    return names.length === 0 ? undefined : `database ${database}: ${describeNames(names)}`;
  };
  // names may contain any bytes, including names that are read only after the copy has started
  if (await readEncoding(session) === "SQL_ASCII") {
    const unreadable = await describeUnreadable();
    if (unreadable !== undefined) return unreadable;
  }
  try {
    return await readSourceTables(session);
  } catch (error) {
    if (!isUnconvertible(error)) throw error;
    const unreadable = await describeUnreadable();
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

async function checkPredicates(
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

/** The outcome for every table, for a report. */
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

/** Other objects that are not copied, in sentences. */
export function scopeNotes(
  { consequences }: Pick<DatabaseScope, "consequences">,
): readonly string[] {
  return describeConsequences(consequences);
}
