/**
 * Compares two databases in plain SQL, without using any code of the product.
 *
 * @module
 */
import postgres from "postgres";
import { contentOf, sequenceValues, type StoredRelation, storedRelations } from "./content.ts";
import { DATABASE } from "./database.ts";
import type { FactQuery, Versions } from "./fact.ts";
import { PROGRAMS } from "./programs.ts";
import { RELATIONS } from "./relations.ts";
import { ROLES } from "./roles.ts";

/** One difference between the sides. */
export interface Difference {
  /** Such as `table content`, `sequence value`, `relation`, `comment`. */
  readonly kind: string;
  /** The object, without quotes. */
  readonly name: string;
  /** The property; "existence" if the object is missing on one side. */
  readonly property: string;
  readonly source: unknown;
  readonly target: unknown;
}

/** What {@linkcode compareDatabases} ignores. */
export interface CompareOptions {
  /** Each is tested against `<kind> <name> <property>`; a string must be the kind. */
  readonly ignore?: readonly (string | RegExp)[];
}

/** Settings that affect the text form of values. */
const SETTINGS = {
  application_name: "comparison",
  TimeZone: "UTC",
  DateStyle: "ISO, MDY",
  IntervalStyle: "postgres",
  extra_float_digits: "3",
  bytea_output: "hex",
  xmlbinary: "base64",
  lc_monetary: "C",
  lc_numeric: "C",
  search_path: "pg_catalog",
  row_security: "off",
  statement_timeout: 0,
  idle_in_transaction_session_timeout: 0,
  quote_all_identifiers: "off",
  jit: "off",
};

/**
 * Compares two databases: all rows (in any order), sequence values, large objects, and every object
 * with its definition, owner, privileges, comment and state. Objects are matched by name.
 * Publications and subscriptions are not compared, nor statistics. Text that the server formats
 * differently between versions (views, rules, bodies) is compared only between servers of the same
 * major version.
 *
 * The URLs must be those of a superuser. Takes about as long as reading every row. An empty list
 * means equal.
 *
 * Requires `--allow-net` to both servers and `--allow-env`.
 */
export async function compareDatabases(
  sourceUrl: string,
  targetUrl: string,
  options: CompareOptions = {},
): Promise<Difference[]> {
  return await withBoth(sourceUrl, targetUrl, async (source, target, versions) => [
    ...await compareFacts(source, target, [...DATABASE, ...RELATIONS, ...PROGRAMS], versions),
    ...await compareSequences(source, target),
    ...await compareContents(source, target),
  ], options);
}

/**
 * Compares the roles of two servers: attributes, passwords, settings, memberships, comments. URLs
 * as {@linkcode compareDatabases}.
 */
export async function compareRoles(
  sourceUrl: string,
  targetUrl: string,
  options: CompareOptions = {},
): Promise<Difference[]> {
  return await withBoth(
    sourceUrl,
    targetUrl,
    (source, target, versions) => compareFacts(source, target, ROLES, versions),
    options,
  );
}

/** Formats differences, one per line. */
export function describe(differences: readonly Difference[]): string {
  return differences.map(({ kind, name, property, source, target }) =>
    `${kind} ${name}: ${property} is ${JSON.stringify(source)} on the source, ${
      JSON.stringify(target)
    } on the target`
  ).join("\n");
}

type Comparison = (
  source: postgres.Sql,
  target: postgres.Sql,
  versions: Versions,
) => Promise<Difference[]>;

async function withBoth(
  sourceUrl: string,
  targetUrl: string,
  compare: Comparison,
  options: CompareOptions,
): Promise<Difference[]> {
  const [source, target] = [sourceUrl, targetUrl].map((url) =>
    postgres(url, {
      database: decodeURIComponent(new URL(url).pathname.slice(1)), // the driver does not decode it
      max: 1,
      fetch_types: false,
      prepare: false,
      onnotice: () => {},
      connection: SETTINGS,
    })
  ) as [postgres.Sql, postgres.Sql];
  try {
    const [one, other] = await Promise.all([majorOf(source), majorOf(target)]);
    const versions = { oldest: Math.min(one, other), same: one === other };
    const found = await compare(source, target, versions);
    return found.filter((each) => !isIgnored(each, options.ignore ?? []));
  } finally {
    await Promise.all([source.end({ timeout: 1 }), target.end({ timeout: 1 })]);
  }
}

async function majorOf(session: postgres.Sql): Promise<number> {
  const [row] = await session<{ version: string }[]>`
    SELECT current_setting('server_version_num') AS version`;
  return Math.floor(Number(row?.version) / 10000);
}

function isIgnored(difference: Difference, ignore: readonly (string | RegExp)[]): boolean {
  const text = `${difference.kind} ${difference.name} ${difference.property}`;
  return ignore.some((each) =>
    typeof each === "string" ? each === difference.kind : each.test(text)
  );
}

async function compareFacts(
  source: postgres.Sql,
  target: postgres.Sql,
  queries: readonly FactQuery[],
  versions: Versions,
): Promise<Difference[]> {
  const found: Difference[] = [];
  for (const { kind, sql } of queries) {
    const [here, there] = await Promise.all([source, target].map(async (session) => {
      const rows = await session.unsafe<Record<string, unknown>[]>(sql(versions)).simple();
      const facts = new Map(rows.map((row) => [String(row.name), row]));
      if (facts.size < rows.length) {
        const names = rows.map((row) => String(row.name));
        const twice = names.find((name, index) => names.indexOf(name) !== index);
        throw new Error(`The query of "${kind}" gives the name ${twice} twice`);
      }
      return facts;
    })) as [Map<string, Record<string, unknown>>, Map<string, Record<string, unknown>>];
    for (const name of [...new Set([...here.keys(), ...there.keys()])].sort()) {
      found.push(...compareRows(kind, name, here.get(name), there.get(name)));
    }
  }
  return found;
}

function compareRows(
  kind: string,
  name: string,
  here: Record<string, unknown> | undefined,
  there: Record<string, unknown> | undefined,
): Difference[] {
  if (!here || !there) {
    return [{ kind, name, property: "existence", source: !!here, target: !!there }];
  }
  return Object.keys(here)
    .filter((property) => JSON.stringify(here[property]) !== JSON.stringify(there[property]))
    .map((property) => ({
      kind,
      name,
      property,
      source: here[property],
      target: there[property],
    }));
}

async function compareSequences(
  source: postgres.Sql,
  target: postgres.Sql,
): Promise<Difference[]> {
  const [here, there] = await Promise.all([sequenceValues(source), sequenceValues(target)]);
  return [...here].filter(([name, value]) => there.has(name) && there.get(name) !== value)
    .map(([name, value]) => ({
      kind: "sequence value",
      name,
      property: "last_value, is_called",
      source: value,
      target: there.get(name),
    }));
}

/** Skips relations missing on one side, which are already reported. */
async function compareContents(source: postgres.Sql, target: postgres.Sql): Promise<Difference[]> {
  const [here, there] = await Promise.all([storedRelations(source), storedRelations(target)]);
  const byName = new Map(there.map((each) => [`${each.schema}.${each.name}`, each]));
  const found: Difference[] = [];
  for (const relation of here) {
    const name = `${relation.schema}.${relation.name}`;
    const twin = byName.get(name);
    if (!twin) continue;
    const [left, right] = await contents(source, target, relation, twin);
    for (const property of ["rows", "checksum"] as const) {
      if (left[property] !== right[property]) {
        const kind = "table content";
        found.push({ kind, name, property, source: left[property], target: right[property] });
      }
    }
  }
  return found;
}

async function contents(
  source: postgres.Sql,
  target: postgres.Sql,
  here: StoredRelation,
  there: StoredRelation,
) {
  for (const method of ["row", "columns"] as const) {
    const [left, right] = await Promise.all([
      contentOf(source, here, method),
      contentOf(target, there, method),
    ]);
    if (left && right) return [left, right] as const;
  }
  throw new Error(`${here.schema}.${here.name} cannot be read`);
}
