/**
 * Whether a predicate can be a publication's row filter, which replication requires in addition to
 * the copy. Pure.
 *
 * Source: PostgreSQL documentation, "CREATE PUBLICATION" (row filters, since version 15).
 *
 * @module
 */

/** PostgreSQL's volatility categories of functions. */
export type Volatility = "immutable" | "stable" | "volatile";

/** What the source server reports about a predicate. */
export interface PredicateFacts {
  readonly functions: readonly { readonly name: string; readonly volatility: Volatility }[];
  /** Columns of the table that it mentions. */
  readonly columns: readonly string[];
  /** System columns that it mentions, such as `ctid`. */
  readonly systemColumns: readonly string[];
  readonly hasSubquery: boolean;
  /** Estimated rows that satisfy it, of all estimated rows. */
  readonly estimate: { readonly rows: number; readonly of: number };
}

/** A table's replica identity. */
export interface IdentityFacts {
  /** Columns of the replica identity; undefined: all of them (FULL). */
  readonly columns: readonly string[] | undefined;
}

/** Why a publication of this server cannot use the predicate; empty when it can. */
export function publicationProblems(
  facts: PredicateFacts,
  { identity, sourceMajor, isFilteredHere = false }: {
    readonly identity: IdentityFacts;
    readonly sourceMajor: number;
    /** Whether the tool filters what an older source sends. */
    readonly isFilteredHere?: boolean;
  },
): readonly string[] {
  const mutable = facts.functions.filter(({ volatility }) => volatility !== "immutable");
  const { columns } = identity;
  const uncovered = columns === undefined
    ? []
    : facts.columns.filter((column) => !columns.includes(column));
  return [
    ...(sourceMajor < 15 && !isFilteredHere
      ? [
        `PostgreSQL ${sourceMajor} cannot filter the rows of a publication: row filters require 15, or --apply-from here`,
      ]
      : []),
    ...(facts.hasSubquery ? ["a publication's row filter cannot contain a subquery"] : []),
    ...facts.systemColumns.map((name) =>
      `a publication's row filter cannot use the system column ${name}`
    ),
    ...mutable.map(({ name, volatility }) =>
      `${name} is ${volatility}; a publication's row filter allows only immutable functions`
    ),
    ...(uncovered.length > 0
      ? [
        `the replica identity does not cover ${
          uncovered.join(", ")
        }: UPDATE and DELETE on the source would fail`,
      ]
      : []),
  ];
}
