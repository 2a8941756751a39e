/**
 * Sorts the post-data section by when each statement can run. Pure.
 *
 * @module
 */
import { tableKey, type TableName } from "../../core/internal.ts";
import type { DumpStatement } from "./dump_reader.ts";
import { SqlCursor } from "./sql_cursor.ts";

/** The statements that build the indexes and keys of one table, in order. */
export interface TablePostData {
  /** The table. */
  readonly table: TableName;
  /** In the dump's order, with the settings of `default_tablespace` that they need. */
  readonly statements: readonly DumpStatement[];
}

/**
 * Post-data by when it can run: `settings` first in every session; then `perTable`, in parallel, as
 * soon as each table's data is copied; then `attach`, `foreignKeys`, `rest` and `eventTriggers`, in
 * this order.
 */
export interface ClassifiedPostData {
  /** Settings that pg_dump's statements rely on. */
  readonly settings: readonly DumpStatement[];
  /**
   * Indexes and primary, unique and exclusion constraints, with what depends on them (CLUSTER,
   * REPLICA IDENTITY, statistics targets, comments). Partitioned parents come first: their own
   * indexes are empty.
   */
  readonly perTable: readonly TablePostData[];
  /** `ALTER INDEX … ATTACH PARTITION`: once the indexes of both tables exist. */
  readonly attach: readonly DumpStatement[];
  /** Once all keys that they reference exist. */
  readonly foreignKeys: readonly DumpStatement[];
  /** Triggers, rules, policies, views, statistics, refreshes, comments…, in the dump's order. */
  readonly rest: readonly DumpStatement[];
  /** Last: they would fire for everything before. */
  readonly eventTriggers: readonly DumpStatement[];
}

/** The group that a statement belongs to. */
type Place =
  | { readonly kind: "table"; readonly table: TableName; readonly shell: boolean }
  | { readonly kind: "attach" | "foreign-key" | "rest" | "event-trigger" };

interface TableGroup {
  readonly table: TableName;
  readonly statements: DumpStatement[];
  /** The `default_tablespace` in effect after the last statement. */
  tablespace: string;
  shell: boolean;
}

const noTablespace = "SET default_tablespace = '';";

/** Sorts the statements of a post-data section. */
export function classifyPostData(statements: readonly DumpStatement[]): ClassifiedPostData {
  const classifier = new Classifier(statements);
  const settings: DumpStatement[] = [];
  const groups = new Map<string, TableGroup>();
  const attach: DumpStatement[] = [];
  const foreignKeys: DumpStatement[] = [];
  const rest: DumpStatement[] = [];
  const eventTriggers: DumpStatement[] = [];
  let tablespace = noTablespace;
  let entriesBegun = false;

  for (const statement of statements) {
    if (new SqlCursor(statement.sql).words("set", "default_tablespace")) tablespace = statement.sql;
    if (!entriesBegun && statement.type === undefined) {
      settings.push(statement);
      continue;
    }
    entriesBegun = true;
    const place = classifier.placeOf(statement);
    switch (place.kind) {
      case "table": {
        const key = tableKey(place.table);
        const group: TableGroup = groups.get(key) ??
          { table: place.table, statements: [], tablespace: noTablespace, shell: false };
        groups.set(key, group);
        if (group.tablespace !== tablespace) group.statements.push({ sql: tablespace });
        group.tablespace = tablespace;
        group.shell ||= place.shell;
        group.statements.push(statement);
        break;
      }
      case "attach":
        attach.push(statement);
        break;
      case "foreign-key":
        foreignKeys.push(statement);
        break;
      case "event-trigger":
        eventTriggers.push(statement);
        break;
      default:
        rest.push(statement);
    }
  }
  const sorted = [...groups.values()].sort((a, b) => Number(b.shell) - Number(a.shell));
  return {
    settings,
    perTable: sorted.map(({ table, statements, tablespace }) => ({
      table,
      statements: tablespace === noTablespace ? statements : [...statements, { sql: noTablespace }],
    })),
    attach,
    foreignKeys,
    rest,
    eventTriggers,
  };
}

/** The tables of `CREATE STATISTICS` statements. */
export function tablesWithStatistics(statements: readonly DumpStatement[]): readonly TableName[] {
  return statements.flatMap(({ sql }) => {
    const cursor = new SqlCursor(sql);
    if (!cursor.words("create", "statistics") || !cursor.skipTo("from")) return [];
    const table = cursor.qualified();
    return table === undefined ? [] : [withSchema(table)];
  });
}

/** Determines a statement's group from its text; pg_dump qualifies all names. */
class Classifier {
  /** Relations that this section creates: statements on them must come later. */
  readonly #late = new Set<string>();
  /**
   * The table of each index, by the index's name, which is also that of the constraint it backs.
   */
  readonly #tableOfIndex = new Map<string, TableName>();
  /** `[table, constraint]` of keys in `perTable`. */
  readonly #keys = new Set<string>();

  constructor(statements: readonly DumpStatement[]) {
    for (const { sql } of statements) {
      const cursor = new SqlCursor(sql);
      if (!cursor.words("create")) continue;
      cursor.words("or", "replace");
      cursor.words("materialized");
      if (!cursor.words("view")) continue;
      const view = cursor.qualified();
      if (view !== undefined) this.#late.add(tableKey(withSchema(view)));
    }
  }

  placeOf({ sql, type }: DumpStatement): Place {
    const cursor = new SqlCursor(sql);
    if (type === "EVENT TRIGGER" || mentionsEventTrigger(sql)) return { kind: "event-trigger" };
    if (cursor.words("create")) return this.#create(cursor);
    if (cursor.words("alter", "table")) return this.#alterTable(cursor);
    if (cursor.words("alter", "index")) return this.#alterIndex(cursor);
    if (cursor.words("comment", "on", "index")) return this.#placeOfIndex(cursor.qualified());
    if (cursor.words("comment", "on", "constraint")) return this.#commentOnConstraint(cursor);
    return { kind: "rest" };
  }

  #create(cursor: SqlCursor): Place {
    cursor.words("unique");
    if (!cursor.words("index")) return { kind: "rest" };
    const index = cursor.identifier();
    if (index === undefined || !cursor.words("on")) return { kind: "rest" };
    const shell = cursor.words("only");
    const table = cursor.qualified();
    return table === undefined ? { kind: "rest" } : this.#build(withSchema(table), index, shell);
  }

  #build(table: TableName, index: string, shell: boolean): Place {
    if (this.#late.has(tableKey(table))) return { kind: "rest" };
    this.#tableOfIndex.set(tableKey({ schema: table.schema, name: index }), table);
    return { kind: "table", table, shell };
  }

  #alterTable(cursor: SqlCursor): Place {
    cursor.words("only");
    const name = cursor.qualified();
    if (name === undefined) return { kind: "rest" };
    const table = withSchema(name);
    if (cursor.words("add", "constraint")) {
      const constraint = cursor.identifier();
      if (cursor.words("foreign", "key")) return { kind: "foreign-key" };
      const key = cursor.words("primary", "key") || cursor.words("unique") ||
        cursor.words("exclude");
      if (!key || constraint === undefined) return { kind: "rest" };
      this.#keys.add(JSON.stringify([tableKey(table), constraint]));
      return this.#build(table, constraint, false);
    }
    const follows = cursor.words("cluster", "on") ||
      cursor.words("replica", "identity", "using", "index");
    const index = follows ? cursor.qualified() : undefined;
    return index === undefined
      ? { kind: "rest" }
      : this.#placeOfIndex({ schema: table.schema, name: index.name });
  }

  #alterIndex(cursor: SqlCursor): Place {
    const index = cursor.qualified();
    return cursor.words("attach", "partition") ? { kind: "attach" } : this.#placeOfIndex(index);
  }

  #commentOnConstraint(cursor: SqlCursor): Place {
    const constraint = cursor.identifier();
    const table = cursor.words("on") && !cursor.words("domain") ? cursor.qualified() : undefined;
    if (constraint === undefined || table === undefined) return { kind: "rest" };
    const known = this.#keys.has(JSON.stringify([tableKey(withSchema(table)), constraint]));
    return known ? this.#placeOfTable(withSchema(table)) : { kind: "rest" };
  }

  #placeOfIndex(index: Qualified | undefined): Place {
    const table = index === undefined
      ? undefined
      : this.#tableOfIndex.get(tableKey(withSchema(index)));
    return table === undefined ? { kind: "rest" } : this.#placeOfTable(table);
  }

  #placeOfTable(table: TableName): Place {
    return this.#late.has(tableKey(table))
      ? { kind: "rest" }
      : { kind: "table", table, shell: false };
  }
}

type Qualified = { readonly schema: string | undefined; readonly name: string };

function withSchema({ schema, name }: Qualified): TableName {
  return { schema: schema ?? "public", name };
}

function mentionsEventTrigger(sql: string): boolean {
  const cursor = new SqlCursor(sql);
  if (cursor.words("security", "label")) {
    cursor.skipTo("on");
    return cursor.words("event", "trigger");
  }
  return cursor.words("create", "event", "trigger") || cursor.words("alter", "event", "trigger") ||
    cursor.words("comment", "on", "event", "trigger");
}
