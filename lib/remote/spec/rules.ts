import type { Problem } from "../../core/internal.ts";
import {
  printPattern,
  printTimeWindow,
  readRulePattern,
  type RuleOrigin,
  RuleReader,
  type RulesReading,
  type TableChoice,
  type TableRules,
} from "../../rules/internal.ts";
import type { JobRules, JobSpecInput } from "./job.ts";

/** Parses the rules of a job; returns all of their problems. */
export function readJobRules(rules: JobRules): RulesReading {
  const reader = new RuleReader();
  for (const what of ["include", "exclude"] as const) {
    for (const [index, choice] of rules[`${what}_tables`].entries()) {
      const origin: RuleOrigin = { from: "flag", path: `rules.${what}_tables[${index}]` };
      if (typeof choice === "string") reader.choice(what, choice, { origin });
      else {
        reader.choice(what, choice.table, {
          origin: { ...origin, from: "file" },
          database: choice.database,
        });
      }
    }
  }
  for (const [index, rule] of rules.schema_only.entries()) {
    const { table, origin } = typeof rule === "string"
      ? { table: rule, origin: "flag" } as const
      : rule;
    reader.schemaOnly(table, { origin: { from: origin, path: `rules.schema_only[${index}]` } });
  }
  for (const [index, { table, where, origin }] of rules.table_filters.entries()) {
    reader.tableFilter({ table: readRulePattern(table), where }, {
      origin: { from: origin, path: `rules.table_filters[${index}]` },
    });
  }
  for (const [index, { table, column, last, origin }] of rules.time_filters.entries()) {
    reader.timeFilter({ table: readRulePattern(table), column, last }, {
      origin: { from: origin, path: `rules.time_filters[${index}]` },
    });
  }
  const { rules: read, problems } = reader.done();
  return { rules: read, problems: problems.map(withoutValues) };
}

/** Removes values from problems of conditions, which may be confidential. */
function withoutValues({ path, message }: Problem): Problem {
  return path.startsWith("rules.table_filters") && !/is a duplicate/.test(message)
    ? { path, message: message.replace(/"[^"]*"|'[^']*'/g, "…") }
    : { path, message };
}

/** Writes rules for a job; {@linkcode readJobRules} parses them to the same rules. */
export function writeJobRules(
  { include, exclude, rows, now }: TableRules,
): NonNullable<JobSpecInput["rules"]> {
  const choice = ({ pattern, within }: TableChoice) =>
    within === undefined
      ? printPattern(pattern)
      : { table: printPattern({ ...pattern, database: undefined }), database: within };
  const of = <Kind extends TableRules["rows"][number]["kind"]>(kind: Kind) =>
    rows.filter((rule): rule is Extract<TableRules["rows"][number], { kind: Kind }> =>
      rule.kind === kind
    );
  return {
    include_tables: include.map(choice),
    exclude_tables: exclude.map(choice),
    schema_only: of("schema-only").map(({ pattern, origin }) => ({
      table: printPattern(pattern),
      origin: origin.from,
    })),
    table_filters: of("table-filter").map(({ pattern, predicate, origin }) => ({
      table: printPattern(pattern),
      where: predicate,
      origin: origin.from,
    })),
    time_filters: of("time-filter").map(({ pattern, column, window, origin }) => ({
      table: printPattern(pattern),
      column,
      last: printTimeWindow(window),
      origin: origin.from,
    })),
    now,
  };
}
