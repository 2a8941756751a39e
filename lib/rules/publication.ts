/**
 * Whether a publication could filter by a predicate: what `sync` asks for on top of what a copy
 * does.
 *
 * Source: PostgreSQL documentation, "CREATE PUBLICATION" (row filters, since version 15).
 *
 * @module
 */

/** How often the server may ask a function again for the same arguments. */
export type Volatility = "immutable" | "stable" | "volatile";

/** What the source's server says about a predicate. */
export interface PredicateFacts {
  readonly functions: readonly { readonly name: string; readonly volatility: Volatility }[];
  /** Columns of the table that it mentions. */
  readonly columns: readonly string[];
  readonly hasSubquery: boolean;
  /** Rows that the planner expects, of all rows that it expects. */
  readonly estimate: { readonly rows: number; readonly of: number };
}

/** What a table has to tell its rows apart for replicated UPDATE and DELETE. */
export interface IdentityFacts {
  /** Columns of the replica identity; undefined: all of them (FULL). */
  readonly columns: readonly string[] | undefined;
}

/** Why a publication of this server cannot filter by the predicate; empty when it can. */
export function publicationProblems(
  facts: PredicateFacts,
  { identity, sourceMajor }: { readonly identity: IdentityFacts; readonly sourceMajor: number },
): readonly string[] {
  const mutable = facts.functions.filter(({ volatility }) => volatility !== "immutable");
  const { columns } = identity;
  const uncovered = columns === undefined
    ? []
    : facts.columns.filter((column) => !columns.includes(column));
  return [
    ...(sourceMajor < 15
      ? [`PostgreSQL ${sourceMajor} cannot filter the rows of a publication: that came with 15`]
      : []),
    ...(facts.hasSubquery ? ["a publication's filter cannot have a subquery"] : []),
    ...mutable.map(({ name, volatility }) =>
      `${name} is ${volatility}; a publication's filter takes immutable functions only`
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
