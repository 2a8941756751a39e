/**
 * Resolves rules against the source's tables, and reports all problems at once. Pure.
 *
 * @module
 */
import { displayName, plural, type Problem, suggest } from "../core/internal.ts";
import { type DecidedTable, decideTables, type TableScope } from "./decide.ts";
import {
  literalOf,
  matchesTable,
  nearMisses,
  printPattern,
  type TablePattern,
  type TablePlace,
} from "./name_pattern.ts";
import type { SourceDatabase, SourceTable } from "./source_tables.ts";
import { describeKind, type RowRule, type TableChoice, type TableRules } from "./table_rules.ts";

/** Rules resolved for the databases of a run. */
export interface ResolvedRules {
  /** The rules as the user gave them. */
  readonly rules: TableRules;
  /** One per database, in order. */
  readonly scopes: readonly TableScope[];
  /** The run must not start unless this is empty. */
  readonly problems: readonly Problem[];
}

/** Types that a time window applies to. */
const timeTypes = /^(?:date|timestamp(?:\(\d\))? with(?:out)? time zone)$/;

/**
 * Resolves rules against the selected databases.
 *
 * @param databases the databases that the run copies
 * @param options `others`: the source's other databases; rules for them are ignored in a file, and
 * are problems in flags
 */
export function resolveRules(
  rules: TableRules,
  databases: readonly SourceDatabase[],
  { others = [] }: { readonly others?: readonly string[] } = {},
): ResolvedRules {
  const scopes = databases.map((database) => decideTables(rules, database));
  // a file may have sections for databases that this run does not copy
  const concerns = ({ pattern, origin }: TableChoice | RowRule) =>
    origin.from === "flag" || pattern.database === undefined ||
    !others.includes(literalOf(pattern.database) ?? "");
  const problems = [
    ...[...rules.include, ...rules.exclude].filter(concerns).flatMap((choice) =>
      choiceProblems(choice, databases)
    ),
    ...rules.rows.filter(concerns).flatMap((rule) => matchProblems(rule, databases)),
    ...scopes.flatMap((scope) =>
      scope.tables.flatMap((decided) => tableProblems(decided, { rules, scope }))
    ),
  ];
  if (problems.length === 0 && rules.include.length + rules.exclude.length > 0) {
    const anyLeft = scopes.some(({ tables }) =>
      tables.some(({ decision }) => decision.outcome !== "left-out")
    );
    if (!anyLeft) {
      const [choice] = [...rules.include, ...rules.exclude];
      problems.push({ path: choice!.origin.path, message: "excludes every table" });
    }
  }
  // a rule with a wildcard may have the same problem in many tables
  const unique = new Map(problems.map((problem) => [JSON.stringify(problem), problem]));
  return { rules, scopes, problems: [...unique.values()] };
}

function places(
  databases: readonly SourceDatabase[],
): readonly (TablePlace & { readonly table: SourceTable })[] {
  return databases.flatMap(({ name: database, tables }) =>
    tables.map((table) => ({ database, schema: table.schema, name: table.name, table }))
  );
}

function choiceProblems(
  choice: TableChoice,
  databases: readonly SourceDatabase[],
): readonly Problem[] {
  const matched = places(databases).filter((place) => matchesTable(choice.pattern, place));
  if (matched.length === 0) return matchProblems(choice, databases);
  const [first] = matched;
  const owned = matched.every(({ table }) =>
    table.extension !== undefined && !table.isExtensionConfiguration
  );
  if (!owned || first === undefined) return [];
  return [{
    path: choice.origin.path,
    message: `${printPattern(choice.pattern)} belongs to the extension ${first.table.extension}: ` +
      "CREATE EXTENSION creates it, whatever the filters",
  }];
}

function matchProblems(
  { pattern, origin }: TableChoice | RowRule,
  databases: readonly SourceDatabase[],
): readonly Problem[] {
  const all = places(databases);
  if (all.some((place) => matchesTable(pattern, place))) return [];
  return [{
    path: origin.path,
    message: `${printPattern(pattern)} ${explainNoMatch(pattern, databases)}`,
  }];
}

function explainNoMatch(pattern: TablePattern, databases: readonly SourceDatabase[]): string {
  const database = pattern.database === undefined ? undefined : literalOf(pattern.database);
  const names = databases.map(({ name }) => name);
  if (database !== undefined && !names.includes(database)) {
    const [near] = suggest(database, names, 1);
    return `names database "${database}", which is not copied (copied: ${names.join(", ")})` +
      (near === undefined ? "" : `; did you mean ${near}?`);
  }
  const all = places(databases);
  const isView = databases.some(({ name: database, dependents }) =>
    dependents.some((dependent) =>
      (dependent.kind === "view" || dependent.kind === "materialized view") &&
      matchesTable(pattern, { database, schema: dependent.schema, name: dependent.name })
    )
  );
  if (isView) return "is a view: views are copied with the tables that they read";
  const near = nearMisses(pattern, all);
  if (near.length > 0) return `matches no table; did you mean ${near.join(" or ")}?`;
  return `matches no table (${plural(all.length, "table")} in ${names.join(", ")})`;
}

function tableProblems(
  { table, decision }: DecidedTable,
  { rules, scope }: { readonly rules: TableRules; readonly scope: TableScope },
): readonly Problem[] {
  const place = { database: scope.database, schema: table.schema, name: table.name };
  const own = rules.rows.filter(({ pattern }) => matchesTable(pattern, place));
  const flags = own.filter(({ origin }) => origin.from === "flag");
  const name = `${scope.database}: ${displayName(table)}`;
  if (decision.outcome === "left-out") {
    const chosenBy = decision.rules[0]?.origin.from ??
      (rules.include[0] ?? rules.exclude[0])?.origin.from ?? "file";
    // a flag may exclude a table that the file has a rule for: flags override the file
    return own
      .filter(({ origin, pattern }) =>
        !(origin.from === "file" && chosenBy === "flag") && literalOf(pattern.table) !== undefined
      )
      .map(({ origin }) => ({
        path: origin.path,
        message: `${name} is left out, so its rows cannot be filtered: ${decision.reason}`,
      }));
  }
  const effective = flags.length > 0 ? flags : own;
  return [
    ...conflicts(effective, name),
    ...windowProblems(effective, table, name),
    ...kindProblems(effective, table, name),
  ];
}

function conflicts(rules: readonly RowRule[], name: string): readonly Problem[] {
  const [first, ...rest] = rules;
  if (first === undefined) return [];
  const schemaOnly = rules.find(({ kind }) => kind === "schema-only");
  return rest.flatMap((rule, index): readonly Problem[] => {
    const before = rules.slice(0, index + 1);
    const duplicate = before.find(({ kind }) => kind === rule.kind);
    if (duplicate !== undefined) {
      return [{
        path: rule.origin.path,
        message: `${name} already has ${describeKind(rule.kind)}: ${duplicate.origin.path} ${
          printPattern(duplicate.pattern)
        }`,
      }];
    }
    if (schemaOnly !== undefined && (rule === schemaOnly || before.includes(schemaOnly))) {
      const other = rule === schemaOnly ? first : rule;
      return [{
        path: other.origin.path,
        message: `${name} cannot have ${
          describeKind(other.kind)
        }: ${schemaOnly.origin.path} excludes all of its rows`,
      }];
    }
    return [];
  });
}

function windowProblems(
  rules: readonly RowRule[],
  table: SourceTable,
  name: string,
): readonly Problem[] {
  return rules.flatMap((rule): readonly Problem[] => {
    if (rule.kind !== "time-filter") return [];
    const column = table.columns.find(({ name }) => name === rule.column);
    const path = rule.origin.path;
    if (column === undefined) {
      const near = suggest(rule.column, table.columns.map(({ name }) => name));
      return [{
        path,
        message: `${name} has no column "${rule.column}"` +
          (near.length > 0 ? `; did you mean ${near.join(" or ")}?` : ""),
      }];
    }
    if (timeTypes.test(column.type)) return [];
    return [{
      path,
      message:
        `column "${column.name}" of ${name} is ${column.type}; a time filter requires date or timestamp ` +
        "(for other types use a table filter)",
    }];
  });
}

function kindProblems(
  rules: readonly RowRule[],
  table: SourceTable,
  name: string,
): readonly Problem[] {
  if (table.kind !== "foreign") return [];
  return rules.filter(({ pattern }) => literalOf(pattern.table) !== undefined)
    .map(({ origin }) => ({
      path: origin.path,
      message: `${name} is a foreign table: its rows are never copied`,
    }));
}
