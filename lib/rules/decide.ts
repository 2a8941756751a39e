/**
 * What happens to every table of a database, and why.
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
    /** In a few words, with the rule that says so. */
    readonly reason: string;
    /** Rules that made it so; empty where none speaks of the table. */
    readonly rules: readonly (RowRule | TableChoice)[];
  }
  & (
    | { readonly outcome: "copied" | "structure-only" | "left-out" }
    | {
      readonly outcome: "filtered";
      /** Rows for which it is true are copied. */
      readonly predicate: string;
      /** The columns that time windows name. */
      readonly windowColumns: readonly string[];
    }
  );

/** A table with what happens to it. */
export interface DecidedTable {
  readonly table: SourceTable;
  readonly decision: Decision;
}

/** The tables of a database, decided. */
export class TableScope {
  readonly database: string;
  /** All of them, in the order of the catalog. */
  readonly tables: readonly DecidedTable[];
  readonly #byKey: ReadonlyMap<string, DecidedTable>;

  /** Use {@linkcode decideTables}. */
  constructor(database: string, tables: readonly DecidedTable[]) {
    this.database = database;
    this.tables = tables;
    this.#byKey = new Map(tables.map((decided) => [tableKey(decided.table), decided]));
  }

  /** What happens to a table; undefined for one that the catalog did not have. */
  decide(table: TableName): Decision | undefined {
    return this.#byKey.get(tableKey(table))?.decision;
  }

  /** Whether any of the table's rows are copied. */
  hasRows(table: TableName): boolean {
    const outcome = this.decide(table)?.outcome;
    return outcome === "copied" || outcome === "filtered";
  }

  /** Whether the table is made on the target. */
  isMade(table: TableName): boolean {
    const outcome = this.decide(table)?.outcome;
    return outcome !== undefined && outcome !== "left-out";
  }

  /** The condition for a table's rows; undefined for all. */
  predicateOf(table: TableName): string | undefined {
    const decision = this.decide(table);
    return decision?.outcome === "filtered" ? decision.predicate : undefined;
  }
}

/**
 * Decides about every table. Total: each table of the catalog gets one decision; consistent: what a
 * table depends on is there whenever the table is.
 *
 * A table follows the nearest rule: its own, else that of the table it is a partition of or
 * inherits from. A parent that is left out takes its partitions and heirs along; a parent of a
 * table that was let in comes along, without rows.
 */
export function decideTables(rules: TableRules, database: SourceDatabase): TableScope {
  const decider = new Decider(rules, database);
  return new TableScope(
    database.name,
    database.tables.map((table) => ({ table, decision: decider.decide(table) })),
  );
}

/** Rules with the table that they matched. */
interface Match<Rule> {
  readonly rules: readonly Rule[];
  /** The table itself or one that it descends from. */
  readonly at: SourceTable;
}

class Decider {
  readonly #rules: TableRules;
  readonly #database: SourceDatabase;
  readonly #byKey: ReadonlyMap<string, SourceTable>;
  readonly #children = new Map<string, SourceTable[]>();
  readonly #decided = new Map<string, Decision>();
  readonly #underWay = new Set<string>();

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
    this.#underWay.add(key);
    const decision = this.#leftOut(table) ?? this.#comesAlong(table) ?? this.#rows(table);
    this.#underWay.delete(key);
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
      return leftOut(`CREATE EXTENSION ${table.extension} makes it, with its rows`);
    }
    const excluded = this.#nearest(table, this.#rules.exclude);
    if (excluded !== undefined) {
      const [choice] = excluded.rules;
      return leftOut(
        `${this.#kinship(table, excluded.at)}${describeChoice(choice!)}`,
        excluded.rules,
      );
    }
    if (
      this.#rules.include.length > 0 && !this.#isIncluded(table) && !this.#hasIncludedHeir(table)
    ) {
      return leftOut(`not named by ${this.#rules.include[0]!.origin.path}`);
    }
    for (const other of [...table.parents, ...table.needs]) {
      const there = this.#byKey.get(tableKey(other));
      // tables may use each other's row types
      if (there === undefined || this.#underWay.has(tableKey(other))) continue;
      if (this.decide(there).outcome === "left-out" && there.extension === undefined) {
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

  /** A parent that is there only for what was let in. */
  #comesAlong(table: SourceTable): Decision | undefined {
    if (this.#rules.include.length === 0 || this.#isIncluded(table)) return undefined;
    const childTable = this.#includedHeir(table);
    if (childTable === undefined) return undefined;
    return {
      outcome: "structure-only",
      reason: `the parent of ${displayName(childTable)}, which is let in`,
      rules: [],
    };
  }

  #rows(table: SourceTable): Decision {
    const let_in = this.#nearest(table, this.#rules.include);
    const whole = (): Decision => {
      if (table.kind === "foreign") {
        return {
          outcome: "structure-only",
          reason: "a foreign table: its rows are elsewhere",
          rules: [],
        };
      }
      if (let_in === undefined) return { outcome: "copied", reason: "no rule names it", rules: [] };
      return {
        outcome: "copied",
        reason: `${this.#kinship(table, let_in.at)}${describeChoice(let_in.rules[0]!)}`,
        rules: let_in.rules,
      };
    };
    const match = this.#nearestRows(table);
    if (match === undefined || table.kind === "foreign") return whole();
    const { rules, at } = match;
    const kinship = this.#kinship(table, at);
    const schemaOnly = rules.find(({ kind }) => kind === "schema-only");
    if (schemaOnly !== undefined) {
      return {
        outcome: "structure-only",
        reason: `${kinship}${describeRule(schemaOnly)}`,
        rules,
      };
    }
    const now = new Date(this.#rules.now);
    return {
      outcome: "filtered",
      predicate: allOf(rules.flatMap((rule) => predicateOf(rule, now) ?? [])),
      windowColumns: rules.flatMap((rule) => rule.kind === "time-filter" ? [rule.column] : []),
      reason: `${kinship}${rules.map(describeRule).join(" and ")}`,
      rules,
    };
  }

  /** The rules of the nearest table that has any; those of flags silence those of the file. */
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

  /** The table, then its parents, then theirs. */
  #lineage(table: SourceTable): readonly SourceTable[] {
    const line = [table];
    for (const each of line) {
      for (const parent of each.parents) {
        const there = this.#byKey.get(tableKey(parent));
        if (there !== undefined && !line.includes(there)) line.push(there);
      }
    }
    return line;
  }

  #isIncluded(table: SourceTable): boolean {
    return this.#nearest(table, this.#rules.include) !== undefined;
  }

  #hasIncludedHeir(table: SourceTable): boolean {
    return this.#includedHeir(table) !== undefined;
  }

  #includedHeir(table: SourceTable): SourceTable | undefined {
    const childTables = [...this.#children.get(tableKey(table)) ?? []];
    for (const childTable of childTables) {
      if (this.#isIncluded(childTable)) return childTable;
      for (const child of this.#children.get(tableKey(childTable)) ?? []) {
        if (!childTables.includes(child)) childTables.push(child);
      }
    }
    return undefined;
  }

  #kinship(table: SourceTable, at: SourceTable): string {
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
  const where = `${rule.origin.path}`;
  switch (rule.kind) {
    case "schema-only":
      return `${where} ${printPattern(rule.pattern)}`;
    case "table-filter":
      return `${where}: rows where ${rule.predicate.replace(/\s+/g, " ")}`;
    case "time-filter":
      return `${where}: rows of the last ${printTimeWindow(rule.window)} by ${rule.column}`;
  }
}
