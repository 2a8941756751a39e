/**
 * Definitions that two versions print differently: the target's planner tells whether they mean the same.
 *
 * Nothing is run and nothing is written: `EXPLAIN` without `ANALYZE` plans both texts, and equal plans are equal meanings.
 *
 * Source: PostgreSQL documentation, "EXPLAIN".
 *
 * @module
 */
import { quoteQualified } from "../../core/mod.ts";
import { ServerError, type Session } from "../../postgres/mod.ts";
import { maySpellTheSame } from "./definitions.ts";
import type { DoubtfulDefinition } from "./diff_structure.ts";

/** Whether both texts mean the same; undefined where nobody can tell. */
export async function meansTheSame(
  target: Session,
  doubtful: DoubtfulDefinition,
): Promise<boolean | undefined> {
  const texts = [doubtful.source, doubtful.target].map(({ definitions }) =>
    definitions[doubtful.property] ?? ""
  ) as [string, string];
  const { source: { kind }, property } = doubtful;
  const isQuery = kind === "rule" || property === "parsed body" ||
    kind === "table" && property === "definition";
  if (!isQuery && !maySpellTheSame(...texts)) return false;
  const [one, other] = texts.map((text) => queryOf(doubtful, text));
  if (one === undefined || other === undefined) return undefined;
  try {
    return await target.transaction(
      async () => await planOf(target, one) === await planOf(target, other),
      "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    );
  } catch (error) {
    if (error instanceof ServerError) return undefined; // not allowed to, or this version does not know the syntax
    throw error;
  }
}

async function planOf(session: Session, query: string): Promise<string> {
  const rows = await session.query(`EXPLAIN (VERBOSE, COSTS OFF) ${query}`);
  return rows.map((row) => String(Object.values(row)[0])).join("\n");
}

/** A query that has the definition's meaning; undefined where there is none. */
function queryOf(
  { source: { kind, schema, parent, facts }, property }: DoubtfulDefinition,
  text: string,
): string | undefined {
  if (kind === "table") return property === "definition" ? text.replace(/;\s*$/, "") : undefined;
  if (schema === undefined || parent === undefined) return undefined;
  const over = (expression: string) =>
    `SELECT (${expression}) FROM ONLY ${quoteQualified(schema, parent)}`;
  if (kind === "column" || kind === "policy") return over(text);
  if (kind === "constraint" && facts.kind === "check") {
    const expression = /^CHECK \((.*)\)(?: NO INHERIT)?$/s.exec(text)?.[1];
    return expression === undefined ? undefined : over(expression);
  }
  return undefined;
}
