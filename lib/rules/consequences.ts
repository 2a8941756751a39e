/**
 * What else does not come when tables do not come, or come without all of their rows.
 *
 * @module
 */
import { displayName, tableKey, type TableName } from "../core/internal.ts";
import type { TableScope } from "./decide.ts";
import {
  type SourceDatabase,
  type SourceDependent,
  type SourceForeignKey,
} from "./source_tables.ts";

/** Something that is left out because of a table. */
export interface LeftOutDependent {
  readonly dependent: SourceDependent;
  /** The relation that it cannot be without. */
  readonly because: TableName;
}

/** What follows from the decisions about a database's tables. */
export interface Consequences {
  /**
   * Tables, views and sequences that are not to be made. What an extension makes is not among them.
   */
  readonly relations: readonly TableName[];
  /**
   * Views, functions, policies and rules that cannot be; sequences go silently with their tables.
   */
  readonly dependents: readonly LeftOutDependent[];
  /** Keys of tables that come to tables that do not: they cannot be. */
  readonly impossibleKeys: readonly SourceForeignKey[];
  /** Keys to tables that come with some or none of their rows: they may have orphans. */
  readonly doubtfulKeys: readonly SourceForeignKey[];
}

/** Works out what follows; it holds in every phase. */
export function consequencesOf(scope: TableScope, database: SourceDatabase): Consequences {
  const leftOut = database.tables.filter((table) =>
    !scope.isMade(table) && table.extension === undefined
  );
  const gone = new Map<string, TableName>(leftOut.map((table) => [tableKey(table), table]));
  const dependents: LeftOutDependent[] = [];
  const sequences: TableName[] = [];
  const pending = new Set(database.dependents);
  for (let found = true; found;) {
    found = false;
    for (const dependent of pending) {
      const because = dependent.uses.find((relation) => gone.has(tableKey(relation)));
      if (because === undefined) continue;
      // a sequence whose owner is gone is still needed by another table's default
      const needed = dependent.kind === "sequence" &&
        dependent.usedBy.some((table) => !gone.has(tableKey(table)));
      pending.delete(dependent);
      // what belongs to a table that is gone goes with it
      const hasGone = (dependent.kind === "policy" || dependent.kind === "rule") &&
        gone.has(tableKey(dependent));
      if (needed || hasGone) continue;
      found = true;
      if (dependent.kind === "sequence") sequences.push(dependent);
      else dependents.push({ dependent, because });
      if (isRelation(dependent)) gone.set(tableKey(dependent), dependent);
    }
  }
  const kept = database.foreignKeys.filter(({ table }) => scope.isMade(table));
  return {
    relations: [
      ...leftOut,
      ...sequences,
      ...dependents.flatMap(({ dependent }) => isRelation(dependent) ? [dependent] : []),
    ].map(({ schema, name }) => ({ schema, name })),
    dependents,
    impossibleKeys: kept.filter(({ references }) => gone.has(tableKey(references))),
    doubtfulKeys: kept.filter(({ table, references }) =>
      scope.hasRows(table) && !gone.has(tableKey(references)) &&
      scope.decide(references) !== undefined && scope.decide(references)?.outcome !== "copied"
    ),
  };
}

function isRelation({ kind }: SourceDependent): boolean {
  return kind === "view" || kind === "materialized view" || kind === "sequence";
}

/** A dependent for people: `view sales.monthly`, `policy mine on orders`. */
export function describeDependent({ kind, schema, name, detail }: SourceDependent): string {
  if (kind === "function") return `function ${displayName({ schema, name })}(${detail ?? ""})`;
  if (kind === "policy" || kind === "rule") {
    return `${kind} ${detail ?? name} on ${displayName({ schema, name })}`;
  }
  return `${kind} ${displayName({ schema, name })}`;
}

/** The consequences in sentences, for a plan and for a report. */
export function describeConsequences(
  { dependents, impossibleKeys, doubtfulKeys }: Consequences,
): readonly string[] {
  return [
    ...dependents.map(({ dependent, because }) =>
      `${describeDependent(dependent)} is left out: it needs ${
        displayName(because)
      }, which is left out`
    ),
    ...impossibleKeys.map(({ name, table, references }) =>
      `foreign key ${name} of ${displayName(table)} is left out: ${
        displayName(references)
      } is not there to refer to`
    ),
    ...doubtfulKeys.map(({ name, table, references }) =>
      `foreign key ${name} of ${displayName(table)} may stay NOT VALID: not all rows of ${
        displayName(references)
      } are copied`
    ),
  ];
}
