/**
 * Sequences that a switch carries, and those that it cannot. Only reads.
 *
 * @module
 */
import { tableKey, type TableName } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { listSequences } from "../../catalog/internal.ts";
import { readPublications } from "../../replication/internal.ts";

/** The keys of sequences that both sides have: those whose values a switch carries. */
export async function readCommonSequences(
  from: Session,
  to: Session,
): Promise<ReadonlySet<string>> {
  const [here, there] = await Promise.all([listSequences(from), listSequences(to)]);
  const keys = new Set(here.map((sequence) => tableKey(sequence)));
  return new Set(there.map((sequence) => tableKey(sequence)).filter((key) => keys.has(key)));
}

/**
 * Sequences that the other side should have: those of carried tables, and standalone ones unless
 * rules left tables out, and with them sequences.
 */
export async function readUnmappedSequences(
  { from, to, streams, carried }: {
    readonly from: Session;
    readonly to: Session;
    readonly streams: readonly string[];
    readonly carried: readonly TableName[];
  },
): Promise<readonly TableName[]> {
  const [here, there] = await Promise.all([listSequences(from), listSequences(to)]);
  const existing = new Set(there.map((sequence) => tableKey(sequence)));
  const inScope = new Set(carried.map((table) => tableKey(table)));
  const hasRules = (await readPublications(from, streams)).some(({ scopeComment }) =>
    (scopeComment?.words.length ?? 0) > 0
  );
  return here.filter((sequence) =>
    !existing.has(tableKey(sequence)) &&
    (sequence.ownedBy === undefined ? !hasRules : inScope.has(tableKey(sequence.ownedBy)))
  ).map(({ schema, name }) => ({ schema, name }));
}

const unusableStatement = `
  SELECT n.nspname AS schema, c.relname AS name
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'
     AND NOT CASE c.relkind WHEN 'S' THEN pg_catalog.has_schema_privilege(n.oid, 'USAGE')
              AND pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
              AND pg_catalog.has_sequence_privilege(c.oid, 'UPDATE') END
   ORDER BY 1, 2`;

/** Sequences that the session's role may not read and set. */
export async function readUnusableSequences(session: Session): Promise<readonly TableName[]> {
  return await session.query<TableName & Record<string, unknown>>(unusableStatement);
}
