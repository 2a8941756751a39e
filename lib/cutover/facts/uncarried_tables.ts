/**
 * Which tables the streams of a cutover carry, and which exist beside them. Only reads.
 *
 * @module
 */
import { tableKey, type TableName } from "../../core/internal.ts";
import { listTables } from "../../catalog/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import type { PreflightFacts } from "./preflight_facts.ts";

/** What no stream carries. */
export type UncarriedTables = Pick<
  PreflightFacts,
  "notCarried" | "partitionsNotCarried" | "partitionsAlone" | "partitionsElsewhere"
>;

/** Compares the tables of both sides with those that are carried. */
export async function readUncarriedTables(
  carried: readonly TableName[],
  { from, to }: { readonly from: Session; readonly to: Session },
): Promise<UncarriedTables> {
  const [here, there] = await Promise.all([listTables(from), listTables(to)]);
  const carriedKeys = new Set(carried.map((table) => tableKey(table)));
  const keysHere = new Set(here.map((table) => tableKey(table)));
  const partitionsThere = there.filter(({ partitionRoot }) => partitionRoot !== undefined);
  const keysThere = new Set(partitionsThere.map((table) => tableKey(table)));
  const isPartOfCarried = ({ partitionRoot }: (typeof here)[number]) =>
    partitionRoot !== undefined && carriedKeys.has(tableKey(partitionRoot));
  const notCarried = here.filter((table) => !carriedKeys.has(tableKey(table)));
  const partitionsNotCarried = notCarried.filter(isPartOfCarried);
  return {
    notCarried,
    partitionsNotCarried,
    partitionsAlone: partitionsNotCarried.filter((table) => !keysThere.has(tableKey(table))),
    partitionsElsewhere: partitionsThere.filter((table) =>
      isPartOfCarried(table) && !keysHere.has(tableKey(table))
    ).map(({ schema, name }) => ({ schema, name })),
  };
}
