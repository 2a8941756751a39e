/**
 * A short measured copy, to say how long the long one will take.
 *
 * @module
 */
import { displayName, quoteQualified } from "../../core/mod.ts";
import {
  type CopyJob,
  type Endpoint,
  measureRoundTrip,
  openSession,
  relayCopies,
  ServerError,
  type Session,
} from "../../postgres/mod.ts";
import type { Table } from "../../catalog/mod.ts";

/** What is measured and between whom. */
export interface ProbeOptions {
  readonly source: Endpoint;
  /** A database of the target that exists; only a temporary table is made in it. */
  readonly target: Endpoint;
  readonly tables: readonly Table[];
  /** Sessions of the copy that is predicted. */
  readonly jobs: number;
  readonly signal: AbortSignal;
}

/** Table bytes that are copied for the measurement; below ten times this the rows are not measured. */
const sampleBytes = 8 * 1024 * 1024;

/** Indexes, keys and statistics take about as long again as the rows, of which a part overlaps. */
const afterRowsFactor = 1.6;

/**
 * Predicts how long the copy of all tables takes, from the rate at which rows of the largest one go into a temporary table of the target,
 * and from what a table costs there by itself.
 *
 * @returns milliseconds, or undefined when there is too little to measure or the target lets nobody make temporary tables
 */
export async function predictDuration(options: ProbeOptions): Promise<number | undefined> {
  const rowsMs = await predictRows(options);
  if (rowsMs === undefined && options.tables.length < manyTables) return undefined;
  return (rowsMs ?? 0) + options.tables.length * await measureTable(options);
}

/** From so many tables on, what each costs by itself is worth predicting. */
const manyTables = 50;
const measuredTables = 4;

/**
 * What a table costs the target before its first row and after its last one: it is created, indexed, analyzed. Measured on temporary tables that
 * have nothing in them; a real one has an owner, a TOAST table and a copy of its own, which takes about as long again.
 */
async function measureTable({ target, signal }: ProbeOptions): Promise<number> {
  await using session = await openSession(target, { signal });
  if (!await mayMakeTemporaryTables(session)) return 0;
  const roundTripMs = await measureRoundTrip(session);
  const numbers = Array.from({ length: measuredTables }, (_, number) => number);
  const start = performance.now();
  await session.execute(
    numbers.map((number) =>
      `CREATE TEMPORARY TABLE seren_cost_${number} (id int PRIMARY KEY, line text);
       CREATE INDEX ON pg_temp.seren_cost_${number} (line);
       ANALYZE pg_temp.seren_cost_${number};`
    ).join("\n"),
  );
  return Math.max(0, performance.now() - start - roundTripMs) / measuredTables * 2;
}

async function predictRows(options: ProbeOptions): Promise<number | undefined> {
  const { tables, jobs } = options;
  const total = tables.reduce((sum, { bytes }) => sum + bytes, 0);
  const largest = tables.reduce<Table | undefined>(
    (best, table) => table.bytes > (best?.bytes ?? 0) ? table : best,
    undefined,
  );
  if (largest?.rowEstimate === undefined || total < 10 * sampleBytes) return undefined;
  const bytesPerRow = largest.bytes / Math.max(1, largest.rowEstimate);
  const rows = Math.max(1, Math.ceil(Math.min(sampleBytes, largest.bytes) / bytesPerRow));
  const measured = await measure(options, { table: largest, rows }).catch((error) => {
    // a prediction is worth no failed run: rows may hold the very characters used as delimiters
    if (error instanceof ServerError) return undefined;
    throw error;
  });
  if (measured === undefined) return undefined;
  const tableBytesPerMs = measured.rows * bytesPerRow / measured.ms;
  // sessions share network and disks: each further one adds less
  return total / (tableBytesPerMs * Math.sqrt(jobs)) * afterRowsFactor;
}

async function measure(
  { source, target, signal }: ProbeOptions,
  { table, rows: limit }: { readonly table: Table; readonly rows: number },
): Promise<{ readonly rows: number; readonly ms: number } | undefined> {
  await using from = await openSession(source, { signal });
  await using to = await openSession(target, { signal });
  if (!await mayMakeTemporaryTables(to)) return undefined;
  await to.execute("CREATE TEMPORARY TABLE seren_probe (line text)");
  const relation = quoteQualified(table.schema, table.name);
  const jobs: CopyJob[] = [{
    name: `${displayName(table)} (probe)`,
    copyOut: `COPY (SELECT * FROM ONLY ${relation} LIMIT ${limit}) TO STDOUT`,
    // each line whole into one column: characters that no line of text format has serve as quote and delimiter
    copyIn: `COPY pg_temp.seren_probe FROM STDIN (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02')`,
    expectedBytes: sampleBytes,
  }];
  const start = performance.now();
  let rows = 0;
  await relayCopies(from, to, {
    next: () => jobs.shift(),
    onFinished: (_, outcome) => rows = outcome.rows,
  });
  return rows === 0 ? undefined : { rows, ms: performance.now() - start };
}

async function mayMakeTemporaryTables(session: Session): Promise<boolean> {
  const { allowed } = await session.queryOne<{ readonly allowed: boolean }>(`
    SELECT has_database_privilege(current_database(), 'TEMPORARY')
       AND NOT pg_is_in_recovery() AS allowed`);
  return allowed;
}
