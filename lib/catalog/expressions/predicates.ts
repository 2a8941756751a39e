/**
 * Lets the source server check the predicates of table rules.
 *
 * @module
 */
import { quoteQualified, type TableName } from "../../core/internal.ts";
import { ServerError, type Session, SqlState, textArray } from "../../postgres/internal.ts";
import { planningHazardOf } from "./planning_hazards.ts";
import {
  type IdentityFacts,
  inParentheses,
  type PredicateFacts,
  type SourceTable,
  type Volatility,
  wordsOf,
} from "../../rules/internal.ts";

/** What the server reports about a predicate, or why it rejects it. */
export type PredicateAnswer =
  | { readonly facts: PredicateFacts }
  | { readonly problem: string; readonly remedy: string | undefined };

/**
 * Lets the server plan a query with the predicate in a read-only transaction that is rolled back.
 * The query is sent with the extended protocol, which allows only one statement; nothing is
 * executed.
 */
export async function checkPredicate(
  session: Session,
  { table, predicate }: { readonly table: SourceTable; readonly predicate: string },
): Promise<PredicateAnswer> {
  const hazard = await planningHazardOf(session, table);
  if (hazard !== undefined) {
    return {
      problem:
        `any query of this table runs a function of another role with the privileges of ${session.endpoint.user}: ${hazard}`,
      remedy:
        "copy the table without a filter, drop the index or statistics object, or connect as the function's owner",
    };
  }
  const from = `SELECT FROM ONLY ${quoteQualified(table.schema, table.name)}`;
  await session.execute("BEGIN READ ONLY");
  try {
    const rows = await plannedRows(
      session,
      `${from} WHERE $1::boolean AND ${inParentheses(predicate)}`,
    );
    const all = await plannedRows(session, `${from} WHERE $1::boolean`);
    const words = wordsOf(predicate);
    return {
      facts: {
        functions: await volatilities(session, predicate),
        columns: table.columns.map(({ name }) => name).filter((name) =>
          words.identifiers.includes(name)
        ),
        systemColumns: systemColumns.filter((name) => words.identifiers.includes(name)),
        hasSubquery: words.hasSubquery,
        estimate: { rows: Math.min(rows, all), of: all },
      },
    };
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    return { problem: error.serverMessage.message, remedy: predicateRemedy(error) };
  } finally {
    // if ROLLBACK fails, the connection is lost
    await session.execute("ROLLBACK").catch(() => {});
  }
}

/** A user's column cannot have such a name. */
const systemColumns: readonly string[] = ["tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"];

async function plannedRows(session: Session, query: string): Promise<number> {
  const row = await session.queryOne<{ readonly "QUERY PLAN": unknown }>(
    `EXPLAIN (FORMAT JSON) ${query}`,
    [true],
    { extended: true },
  );
  const plans =
    (typeof row["QUERY PLAN"] === "string"
      ? JSON.parse(row["QUERY PLAN"])
      : row["QUERY PLAN"]) as readonly { readonly Plan: { readonly "Plan Rows": number } }[];
  return plans[0]?.Plan["Plan Rows"] ?? 0;
}

// of overloaded functions the most volatile one counts, since only the parser resolves overloading
const volatilityStatement = `
  SELECT pg_catalog.format('%s', p.proname) AS name,
         CASE pg_catalog.min(CASE p.provolatile WHEN 'v' THEN 1 WHEN 's' THEN 2 ELSE 3 END)
              WHEN 1 THEN 'volatile' WHEN 2 THEN 'stable' ELSE 'immutable' END AS volatility
    FROM unnest($1::pg_catalog.text[], $2::pg_catalog.text[]) AS wanted (schema, name)
    JOIN pg_catalog.pg_proc AS p ON p.proname = wanted.name
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace AND n.nspname = wanted.schema
   GROUP BY p.proname
   ORDER BY p.proname COLLATE pg_catalog."C"`;

async function volatilities(
  session: Session,
  predicate: string,
): Promise<PredicateFacts["functions"]> {
  const { calls, valueFunctions } = wordsOf(predicate);
  const found = calls.length === 0
    ? []
    : await session.query<{ name: string; volatility: Volatility }>(
      volatilityStatement,
      [
        textArray(calls.map(({ schema }) => schema ?? "pg_catalog")),
        textArray(calls.map(({ name }) => name)),
      ],
    );
  return [
    ...found.map(({ name, volatility }) => ({ name, volatility })),
    ...valueFunctions.map((name) => ({ name: name.toUpperCase(), volatility: "stable" as const })),
  ];
}

const unqualified: ReadonlySet<string> = new Set([
  SqlState.undefinedTable,
  SqlState.undefinedFunction,
  SqlState.undefinedObject,
]);

function predicateRemedy({ sqlState, serverMessage: { hint } }: ServerError): string | undefined {
  if (!unqualified.has(sqlState)) return hint;
  return "qualify all names except the table's own columns with their schema, such as public.users" +
    (hint === undefined ? "" : `; hint from the server: ${hint}`);
}

const identityStatement = `
  SELECT c.relreplident = 'f' AS is_full,
         coalesce((SELECT pg_catalog.json_agg(a.attname ORDER BY a.attnum)
                     FROM pg_catalog.pg_index AS i
                     JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
                    WHERE i.indrelid = c.oid
                      AND CASE c.relreplident WHEN 'd' THEN i.indisprimary
                                              WHEN 'i' THEN i.indisreplident END), '[]') AS columns
    FROM pg_catalog.pg_class AS c
   WHERE c.oid = $1::pg_catalog.regclass`;

/** The columns of a table's replica identity. */
export async function readIdentity(session: Session, table: TableName): Promise<IdentityFacts> {
  const row = await session.queryOne<
    { readonly is_full: boolean; readonly columns: readonly string[] }
  >(
    identityStatement,
    [quoteQualified(table.schema, table.name)],
  );
  return { columns: row.is_full ? undefined : row.columns };
}
