/**
 * The indexes and keys of a table, so arranged that all of its indexes can be built at once. Pure.
 *
 * `ALTER TABLE … ADD PRIMARY KEY` locks the table against everything, other builds included. `CREATE UNIQUE INDEX` does not; the key then takes the
 * finished index over in no time.
 *
 * Source: PostgreSQL documentation, "ALTER TABLE", ADD table_constraint_using_index.
 *
 * @module
 */
import type { DumpStatement } from "../schema/mod.ts";

/** What is built at once, and what follows when all of it is there. */
export interface IndexPlan {
  /** Independent of each other; each may be a setting, the index, and the setting's end. */
  readonly builds: readonly (readonly DumpStatement[])[];
  /** In this order, when all builds are done: keys that attach, and what names an index (CLUSTER ON, comments). */
  readonly finish: readonly DumpStatement[];
}

/** What every session begins with, and ends a table's work with. */
const defaultTablespace: DumpStatement = { sql: "SET default_tablespace = '';" };

const identifier = `(?:"(?:[^"]|"")+"|[^\\s".(]+)`;
const addKey = new RegExp(
  `^ALTER TABLE (?:ONLY )?(${identifier}\\.${identifier})\\s+ADD CONSTRAINT (${identifier}) ` +
    `(PRIMARY KEY|UNIQUE)( NULLS NOT DISTINCT)? (\\([^]*);$`,
);

/**
 * Arranges the statements of one table.
 *
 * @param partitioned whether the table has partitions: its indexes hold nothing, and its keys cannot take an index over
 */
export function planIndexes(
  statements: readonly DumpStatement[],
  { partitioned }: { readonly partitioned: boolean },
): IndexPlan {
  if (partitioned) return planInOrder(statements);
  const builds: (readonly DumpStatement[])[] = [];
  const finish: DumpStatement[] = [];
  let tablespace = defaultTablespace;
  const build = (statement: DumpStatement) =>
    builds.push(
      tablespace.sql === defaultTablespace.sql
        ? [statement]
        : [tablespace, statement, defaultTablespace],
    );
  for (const statement of statements) {
    if (/^SET default_tablespace = /.test(statement.sql)) tablespace = statement;
    const key = statement.type === "CONSTRAINT" ? readKey(statement.sql) : undefined;
    if (key !== undefined) {
      build({ ...statement, sql: key.build });
      finish.push({ ...statement, sql: key.attach });
    } else if (statement.type === "INDEX" && /^CREATE (?:UNIQUE )?INDEX /.test(statement.sql)) {
      build(statement);
    } else finish.push(statement);
  }
  if (tablespace.sql !== defaultTablespace.sql) finish.push(defaultTablespace);
  return { builds, finish };
}

/** The statements as they stand: for tables with nothing in them that would be worth building side by side. */
export function planInOrder(statements: readonly DumpStatement[]): IndexPlan {
  const last = statements.findLast(({ sql }) => /^SET default_tablespace = /.test(sql));
  const moved = last !== undefined && last.sql !== defaultTablespace.sql;
  return { builds: [], finish: moved ? [...statements, defaultTablespace] : statements };
}

/** A key taken apart into its index and the constraint that takes it over; undefined for one that cannot be. */
function readKey(sql: string): { readonly build: string; readonly attach: string } | undefined {
  const match = addKey.exec(sql);
  if (match === null) return undefined;
  const [, table, name, kind, distinct = "", rest = ""] = match;
  const columns = balanced(rest);
  if (columns === undefined || / WITHOUT OVERLAPS\)$/.test(columns)) return undefined; // a GiST index, 18+
  let after = rest.slice(columns.length);
  const include = after.startsWith(" INCLUDE ") ? balanced(after.slice(9)) : undefined;
  if (include !== undefined) after = after.slice(9 + include.length);
  const storage = after.startsWith(" WITH ") ? balanced(after.slice(6)) : undefined;
  if (storage !== undefined) after = after.slice(6 + storage.length);
  const timing = /^(?: DEFERRABLE(?: INITIALLY DEFERRED)?)?$/.exec(after);
  if (timing === null) return undefined; // something newer than this knows
  return {
    build: `CREATE UNIQUE INDEX ${name} ON ${table} ${columns}` +
      (include === undefined ? "" : ` INCLUDE ${include}`) + distinct +
      (storage === undefined ? "" : ` WITH ${storage}`) + ";",
    attach: `ALTER TABLE ${table} ADD CONSTRAINT ${name} ${kind} USING INDEX ${name}${after};`,
  };
}

/** The text up to the parenthesis that closes the first one; names may contain parentheses. */
function balanced(text: string): string | undefined {
  let depth = 0;
  let quote: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (quote !== undefined) {
      if (character === quote) quote = undefined; // a doubled quote opens again at once
    } else if (character === '"' || character === "'") quote = character;
    else if (character === "(") depth++;
    else if (character === ")" && --depth === 0) return text.slice(0, at + 1);
  }
  return undefined;
}
