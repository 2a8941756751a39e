/**
 * What one stream replicates: one database of the source to one of the target, under the rules for
 * its tables.
 *
 * @module
 */
import {
  fingerprintScope,
  literalOf,
  noTableRules,
  printPattern,
  printTimeWindow,
  readRulePattern,
  type RuleOrigin,
  type TableRules,
} from "../../rules/internal.ts";

/** A database, identified independently of addresses and users. */
export interface DatabaseRef {
  /** The server's `system_identifier`, or its address where the role may not read that. */
  readonly system: string;
  /** Database name, unquoted. */
  readonly database: string;
}

/** Source, target, and the rules for what is replicated. */
export interface ReplicationScope {
  readonly source: DatabaseRef;
  readonly target: DatabaseRef;
  readonly rules: TableRules;
}

/** The rules that may apply to tables of one database. */
function rulesOfDatabase(rules: TableRules, database: string): TableRules {
  const concerns = (within: string | undefined) => within === undefined || within === database;
  const named = (pattern: TableRules["exclude"][number]["pattern"]) =>
    pattern.database === undefined ? undefined : literalOf(pattern.database);
  return {
    include: rules.include.filter(({ pattern, within }) =>
      concerns(within) && concerns(named(pattern))
    ),
    exclude: rules.exclude.filter(({ pattern, within }) =>
      concerns(within) && concerns(named(pattern))
    ),
    rows: rules.rows.filter(({ pattern }) => concerns(named(pattern))),
    now: rules.now,
  };
}

/** The fingerprint of the rules for this database, independent of other databases of the run. */
export async function tableFingerprint(
  { source, target, rules }: ReplicationScope,
): Promise<string> {
  return await fingerprintScope({
    databases: { [source.database]: target.database },
    rules: rulesOfDatabase(rules, source.database),
  });
}

/**
 * The rules in words, one line each, sorted: shown where two scopes differ. A predicate may be
 * confidential and appears only as a digest.
 */
export async function describeScopeRules(
  { source, rules }: Pick<ReplicationScope, "source" | "rules">,
): Promise<readonly string[]> {
  const { include, exclude, rows } = rulesOfDatabase(rules, source.database);
  const lines = [
    ...include.map(({ pattern }) => `only ${printPattern(pattern)}`),
    ...exclude.map(({ pattern }) => `without ${printPattern(pattern)}`),
  ];
  for (const rule of rows) {
    const table = printPattern(rule.pattern);
    switch (rule.kind) {
      case "schema-only":
        lines.push(`${table}: structure only`);
        break;
      case "time-filter":
        lines.push(`${table}: last ${printTimeWindow(rule.window)} by ${rule.column}`);
        break;
      case "table-filter":
        lines.push(`${table}: rows by predicate ${await digest(rule.predicate)}`);
    }
  }
  return [...new Set(lines)].sort();
}

/**
 * The rules behind the words of {@linkcode describeScopeRules}, as far as they decide which tables
 * have rows. Which rows of a table are replicated is not in the words.
 */
export function rulesFromWords(words: readonly string[]): TableRules {
  const origin: RuleOrigin = { from: "flag", path: "recorded rules" };
  const include: TableRules["include"][number][] = [];
  const exclude: TableRules["exclude"][number][] = [];
  const rows: TableRules["rows"][number][] = [];
  for (const word of words) {
    const [, what, text] = /^(only|without) (.*)$/s.exec(word) ?? [];
    const [, structure] = /^(.*): structure only$/s.exec(word) ?? [];
    const reading = readRulePattern(text ?? structure ?? "");
    if ("problem" in reading) continue;
    const pattern = reading.value;
    if (what === "only") include.push({ pattern, origin });
    else if (what === "without") exclude.push({ pattern, origin });
    else rows.push({ pattern, origin, kind: "schema-only" });
  }
  return { include, exclude, rows, now: noTableRules.now };
}

async function digest(text: string): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(bytes).toHex().slice(0, 8);
}
