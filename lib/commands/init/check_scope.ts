/**
 * Ensures that a run resumes an earlier attempt only with the same scope.
 *
 * @module
 */
import { type EventSink, plural, type Problem, UsageError } from "../../core/internal.ts";
import {
  type DatabaseFilter,
  describeScopeDifference,
  type LedgerHead,
  type RunScope,
  type StateDocument,
} from "../../checkpoint/internal.ts";
import { fingerprintScope, type TableRules } from "../../rules/internal.ts";
import type { DatabasePlanning } from "../shared/database_plan.ts";
import type { DatabaseDecisions, TableDecision } from "../shared/validation_report.ts";
import type { DatabaseSelection, InitOptions } from "../shared/run.ts";

/** What {@linkcode checkScope} takes. */
export interface ScopeCheck {
  readonly options: Pick<InitOptions, "databases" | "rules" | "sync">;
  readonly planning: DatabasePlanning;
  readonly decisions: readonly DatabaseDecisions[];
  readonly earlier: StateDocument | undefined;
  /** Heads of the ledgers that are resumed. */
  readonly unfinished: readonly LedgerHead[];
  readonly events: EventSink;
}

/**
 * Returns the scope of a run. It stays the same if databases were created or dropped on the source
 * since the first attempt, because each database is copied under its own snapshot.
 *
 * @throws UsageError that says how it differs from that of the earlier attempt
 */
export async function checkScope(check: ScopeCheck): Promise<RunScope> {
  const { options: { databases: selection, rules, sync }, planning } = check;
  const databases = Object.fromEntries(
    planning.databases.map(({ source, target }) => [source.name, target]),
  );
  const scope: RunScope = {
    databases,
    fingerprint: await fingerprintScope({ databases, rules }),
    now: rules.now,
    sync: sync !== undefined,
    selection: filterOf(selection),
  };
  const differences = new Set<string>();
  const changes = new Set<string>();
  for (const { before, decisions } of recordsOf(check)) {
    const onSource = await changedDatabases(before.scope, scope, rules);
    for (const change of onSource ?? []) changes.add(change);
    if (onSource !== undefined) continue;
    for (const difference of describeScopeDifference(before, { scope, ...decisions })) {
      differences.add(difference);
    }
  }
  if (differences.size > 0) throw otherScope(check, [...differences]);
  for (const message of changes) check.events({ kind: "info", message });
  return scope;
}

interface ScopeRecord {
  readonly before: Pick<LedgerHead, "scope"> & { readonly decisions?: LedgerHead["decisions"] };
  readonly decisions: { readonly decisions?: Readonly<Record<string, string>> };
}

/** The ledgers; or the state file, if no ledger is left but one of its databases still exists. */
function recordsOf(
  { planning, decisions, earlier, unfinished }: ScopeCheck,
): readonly ScopeRecord[] {
  if (unfinished.length > 0) {
    return unfinished.map((head) => ({
      before: head,
      decisions: {
        decisions: decisionsOf(
          decisions.find(({ database }) => database === head.source.database)?.tables,
        ),
      },
    }));
  }
  if (earlier === undefined) return [];
  // without ledgers and databases, nothing of the earlier attempt is left
  const exists = earlier.databases.some(({ target }) =>
    planning.onTarget.some(({ name }) => name === target)
  );
  const begun = earlier.databases.some(({ state }) => state !== "waiting");
  return exists && begun ? [{ before: { scope: earlier.scope }, decisions: {} }] : [];
}

/** `analytics.orders` → `copied`, `left out`, `filtered by …` */
export function decisionsOf(
  tables: readonly TableDecision[] = [],
): Readonly<Record<string, string>> {
  return Object.fromEntries(tables.map(({ schema, name, outcome, predicate }) => [
    `${schema}.${name}`,
    predicate === undefined
      ? {
        "copied": "copied",
        "filtered": "filtered",
        "structure-only": "copied without rows",
        "left-out": "left out",
      }[outcome]
      : `filtered by (${predicate})`,
  ]));
}

function filterOf({ include, exclude }: DatabaseSelection): DatabaseFilter {
  return { include: include.toSorted(), exclude: exclude.toSorted() };
}

/**
 * Databases created and dropped on the source between two attempts with the same options, in
 * sentences.
 *
 * @returns undefined if the scopes differ in any other way
 */
async function changedDatabases(
  before: RunScope,
  now: RunScope,
  rules: TableRules,
): Promise<readonly string[] | undefined> {
  const sameOptions = before.sync === now.sync &&
    JSON.stringify(before.selection) === JSON.stringify(now.selection) &&
    before.fingerprint === await fingerprintScope({ databases: before.databases, rules });
  if (!sameOptions) return undefined;
  const names = Object.keys(before.databases);
  const kept = names.filter((name) => name in now.databases);
  if (kept.some((name) => before.databases[name] !== now.databases[name])) return undefined;
  const dropped = names.filter((name) => !(name in now.databases));
  const added = Object.keys(now.databases).filter((name) => !names.includes(name));
  return [
    ...added.map((name) =>
      `database ${name} was created on the source since the first attempt; it is copied as well`
    ),
    ...dropped.map((name) =>
      `database ${name} is no longer on the source; what was copied of it stays in ${
        before.databases[name]
      } on the target`
    ),
  ];
}

function otherScope(
  { earlier, unfinished }: ScopeCheck,
  differences: readonly string[],
): UsageError {
  const since = unfinished[0]?.startedAt ?? earlier?.startedAt;
  return new UsageError(
    differences.map((message): Problem => ({ path: "scope", message })),
    `the unfinished run of ${since} between these servers differs in ${
      plural(differences.length, "way")
    }: use its options to resume it, or ${
      unfinished.some(({ complete }) => complete)
        ? "--no-resume --drop-existing to drop its complete copies as well"
        : "--no-resume to drop what it has done and start over"
    }`,
  );
}
