/**
 * Decides what happens to each table of a database, and why. Pure.
 *
 * @module
 */
import { displayName, tableKey, type TableName } from "../core/internal.ts";
import { matchesTable, printPattern, type TablePlace } from "./name_pattern.ts";
import { allOf } from "./predicate.ts";
import { type SourceDatabase, type SourceTable } from "./source_tables.ts";
import type { RowRule, TableChoice, TableRules } from "./table_rules.ts";
import { cutOff, printTimeWindow, windowPredicate } from "./time_window.ts";

/** What happens to a table. */
export type Outcome = "copied" | "filtered" | "structure-only" | "left-out";

/** What happens to a table, and why. */
export type Decision =
  & {
    /** A short reason that names the rule. */
    readonly reason: string;
    /** The rules that decided; empty when none applies to the table. */
    readonly rules: readonly (RowRule | TableChoice)[];
  }
  & (
    | { readonly outcome: "copied" | "structure-only" | "left-out" }
    | {
      readonly outcome: "filtered";
      /** Rows that satisfy it are copied. */
      readonly predicate: string;
      /** The columns of time windows. */
      readonly windowColumns: readonly string[];
    }
  );

/** A table with its decision. */
export interface DecidedTable {
  /** The table, as the source's catalog describes it. */
  readonly table: SourceTable;
  /** Whether it is copied, filtered, without rows or left out, and why. */
  readonly decision: Decision;
}

/** The tables of a database with their decisions. */
export class TableScope {
  /** Database name on the source, unquoted. */
  readonly database: string;
  /** All tables, in the order of the catalog. */
  readonly tables: readonly DecidedTable[];
  readonly #byKey: ReadonlyMap<string, DecidedTable>;

  /** Use {@linkcode decideTables}. */
  constructor(database: string, tables: readonly DecidedTable[]) {
    this.database = database;
    this.tables = tables;
    this.#byKey = new Map(tables.map((decided) => [tableKey(decided.table), decided]));
  }

  /** The decision for a table; undefined for one that is not in the catalog. */
  decide(table: TableName): Decision | undefined {
    return this.#byKey.get(tableKey(table))?.decision;
  }

  /** Whether any of the table's rows are copied. */
  hasRows(table: TableName): boolean {
    const outcome = this.decide(table)?.outcome;
    return outcome === "copied" || outcome === "filtered";
  }

  /** Whether the table is created on the target. */
  isMade(table: TableName): boolean {
    const outcome = this.decide(table)?.outcome;
    return outcome !== undefined && outcome !== "left-out";
  }

  /** The predicate for a table's rows; undefined when all are copied. */
  predicateOf(table: TableName): string | undefined {
    const decision = this.decide(table);
    return decision?.outcome === "filtered" ? decision.predicate : undefined;
  }
}

/**
 * Decides for every table. Total: each table gets exactly one decision. Consistent: whenever a
 * table is created, so is what it depends on.
 *
 * The nearest rule applies: the table's own, otherwise that of the table it is a partition of or
 * inherits from. Excluding a parent excludes its partitions and child tables; the parent of an
 * included table is created without rows.
 */
export function decideTables(rules: TableRules, database: SourceDatabase): TableScope {
  const decider = new Decider(rules, database);
  return new TableScope(
    database.name,
    database.tables.map((table) => ({ table, decision: decider.decide(table) })),
  );
}

/** Rules with the table that they match. */
interface Match<Rule> {
  readonly rules: readonly Rule[];
  /** The table itself or one of its ancestors. */
  readonly at: SourceTable;
}

class Decider {
  readonly #rules: TableRules;
  readonly #database: SourceDatabase;
  readonly #byKey: ReadonlyMap<string, SourceTable>;
  readonly #children = new Map<string, SourceTable[]>();
  readonly #decided = new Map<string, Decision>();
  readonly #inProgress = new Set<string>();

  constructor(rules: TableRules, database: SourceDatabase) {
    this.#rules = {
      ...rules,
      include: rules.include.filter(({ within }) =>
        within === undefined || within === database.name
      ),
    };
    this.#database = database;
    this.#byKey = new Map(database.tables.map((table) => [tableKey(table), table]));
    for (const table of database.tables) {
      for (const parent of table.parents) {
        const key = tableKey(parent);
        this.#children.set(key, [...this.#children.get(key) ?? [], table]);
      }
    }
  }

  decide(table: SourceTable): Decision {
    const key = tableKey(table);
    const known = this.#decided.get(key);
    if (known !== undefined) return known;
    this.#inProgress.add(key);
    const decision = this.#leftOut(table) ?? this.#parentOfIncluded(table) ?? this.#rows(table);
    this.#inProgress.delete(key);
    this.#decided.set(key, decision);
    return decision;
  }

  #leftOut(table: SourceTable): Decision | undefined {
    const leftOut = (reason: string, rules: readonly TableChoice[] = []): Decision => ({
      outcome: "left-out",
      reason,
      rules,
    });
    if (table.extension !== undefined && !table.isExtensionConfiguration) {
      return leftOut(`created by CREATE EXTENSION ${table.extension}, with its rows`);
    }
    const excluded = this.#nearest(table, this.#rules.exclude);
    if (excluded !== undefined) {
      const [choice] = excluded.rules;
      return leftOut(
        `${this.#relationTo(table, excluded.at)}${describeChoice(choice!)}`,
        excluded.rules,
      );
    }
    if (
      this.#rules.include.length > 0 && !this.#isIncluded(table) &&
      this.#includedChild(table) === undefined
    ) {
      return leftOut(`not included by ${this.#rules.include[0]!.origin.path}`);
    }
    for (const other of [...table.parents, ...table.needs]) {
      const needed = this.#byKey.get(tableKey(other));
      // tables may use each other's row types
      if (needed === undefined || this.#inProgress.has(tableKey(other))) continue;
      if (this.decide(needed).outcome === "left-out" && needed.extension === undefined) {
        return leftOut(
          table.parents.includes(other)
            ? `${table.isPartition ? "a partition of" : "inherits from"} ${
              displayName(other)
            }, which is left out`
            : `its definition needs ${displayName(other)}, which is left out`,
        );
      }
    }
    return undefined;
  }

  /** A parent that is created only for an included child table. */
  #parentOfIncluded(table: SourceTable): Decision | undefined {
    if (this.#rules.include.length === 0 || this.#isIncluded(table)) return undefined;
    const childTable = this.#includedChild(table);
    if (childTable === undefined) return undefined;
    return {
      outcome: "structure-only",
      reason: `the parent of ${displayName(childTable)}, which is included`,
      rules: [],
    };
  }

  #rows(table: SourceTable): Decision {
    const included = this.#nearest(table, this.#rules.include);
    const whole = (): Decision => {
      if (table.kind === "foreign") {
        return {
          outcome: "structure-only",
          reason: "a foreign table: its rows are on another server",
          rules: [],
        };
      }
      if (included === undefined) {
        return { outcome: "copied", reason: "no rule applies to it", rules: [] };
      }
      return {
        outcome: "copied",
        reason: `${this.#relationTo(table, included.at)}${describeChoice(included.rules[0]!)}`,
        rules: included.rules,
      };
    };
    const match = this.#nearestRows(table);
    if (match === undefined || table.kind === "foreign") return whole();
    const { rules, at } = match;
    const relation = this.#relationTo(table, at);
    const schemaOnly = rules.find(({ kind }) => kind === "schema-only");
    if (schemaOnly !== undefined) {
      return {
        outcome: "structure-only",
        reason: `${relation}${describeRule(schemaOnly)}`,
        rules,
      };
    }
    const now = new Date(this.#rules.now);
    return {
      outcome: "filtered",
      predicate: allOf(rules.flatMap((rule) => predicateOf(rule, now) ?? [])),
      windowColumns: rules.flatMap((rule) => rule.kind === "time-filter" ? [rule.column] : []),
      reason: `${relation}${rules.map(describeRule).join(" and ")}`,
      rules,
    };
  }

  /** The rules of the nearest table with any; flags override the file. */
  #nearestRows(table: SourceTable): Match<RowRule> | undefined {
    const match = this.#nearest(table, this.#rules.rows);
    if (match === undefined) return undefined;
    const flags = match.rules.filter(({ origin }) => origin.from === "flag");
    return flags.length > 0 ? { ...match, rules: flags } : match;
  }

  #nearest<Rule extends TableChoice | RowRule>(
    table: SourceTable,
    rules: readonly Rule[],
  ): Match<Rule> | undefined {
    if (rules.length === 0) return undefined;
    for (const at of this.#lineage(table)) {
      const matching = rules.filter(({ pattern }) => matchesTable(pattern, this.#place(at)));
      if (matching.length > 0) return { rules: matching, at };
    }
    return undefined;
  }

  /** The table, then its parents, then their parents. */
  #lineage(table: SourceTable): readonly SourceTable[] {
    const line = [table];
    for (const each of line) {
      for (const parent of each.parents) {
        const ancestor = this.#byKey.get(tableKey(parent));
        if (ancestor !== undefined && !line.includes(ancestor)) line.push(ancestor);
      }
    }
    return line;
  }

  #isIncluded(table: SourceTable): boolean {
    return this.#nearest(table, this.#rules.include) !== undefined;
  }

  #includedChild(table: SourceTable): SourceTable | undefined {
    const childTables = [...this.#children.get(tableKey(table)) ?? []];
    for (const childTable of childTables) {
      if (this.#isIncluded(childTable)) return childTable;
      for (const child of this.#children.get(tableKey(childTable)) ?? []) {
        if (!childTables.includes(child)) childTables.push(child);
      }
    }
    return undefined;
  }

  #relationTo(table: SourceTable, at: SourceTable): string {
    if (at === table) return "";
    return `${table.isPartition ? "a partition of" : "inherits from"} ${displayName(at)}: `;
  }

  #place({ schema, name }: TableName): TablePlace {
    return { database: this.#database.name, schema, name };
  }
}

function predicateOf(rule: RowRule, now: Date): string | undefined {
  switch (rule.kind) {
    case "schema-only":
      return undefined;
    case "table-filter":
      return rule.predicate;
    case "time-filter":
      return windowPredicate(rule.column, cutOff(rule.window, now));
  }
}

function describeChoice({ pattern, origin }: TableChoice): string {
  return `${origin.path} ${printPattern(pattern)}`;
}

function describeRule(rule: RowRule): string {
  const { path } = rule.origin;
  switch (rule.kind) {
    case "schema-only":
      return `${path} ${printPattern(rule.pattern)}`;
    case "table-filter":
      return `${path}: rows where ${rule.predicate.replace(/\s+/g, " ")}`;
    case "time-filter":
      return `${path}: rows of the last ${printTimeWindow(rule.window)} by ${rule.column}`;
  }
}
