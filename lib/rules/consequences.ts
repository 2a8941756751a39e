/**
 * What else is left out when tables are excluded or copied without all of their rows. Pure.
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

/** An object that is left out because it needs an excluded table. */
export interface LeftOutDependent {
  /** The view, sequence, function, policy or rule that is left out. */
  readonly dependent: SourceDependent;
  /** The relation that it needs. */
  readonly because: TableName;
}

/** What follows from the decisions on a database's tables. */
export interface Consequences {
  /**
   * Tables, views and sequences that are not created, except those of extensions.
   */
  readonly relations: readonly TableName[];
  /**
   * Views, functions, policies and rules that cannot be created. Sequences are left out silently
   * with their tables.
   */
  readonly dependents: readonly LeftOutDependent[];
  /** Foreign keys of created tables that reference tables which are not created. */
  readonly impossibleKeys: readonly SourceForeignKey[];
  /** Foreign keys that reference tables copied without all rows: they may have orphans. */
  readonly doubtfulKeys: readonly SourceForeignKey[];
}

/** Determines the consequences of a scope, which hold in every phase. */
export function consequencesOf(scope: TableScope, database: SourceDatabase): Consequences {
  const leftOut = database.tables.filter((table) =>
    !scope.isMade(table) && table.extension === undefined
  );
  const excluded = new Map<string, TableName>(leftOut.map((table) => [tableKey(table), table]));
  const dependents: LeftOutDependent[] = [];
  const sequences: TableName[] = [];
  const pending = new Set(database.dependents);
  for (let found = true; found;) {
    found = false;
    for (const dependent of pending) {
      const because = dependent.uses.find((relation) => excluded.has(tableKey(relation)));
      if (because === undefined) continue;
      // a sequence may be needed by the default of another table than its owner
      const needed = dependent.kind === "sequence" &&
        dependent.usedBy.some((table) => !excluded.has(tableKey(table)));
      pending.delete(dependent);
      // policies and rules of an excluded table are not reported
      const isOfExcluded = (dependent.kind === "policy" || dependent.kind === "rule") &&
        excluded.has(tableKey(dependent));
      if (needed || isOfExcluded) continue;
      found = true;
      if (dependent.kind === "sequence") sequences.push(dependent);
      else dependents.push({ dependent, because });
      if (isRelation(dependent)) excluded.set(tableKey(dependent), dependent);
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
    impossibleKeys: kept.filter(({ references }) => excluded.has(tableKey(references))),
    doubtfulKeys: kept.filter(({ table, references }) =>
      scope.hasRows(table) && !excluded.has(tableKey(references)) &&
      scope.decide(references) !== undefined && scope.decide(references)?.outcome !== "copied"
    ),
  };
}

function isRelation({ kind }: SourceDependent): boolean {
  return kind === "view" || kind === "materialized view" || kind === "sequence";
}

/** Names a dependent in messages: `view sales.monthly`, `policy mine on orders`. */
function describeDependent({ kind, schema, name, detail }: SourceDependent): string {
  if (kind === "function") return `function ${displayName({ schema, name })}(${detail ?? ""})`;
  if (kind === "policy" || kind === "rule") {
    return `${kind} ${detail ?? name} on ${displayName({ schema, name })}`;
  }
  return `${kind} ${displayName({ schema, name })}`;
}

/** The consequences as sentences, for plan and report. */
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
      } is not copied`
    ),
    ...doubtfulKeys.map(({ name, table, references }) =>
      `foreign key ${name} of ${displayName(table)} may stay NOT VALID: not all rows of ${
        displayName(references)
      } are copied`
    ),
  ];
}
