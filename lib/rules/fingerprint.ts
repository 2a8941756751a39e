/**
 * One short text for the scope of a run: equal for equal scopes, different for different ones.
 *
 * @module
 */
import { type PartPattern, patternsOverlap, type TablePattern } from "./name_pattern.ts";
import type { RowRule, TableRules } from "./table_rules.ts";

/** What a run moves. */
export interface RuleScope {
  /** Source name → target name, of all databases of the run. */
  readonly databases: Readonly<Record<string, string>>;
  readonly rules: Omit<TableRules, "now">;
}

/**
 * SHA-256 over the canonical form, as hexadecimal digits.
 *
 * Order, origin and spelling of rules do not count (`12 months` is `1 year`); databases, schemas,
 * tables and predicates do. Of a time window its length counts and not the moment it reaches back
 * from: a run that goes on after an interruption has the moment that it began with.
 */
export async function fingerprintScope(scope: RuleScope): Promise<string> {
  const bytes = new TextEncoder().encode(canonicalScope(scope));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** The text that the fingerprint is made of. */
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
 * A rule of the file, with the flags that silence it for some tables; for the same tables it does
 * not count at all.
 */
function canonicalRows(rules: readonly RowRule[]): readonly unknown[] {
  const key = ({ pattern }: RowRule) => JSON.stringify(canonicalPattern(pattern));
  const flags = rules.filter(({ origin }) => origin.from === "flag");
  const silent = new Set(flags.map(key));
  return rules.flatMap((rule) => {
    if (rule.origin.from === "flag") return [canonicalRule(rule)];
    if (silent.has(key(rule))) return [];
    const silencedBy = new Set(
      flags.filter(({ pattern }) => patternsOverlap(pattern, rule.pattern)).map(key),
    );
    return [
      silencedBy.size === 0 ? canonicalRule(rule) : [canonicalRule(rule), [...silencedBy].sort()],
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
