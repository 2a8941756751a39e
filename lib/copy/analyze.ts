/**
 * Statistics for the planner: without them the first queries after a switch would be slow.
 *
 * @module
 */
import {
  displayName,
  type EventSink,
  quoteQualified,
  ReplicatorError,
  type TableName,
} from "../core/mod.ts";
import { type Endpoint, openSession } from "../postgres/mod.ts";
import { withSessions } from "./run_statements.ts";

/** Where, how many at once, and who is told. */
export interface AnalyzeOptions {
  readonly target: Endpoint;
  readonly jobs: number;
  readonly signal: AbortSignal;
  readonly events: EventSink;
  readonly database: string;
}

// a partitioned table has statistics of its own, which autovacuum never makes
const analyzableStatement = `
  SELECT n.nspname AS schema, c.relname AS name
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't'
     AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   ORDER BY c.relkind = 'p', c.relpages DESC`;

/**
 * Analyzes every table of the target, several at once. A failure is a warning: the copy is complete without statistics.
 *
 * @returns how many tables were analyzed
 */
export async function analyzeTables(
  { target, jobs, signal, events, database }: AnalyzeOptions,
): Promise<number> {
  await using listing = await openSession(target, { signal });
  const tables = await listing.query<TableName>(analyzableStatement);
  let done = 0;
  let analyzed = 0;
  await withSessions(tables, async (table, session, lane) => {
    const startedAtMs = performance.now();
    try {
      await session.execute(`ANALYZE ${quoteQualified(table.schema, table.name)}`);
      analyzed++;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ReplicatorError)) throw error;
      events({
        kind: "warning",
        side: "target",
        object: displayName(table),
        message: `ANALYZE failed: ${error.message}`,
        remedy: "run ANALYZE there yourself before you switch over",
      });
    }
    done++;
    events({
      kind: "work-finished",
      database,
      work: "analyze",
      lane,
      label: displayName(table),
      startedAtMs,
      ms: performance.now() - startedAtMs,
    });
    events({
      kind: "step-progress",
      step: "analyze",
      database,
      done,
      total: tables.length,
      current: displayName(table),
    });
  }, { target, limit: jobs, signal });
  return analyzed;
}
