/** Random names, rules and databases, for the tests of this folder. */
import fc from "fast-check";
import type { SourceDatabase, SourceTable } from "../../lib/rules/source_tables.ts";
import type { PartPattern, TablePattern } from "../../lib/rules/name_pattern.ts";
import type { RowRule, TableRules } from "../../lib/rules/table_rules.ts";

const shortEnough = (text: string) => new TextEncoder().encode(text).length <= 63;

/** Any legal identifier, often a nasty one. */
export const identifiers = fc.oneof(
  fc.string({ minLength: 1, maxLength: 12, unit: fc.constantFrom(..."aA.*\" ,:=é日$-_;'\\\n") }),
  fc.string({ minLength: 1, maxLength: 20, unit: "grapheme" }),
).filter((name) => !name.includes("\0") && shortEnough(name));

/** A part of a pattern, with or without wildcards. */
export const parts: fc.Arbitrary<PartPattern> = fc.oneof(
  identifiers.map((name) => [name]),
  fc.tuple(
    fc.constantFrom("", "a", "A.", '"', "*"),
    fc.array(fc.constantFrom("b", ".", '"', "é*"), { maxLength: 2 }),
    fc.constantFrom("", "c", " "),
  ).map(([first, middle, last]) => [first, ...middle, last]),
);

/** Any filter pattern. */
export const filterPatterns: fc.Arbitrary<TablePattern> = fc.record({
  database: parts,
  schema: parts,
  table: parts,
}, { noNullPrototype: true });

const fewNames = fc.constantFrom("a", "b", "ab", "public", "A");
const fewParts: fc.Arbitrary<PartPattern> = fc.oneof(
  fewNames.map((name) => [name]),
  fc.constantFrom(["", ""], ["a", ""], ["", "b"]),
);
const fewPatterns: fc.Arbitrary<TablePattern> = fc.record({
  database: fc.option(fewParts, { nil: undefined }),
  schema: fewParts,
  table: fewParts,
});
const origins = fc.constantFrom(
  { from: "flag", path: "--flag" } as const,
  { from: "file", path: "file:1" } as const,
);
const choices = fc.record({ pattern: fewPatterns, origin: origins });
const rowRules: fc.Arbitrary<RowRule> = fc.oneof(
  fc.record({ kind: fc.constant("schema-only" as const), pattern: fewPatterns, origin: origins }),
  fc.record({
    kind: fc.constant("table-filter" as const),
    pattern: fewPatterns,
    predicate: fc.constantFrom("a > 1", "a > 2"),
    origin: origins,
  }),
  fc.record({
    kind: fc.constant("time-filter" as const),
    pattern: fewPatterns,
    column: fc.constantFrom("at", "day"),
    window: fc.constantFrom({ months: 6, seconds: 0 }, { months: 0, seconds: 60 }),
    origin: origins,
  }),
);

/** Rules over few names, so that they match tables and each other. */
export const arbitraryRules: fc.Arbitrary<TableRules> = fc.oneof(
  fc.record({ include: fc.array(choices, { maxLength: 3 }), exclude: fc.constant([]) }),
  fc.record({ include: fc.constant([]), exclude: fc.array(choices, { maxLength: 3 }) }),
).chain((chosen) =>
  fc.record({
    include: fc.constant(chosen.include),
    exclude: fc.constant(chosen.exclude),
    rows: fc.array(rowRules, { maxLength: 4 }),
    now: fc.constant("2025-08-31T12:00:00.000Z"),
  })
);

/** A database whose tables have earlier tables as parents. */
export const databases: fc.Arbitrary<SourceDatabase> = fc.record({
  name: fewNames,
  names: fc.uniqueArray(fc.record({ schema: fewNames, name: fewNames }), {
    minLength: 1,
    maxLength: 10,
    selector: ({ schema, name }) => JSON.stringify([schema, name]),
  }),
  links: fc.array(fc.record({ from: fc.nat(9), to: fc.nat(9) }), { maxLength: 8 }),
  kinds: fc.array(fc.constantFrom("table" as const, "partitioned" as const, "foreign" as const), {
    minLength: 10,
    maxLength: 10,
  }),
}).map(({ name, names, links, kinds }) => ({
  name,
  tables: names.map((table, index): SourceTable => ({
    ...table,
    kind: kinds[index] ?? "table",
    parents: links.filter(({ from, to }) => from === index && to < index)
      .map(({ to }) => names[to]!),
    isPartition: false,
    needs: [],
    extension: undefined,
    isExtensionConfiguration: false,
    columns: [],
  })),
  foreignKeys: [],
  dependents: [],
}));
