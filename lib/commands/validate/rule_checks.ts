import { displayName, plural, tableKey } from "../../core/internal.ts";
import { type IdentityFacts, publicationProblems } from "../../rules/internal.ts";
import type { Check } from "../shared/validation_report.ts";
import { countOutcomes, type DatabaseScope, scopeNotes } from "../shared/table_scope.ts";
import { failIf, listNames, pass, warn } from "./check.ts";

/** The effect of the rules on a database, and its consequences. */
export function checkRules(
  scope: DatabaseScope,
  { forSync, sourceMajor, identities, isFilteredHere }: {
    readonly forSync: boolean;
    readonly sourceMajor: number;
    /** Whether the tool applies the changes, and filters them. */
    readonly isFilteredHere: boolean;
    /** Replica identities of the filtered tables, by `tableKey`. */
    readonly identities: ReadonlyMap<string, IdentityFacts>;
  },
): readonly Check[] {
  const about = (id: string) => ({ id, side: "source", database: scope.database }) as const;
  const notes = scopeNotes(scope);
  return [
    pass(about("table-rules"), countOutcomes(scope)),
    ...(notes.length === 0 ? [] : [
      warn(about("table-rules-consequences"), {
        finding: listNames(notes),
        fix:
          "include the tables that they need (--schema-only-tables copies no rows), or accept this",
      }),
    ]),
    ...checkNames(scope),
    ...checkVolatility(scope),
    ...(forSync ? checkPublishable(scope, { sourceMajor, identities, isFilteredHere }) : []),
  ];
}

/** A value of `regclass` names a relation; without that relation, the row cannot be copied. */
function checkNames({ database, scope, consequences }: DatabaseScope): readonly Check[] {
  if (consequences.relations.length === 0) return [];
  const found = scope.tables.filter(({ table }) => scope.hasRows(table)).flatMap(({ table }) =>
    table.columns.filter(({ type }) => /^reg(?:class|type|proc|procedure)(?:\[\])?$/.test(type))
      .map(({ name }) => `${displayName(table)}.${name}`)
  );
  if (found.length === 0) return [];
  return [
    warn({ id: "table-rules-names", side: "source", database }, {
      finding: `${
        plural(found.length, "column holds", "columns hold")
      } names of objects, and rows that name an excluded object cannot be copied: ${
        listNames(found)
      }`,
      fix: "exclude such rows with --table-filter, or include the objects that they name",
    }),
  ];
}

function checkVolatility({ database, scope, predicates }: DatabaseScope): readonly Check[] {
  const found = scope.tables.flatMap(({ table }) => {
    const volatile = predicates.get(tableKey(table))?.functions
      .filter(({ volatility }) => volatility === "volatile") ?? [];
    return volatile.length === 0
      ? []
      : [`${displayName(table)}: ${volatile.map(({ name }) => name).join(", ")}`];
  });
  if (found.length === 0) return [];
  return [
    warn({ id: "predicate-volatility", side: "source", database }, {
      finding: `${
        plural(found.length, "predicate")
      } may use volatile functions, whose results can vary: ${listNames(found)}`,
      fix:
        "use a condition on the row alone; otherwise later phases may see different rows than the copy",
    }),
  ];
}

function checkPublishable(
  { database, scope, predicates }: DatabaseScope,
  { sourceMajor, identities, isFilteredHere }: {
    readonly sourceMajor: number;
    readonly isFilteredHere: boolean;
    readonly identities: ReadonlyMap<string, IdentityFacts>;
  },
): readonly Check[] {
  const problems = scope.tables.flatMap(({ table }) => {
    const key = tableKey(table);
    const facts = predicates.get(key);
    if (facts === undefined) return [];
    const identity = identities.get(key) ?? { columns: [] };
    return publicationProblems(facts, { identity, sourceMajor, isFilteredHere })
      .map((problem) => `${displayName(table)}: ${problem}`);
  });
  if (problems.length === 0) return [];
  return [failIf(true, { id: "predicate-publishable", side: "source", database }, {
    finding: `changes cannot be filtered like the copy: ${listNames(problems)}`,
    fix: "change the predicates or the replica identities, or copy these tables whole",
  })];
}
