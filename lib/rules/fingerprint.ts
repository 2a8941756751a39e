/**
 * The fingerprint of a run's scope: equal for equal scopes, different for different ones.
 *
 * @module
 */
import { type PartPattern, patternsOverlap, type TablePattern } from "./name_pattern.ts";
import type { RowRule, TableRules } from "./table_rules.ts";

/** What a run copies. */
export interface RuleScope {
  /** Source name → target name, for all databases of the run. */
  readonly databases: Readonly<Record<string, string>>;
  /** Rules for tables and rows, without the end of time windows. */
  readonly rules: Omit<TableRules, "now">;
}

/**
 * SHA-256 over the canonical form, as hexadecimal digits. Order, origin and spelling of rules are
 * ignored (`12 months` equals `1 year`); databases, schemas, tables and predicates count. Of a time
 * window only the length counts: a resumed run keeps the time that it started with.
 */
export async function fingerprintScope(scope: RuleScope): Promise<string> {
  const bytes = new TextEncoder().encode(canonicalScope(scope));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** The text that is hashed. */
export function canonicalScope({ databases, rules }: RuleScope): string {
  const sorted = (values: readonly unknown[]) =>
    [...new Set(values.map((value) => JSON.stringify(value)))].sort();
  return JSON.stringify([
    "scope 1",
    sorted(Object.entries(databases)),
    sorted(
      rules.include.map((
        { pattern, within },
      ) => [...canonicalPattern(pattern), ...(within === undefined ? [] : [within])]),
    ),
    sorted(rules.exclude.map(({ pattern }) => canonicalPattern(pattern))),
    sorted(canonicalRows(rules.rows)),
  ]);
}

/**
 * A rule of the file is kept with the flags that override it for some tables, and dropped when they
 * override it for all of its tables.
 */
function canonicalRows(rules: readonly RowRule[]): readonly unknown[] {
  const key = ({ pattern }: RowRule) => JSON.stringify(canonicalPattern(pattern));
  const flags = rules.filter(({ origin }) => origin.from === "flag");
  const overridden = new Set(flags.map(key));
  return rules.flatMap((rule) => {
    if (rule.origin.from === "flag") return [canonicalRule(rule)];
    if (overridden.has(key(rule))) return [];
    const overriddenBy = new Set(
      flags.filter(({ pattern }) => patternsOverlap(pattern, rule.pattern)).map(key),
    );
    return [
      overriddenBy.size === 0
        ? canonicalRule(rule)
        : [canonicalRule(rule), [...overriddenBy].sort()],
    ];
  });
}

function canonicalPattern(
  { database, schema, table }: TablePattern,
): readonly (PartPattern | null)[] {
  return [database ?? null, schema, table];
}

function canonicalRule(rule: RowRule): readonly unknown[] {
  const pattern = canonicalPattern(rule.pattern);
  switch (rule.kind) {
    case "schema-only":
      return [rule.kind, pattern];
    case "table-filter":
      return [rule.kind, pattern, rule.predicate];
    case "time-filter":
      return [rule.kind, pattern, rule.column, rule.window.months, rule.window.seconds];
  }
}
