/**
 * Planner statistics: without them the first queries after the cutover would be slow.
 *
 * @module
 */
import {
  displayName,
  type EventSink,
  ownSchemaList,
  quoteIdentifier,
  quoteQualified,
  ReplicatorError,
  tableKey,
  type TableName,
} from "../core/internal.ts";
import { type Endpoint, openSession, ServerError, type Session } from "../postgres/internal.ts";
import { withSessions } from "./run_statements.ts";
import type { CollectedTable } from "./statistics_plan.ts";

/** Restores statistics of another server. */
export interface StatisticsRestorer {
  /** Restores those of tables that are complete. Returns the tables that have to be analyzed. */
  restore(tables: readonly TableName[]): Promise<readonly CollectedTable[]>;
}

/** Which tables get statistics, and how. */
export interface AnalyzeOptions {
  /** The target. */
  readonly target: Endpoint;
  /** How many run at the same time. */
  readonly jobs: number;
  /** Ends the work; the promise then rejects with its reason. */
  readonly signal: AbortSignal;
  /** Receives progress and warnings. */
  readonly events: EventSink;
  /** The database. */
  readonly database: string;
  /** Tables that already have statistics, by `tableKey`. */
  readonly done: ReadonlySet<string>;
  /** The tables that get statistics, by `tableKey`; undefined for all. */
  readonly only: ReadonlySet<string> | undefined;
  /** Restores the source's statistics where possible; undefined to analyze every table. */
  readonly source: StatisticsRestorer | undefined;
}

// a partitioned table has its own statistics, which autovacuum never collects
const analyzableStatement = `
  SELECT n.nspname AS schema, c.relname AS name, c.relkind = 'p' AS partitioned,
         coalesce(pg_catalog.pg_relation_size(c.oid), 0)::pg_catalog.float8 AS bytes
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't'
     AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', ${ownSchemaList})
   ORDER BY c.relkind = 'p', bytes DESC`;

type AnalyzableRow = TableName & { readonly partitioned: boolean; readonly bytes: number };

/**
 * Gives every remaining table of the target statistics, several at the same time. A failure is a
 * warning: the copy is complete without statistics.
 *
 * @returns how many tables have statistics now
 */
export async function analyzeTables(options: AnalyzeOptions): Promise<number> {
  const { signal, events, database } = options;
  try {
    return await analyzeRest(options);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof ReplicatorError)) throw error;
    reportFailure(`database ${database}`, error, events);
    return 0;
  }
}

async function analyzeRest(
  { target, jobs, signal, events, database, done, only, source }: AnalyzeOptions,
): Promise<number> {
  await using listing = await openSession(target, { signal });
  const tables = (await listing.query<AnalyzableRow>(analyzableStatement))
    .filter((table) =>
      !done.has(tableKey(table)) && (only === undefined || only.has(tableKey(table)))
    );
  let finished = 0;
  let analyzed = 0;
  await withSessions(analyzeBatches(tables), async (batch, session, worker) => {
    const startedAtMs = performance.now();
    const open = () => Promise.resolve(session);
    analyzed += await giveStatistics(batch, { source, open, signal, events });
    finished += batch.length;
    const label = describeBatch(batch);
    const ms = performance.now() - startedAtMs;
    events({
      kind: "work-finished",
      database,
      work: "analyze",
      lane: worker,
      label,
      startedAtMs,
      ms,
    });
    events({
      kind: "step-progress",
      step: "analyze",
      database,
      done: finished,
      total: tables.length,
      current: label,
    });
  }, {
    target,
    limit: jobs,
    signal,
    events,
    computesValues: true, // statistics include expressions
    settings: { synchronous_commit: "off" },
  });
  return analyzed;
}

/**
 * Gives tables their statistics: the source's where possible, otherwise those of ANALYZE.
 *
 * @param options.open a session on the target; called if a table has to be analyzed
 * @returns how many have statistics; failures were reported as warnings
 * @throws ConnectionError when the session is gone
 */
export async function giveStatistics(
  tables: readonly TableName[],
  { source, open, signal, events }: Pick<AnalyzeOptions, "source" | "signal" | "events"> & {
    readonly open: () => Promise<Session>;
  },
): Promise<number> {
  const collected = await source?.restore(tables) ??
    tables.map(({ schema, name }) => ({ schema, name }));
  if (collected.length === 0) return tables.length;
  const analyzed = await analyzeTogether(await open(), collected, { signal, events });
  return tables.length - collected.length + analyzed;
}

/** Smaller tables take no time themselves: many share one statement. */
export const smallTableBytes = 1024 * 1024;
/** Limit on the tables of one statement. */
export const maxTogether = 100;

function analyzeBatches(tables: readonly AnalyzableRow[]): readonly (readonly TableName[])[] {
  const isSmall = ({ bytes, partitioned }: AnalyzableRow) =>
    !partitioned && bytes < smallTableBytes;
  const batches: (readonly TableName[])[] = tables.filter((table) => !isSmall(table))
    .map((table) => [table]);
  const small = tables.filter(isSmall);
  for (let from = 0; from < small.length; from += maxTogether) {
    batches.push(small.slice(from, from + maxTogether));
  }
  return batches;
}

/** `public.orders`, `statistics of 40 small tables` */
export function describeBatch(batch: readonly TableName[]): string {
  const [first] = batch;
  return first !== undefined && batch.length === 1
    ? displayName(first)
    : `statistics of ${batch.length} small tables`;
}

/**
 * The first version that can analyze a partitioned table without its partitions (E. Release 18,
 * `ANALYZE ONLY`).
 */
export const analyzesAlone = 18;

/** A table, or some of its columns. */
type AnalyzedColumns = TableName & { readonly columns?: readonly string[] };

/**
 * Analyzes several tables in one statement, each in its own transaction; one by one if the target
 * refuses one of them. Before {@linkcode analyzesAlone}, a partitioned table includes its
 * partitions.
 *
 * @returns how many were analyzed; the others were reported as warnings
 * @throws ConnectionError when the session is gone
 */
export async function analyzeTogether(
  session: Session,
  tables: readonly AnalyzedColumns[],
  { signal, events }: { readonly signal: AbortSignal; readonly events: EventSink },
): Promise<number> {
  const only = session.majorVersion >= analyzesAlone ? "ONLY " : "";
  const names = tables.map(({ schema, name, columns }) =>
    `${only}${quoteQualified(schema, name)}` +
    (columns === undefined ? "" : ` (${columns.map(quoteIdentifier).join(", ")})`)
  );
  try {
    if (names.length > 0) await analyzeNames(session, names);
    return tables.length;
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof ServerError)) throw error;
    const [table] = tables;
    if (table !== undefined && tables.length === 1) {
      reportFailure(displayName(table), error, events);
      return 0;
    }
  }
  let analyzed = 0;
  for (const table of tables) {
    analyzed += await analyzeTogether(session, [table], { signal, events });
  }
  return analyzed;
}

/** Sends ANALYZE alone: with other statements in the message, all tables share a transaction. */
async function analyzeNames(session: Session, names: readonly string[]): Promise<void> {
  const analyze = `ANALYZE ${names.join(", ")}`;
  if (!session.endpoint.ownSearchPath) return await session.execute(analyze);
  await session.execute("SET search_path TO DEFAULT");
  try {
    await session.execute(analyze);
  } finally {
    await session.execute("SET search_path TO ''");
  }
}

/** Warns that an object has no statistics. */
export function reportFailure(object: string, error: ReplicatorError, events: EventSink): void {
  events({
    kind: "warning",
    side: "target",
    object,
    message: `ANALYZE failed: ${error.message}`,
    remedy: "run ANALYZE on the target before the cutover",
  });
}
