/**
 * The user's rules: which tables are copied, and which of their rows.
 *
 * @module
 */
import type { Problem } from "../core/internal.ts";
import {
  cutOutsideQuotes,
  readFilterPattern,
  type Reading,
  readPartPattern,
  readRulePattern,
} from "./name_pattern.ts";
import { literalOf, quotedPattern, type TablePattern } from "./name_pattern.ts";
import { readPredicate } from "./predicate.ts";
import { readTimeWindow, type TimeWindow } from "./time_window.ts";

/** Where rules are written. */
export const ruleSources = ["flag", "file"] as const;

/** Where a rule was written. */
export interface RuleOrigin {
  /** Flags override the file. */
  readonly from: typeof ruleSources[number];
  /** For messages: `--table-filter`, `move.toml:12: databases.app.schema_only[0]`. */
  readonly path: string;
}

/** A pattern of tables to include or exclude. */
export interface TableChoice {
  /** Which tables it selects: `[database.]schema.table` with wildcards. */
  readonly pattern: TablePattern;
  /**
   * The database whose section of the file it is in; it does not apply to others. Flags apply to
   * all databases.
   */
  readonly within?: string;
  /** Where it was written, for messages and precedence. */
  readonly origin: RuleOrigin;
}

/** A rule for the rows of tables. */
export type RowRule =
  & { readonly pattern: TablePattern; readonly origin: RuleOrigin }
  & (
    | { readonly kind: "schema-only" }
    | { readonly kind: "table-filter"; readonly predicate: string }
    | { readonly kind: "time-filter"; readonly column: string; readonly window: TimeWindow }
  );

/** All rules, as plain data. */
export interface TableRules {
  /** Empty: all tables. */
  readonly include: readonly TableChoice[];
  /** Tables to leave out; takes precedence over `include`. */
  readonly exclude: readonly TableChoice[];
  /** Which rows are copied: none, matching a condition, or recent ones. */
  readonly rows: readonly RowRule[];
  /**
   * The time that time windows end at, as an ISO 8601 timestamp: fixed once and kept with the run.
   */
  readonly now: string;
}

/** Copies everything. */
export const noTableRules: TableRules = {
  include: [],
  exclude: [],
  rows: [],
  now: "1970-01-01T00:00:00.000Z",
};

/** Whether there are no rules. */
export function asksNothing({ include, exclude, rows }: TableRules): boolean {
  return include.length === 0 && exclude.length === 0 && rows.length === 0;
}

/** Parsed rules with all of their problems. */
export interface RulesReading {
  /** The valid rules; incomplete if there are problems. */
  readonly rules: Omit<TableRules, "now">;
  /** Errors in the rules, with their places; empty if all are valid. */
  readonly problems: readonly Problem[];
}

/** The values of the flags. */
export interface RuleFlags {
  /** Values of `--include-tables`: `app.orders`, `app.sales.*`. */
  readonly includeTables: readonly string[];
  /** Values of `--exclude-tables`: `app.audit.*`. */
  readonly excludeTables: readonly string[];
  /** Values of `--schema-only-tables`: `public.logs`. */
  readonly schemaOnlyTables: readonly string[];
  /** Values of `--table-filter`: a table and an SQL condition each. */
  readonly tableFilters: readonly string[];
  /** Values of `--time-filter`: a table, column and window each. */
  readonly timeFilters: readonly string[];
}

/** Parses rules one by one and collects their problems. */
export class RuleReader {
  readonly problems: Problem[] = [];
  readonly #include: TableChoice[] = [];
  readonly #exclude: TableChoice[] = [];
  readonly #rows: RowRule[] = [];

  /**
   * Adds a pattern of `include` or `exclude`; in a file's section of a database it omits the
   * database.
   */
  choice(
    what: "include" | "exclude",
    text: string,
    { origin, database }: { readonly origin: RuleOrigin; readonly database?: string | undefined },
  ): void {
    const pattern = this.#pattern(
      database === undefined ? readFilterPattern(text) : readRulePattern(text),
      { origin, database },
    );
    if (pattern === undefined) return;
    (what === "include" ? this.#include : this.#exclude)
      .push({ pattern, origin, ...(database === undefined ? {} : { within: database }) });
  }

  schemaOnly(
    text: string,
    { origin, database }: { readonly origin: RuleOrigin; readonly database?: string | undefined },
  ): void {
    const pattern = this.#pattern(readRulePattern(text), { origin, database });
    if (pattern !== undefined) this.#rows.push({ kind: "schema-only", pattern, origin });
  }

  tableFilter(
    rule: { readonly table: Reading<TablePattern>; readonly where: string },
    { origin, database }: { readonly origin: RuleOrigin; readonly database?: string | undefined },
  ): void {
    const pattern = this.#pattern(rule.table, { origin, database });
    const predicate = this.#value(readPredicate(rule.where), origin);
    if (pattern === undefined || predicate === undefined) return;
    this.#rows.push({ kind: "table-filter", pattern, predicate, origin });
  }

  timeFilter(
    rule: { readonly table: Reading<TablePattern>; readonly column: string; readonly last: string },
    { origin, database }: { readonly origin: RuleOrigin; readonly database?: string | undefined },
  ): void {
    const pattern = this.#pattern(rule.table, { origin, database });
    const column = rule.column === "" ? undefined : rule.column;
    if (column === undefined) this.#problem(origin, "has an empty column name");
    const window = this.#value(readTimeWindow(rule.last), origin);
    if (pattern === undefined || column === undefined || window === undefined) return;
    this.#rows.push({ kind: "time-filter", pattern, column, window, origin });
  }

  #problem(origin: RuleOrigin, message: string): void {
    this.problems.push({ path: origin.path, message });
  }

  #value<Value>(reading: Reading<Value>, origin: RuleOrigin): Value | undefined {
    if ("value" in reading) return reading.value;
    this.#problem(origin, reading.problem);
    return undefined;
  }

  #pattern(
    reading: Reading<TablePattern>,
    { origin, database }: { readonly origin: RuleOrigin; readonly database: string | undefined },
  ): TablePattern | undefined {
    const pattern = this.#value(reading, origin);
    if (pattern === undefined || database === undefined) return pattern;
    if (pattern.database !== undefined && literalOf(pattern.database) !== database) {
      this.#problem(origin, `names a database other than "${database}", whose section this is`);
      return undefined;
    }
    return { ...pattern, database: [database] };
  }

  /** The parsed rules and all problems, including duplicates. */
  done(): RulesReading {
    const rules = { include: this.#include, exclude: this.#exclude, rows: this.#rows };
    return { rules, problems: [...this.problems, ...structuralProblems(rules)] };
  }
}

/** Parses the flags. */
export function readRuleFlags(flags: RuleFlags): RulesReading {
  const reader = new RuleReader();
  const origin = (path: string): RuleOrigin => ({ from: "flag", path });
  const each = (texts: readonly string[], path: string, read: (text: string) => void) => {
    for (const text of texts.flatMap((text) => cutOutsideQuotes(text, ","))) {
      if (text.trim() === "") reader.problems.push({ path, message: "contains an empty name" });
      else read(text.trim());
    }
  };
  const include = origin("--include-tables");
  const exclude = origin("--exclude-tables");
  const schemaOnly = origin("--schema-only-tables");
  each(
    flags.includeTables,
    include.path,
    (text) => reader.choice("include", text, { origin: include }),
  );
  each(
    flags.excludeTables,
    exclude.path,
    (text) => reader.choice("exclude", text, { origin: exclude }),
  );
  each(
    flags.schemaOnlyTables,
    schemaOnly.path,
    (text) => reader.schemaOnly(text, { origin: schemaOnly }),
  );
  for (const text of flags.tableFilters) {
    const [table = "", where] = cutOutsideQuotes(text, ":", 2);
    if (where === undefined) {
      const problem = readRulePattern(text);
      reader.problems.push({
        path: "--table-filter",
        message: "problem" in problem && /quote/.test(problem.problem)
          ? problem.problem
          : `${quotedPattern(text)} must have the form TABLE:PREDICATE`,
      });
    } else {
      reader.tableFilter({ table: readRulePattern(table), where }, {
        origin: origin("--table-filter"),
      });
    }
  }
  for (const text of flags.timeFilters) {
    const [table = "", column, last] = cutOutsideQuotes(text, ":", 3);
    if (column === undefined || last === undefined) {
      const problem = readRulePattern(text);
      reader.problems.push({
        path: "--time-filter",
        message: "problem" in problem && /quote/.test(problem.problem)
          ? problem.problem
          : `${
            quotedPattern(text)
          } must have the form TABLE:COLUMN:WINDOW, such as events:created_at:6 months`,
      });
    } else {
      const name = readPartPattern(column.trim());
      const literal = "value" in name ? literalOf(name.value) : undefined;
      if (literal === undefined) {
        reader.problems.push({
          path: "--time-filter",
          message: "problem" in name && column.trim() !== ""
            ? name.problem
            : column.trim() === ""
            ? `${quotedPattern(text)} has an empty column name`
            : `${quotedPattern(column)} cannot contain a wildcard: name one column`,
        });
      } else {
        reader.timeFilter(
          { table: readRulePattern(table), column: literal, last },
          { origin: origin("--time-filter") },
        );
      }
    }
  }
  return reader.done();
}

/** Problems that do not depend on the source's tables. */
function structuralProblems(
  { include, exclude, rows }: Omit<TableRules, "now">,
): readonly Problem[] {
  const problems: Problem[] = [];
  const canMeet = (a: TableChoice) => (b: TableChoice) =>
    a.within === undefined || b.within === undefined || a.within === b.within;
  const clash = exclude.find((choice) => include.some(canMeet(choice)));
  if (clash !== undefined) {
    problems.push({
      path: clash.origin.path,
      message: `cannot be combined with ${
        include.find(canMeet(clash))!.origin.path
      }: use either include or exclude`,
    });
  }
  const seen = new Map<string, RuleOrigin>();
  for (const { kind, pattern, origin } of rows) {
    const key = JSON.stringify([kind, pattern.database ?? null, pattern.schema, pattern.table]);
    const earlier = seen.get(key);
    if (earlier !== undefined) {
      problems.push({
        path: origin.path,
        message: `is a duplicate: this table already has ${describeKind(kind)}` +
          (earlier.path === origin.path ? "" : ` (${earlier.path})`),
      });
    } else seen.set(key, origin);
  }
  return problems;
}

/** A kind of rule for messages. */
export function describeKind(kind: RowRule["kind"]): string {
  return {
    "schema-only": "a schema-only rule",
    "table-filter": "a table filter",
    "time-filter": "a time filter",
  }[kind];
}

/**
 * Lets flags override the file. Either of `--include-tables` and `--exclude-tables` replaces both
 * of the file's lists. Row rules are kept side by side; for tables that a flag names only the flags
 * apply (see `decideTables`).
 */
export function mergeRules(
  flags: Omit<TableRules, "now">,
  file: Omit<TableRules, "now">,
): Omit<TableRules, "now"> {
  const chosen = flags.include.length + flags.exclude.length > 0 ? flags : file;
  return {
    include: chosen.include,
    exclude: chosen.exclude,
    rows: [...flags.rows, ...file.rows],
  };
}
