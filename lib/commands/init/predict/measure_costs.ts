/**
 * Measures a short copy into temporary tables, to predict the duration of the complete copy.
 *
 * @module
 */
import {
  displayName,
  megabyte,
  quoteIdentifier,
  quoteQualified,
  type Side,
} from "../../../core/internal.ts";
import {
  type CopyJob,
  type Endpoint,
  measureRoundTrip,
  openSession,
  relayCopies,
  ServerError,
  type Session,
  silenceEventTriggers,
} from "../../../postgres/internal.ts";
import type { IndexFacts, Table } from "../../../catalog/internal.ts";
import { type CopyCosts, usualCosts } from "./costs.ts";

/** The servers to measure between, and the copy to predict. */
export interface MeasureOptions {
  readonly source: Endpoint;
  /** An existing database of the target; only temporary tables are created in it. */
  readonly target: Endpoint;
  /** The table to copy rows of; undefined if none is large enough. */
  readonly sample: ProbeSample | undefined;
  /** The size of the whole database, of which the probe copies at most a small part. */
  readonly totalBytes: number;
  /** Sessions of the predicted copy. */
  readonly jobs: number;
  readonly signal: AbortSignal;
}

/** A table of which some rows are copied. */
export interface ProbeSample {
  readonly table: Table;
  /** Its size without dead rows. */
  readonly liveBytes: number;
  /** One of its indexes that can be built from its columns. */
  readonly index: IndexFacts | undefined;
  readonly format: "text" | "binary";
}

/** Maximum number of table bytes copied for the measurement. */
const maxSampledBytes = 8 * megabyte;
/** Maximum fraction of the database copied for the measurement. */
const sampledPart = 1 / 64;
/** Smaller databases are not sampled: the usual costs are accurate enough for such a short copy. */
export const minSampledBytes: number = 64 * megabyte;
/** Concurrent sessions are not measured for smaller databases. */
const minScaledBytes = 512 * megabyte;
/** Maximum number of concurrent sessions used to measure the scaling. */
const maxSessions = 4;

/**
 * Measures the costs of a copy between two servers.
 *
 * @returns undefined if temporary tables cannot be created on the target
 */
export async function measureCosts(options: MeasureOptions): Promise<CopyCosts | undefined> {
  const { source, target, signal } = options;
  await using stack = new AsyncDisposableStack();
  // in parallel, because sessions and queries take long on distant servers
  const open = async (endpoint: Endpoint) => {
    const begun = performance.now();
    const session = stack.use(await openSession(endpoint, { signal }));
    const openedMs = performance.now() - begun;
    return { session, openedMs, roundTripMs: await measureRoundTrip(session) };
  };
  const [
    { session: from, roundTripMs: sourceRoundTripMs },
    { session: to, roundTripMs: targetRoundTripMs, openedMs },
  ] = await Promise.all([open(source), open(target)]);
  if (!await mayCreateTemporaryTables(to) || (await silenceEventTriggers(to)).length > 0) {
    return undefined;
  }
  const small = await measureSmall({ from, to, roundTripMs: targetRoundTripMs });
  const rows = await measureRows(options, { from, to });
  return {
    ...usualCosts,
    ...small,
    ...rows,
    sourceRoundTripMs,
    targetRoundTripMs,
    sessionMs: openedMs + 2 * targetRoundTripMs,
  };
}

const count = 8;
const numbers = Array.from({ length: count }, (_, number) => number);

/**
 * Measures the fixed costs of tables, indexes and so on, with empty temporary ones.
 */
async function measureSmall(
  { from, to, roundTripMs }: {
    readonly from: Session;
    readonly to: Session;
    readonly roundTripMs: number;
  },
): Promise<Partial<CopyCosts>> {
  const name = (number: number) => `pg_temp.seren_cost_${number}`;
  const perPiece = async (work: () => Promise<unknown>) => {
    const start = performance.now();
    await work();
    return Math.max(0, performance.now() - start - roundTripMs) / count;
  };
  const each = (statement: (number: number) => string) =>
    perPiece(() => to.execute(numbers.map(statement).join(";\n")));
  const tableMs = await each((number) =>
    `CREATE TEMPORARY TABLE seren_cost_${number} (id int, line text)`
  );
  const statementMs = await each((number) => `COMMENT ON TABLE ${name(number)} IS 'x'`);
  const jobs = numbers.map((number): CopyJob => ({
    name: "probe",
    copyOut: "COPY (SELECT 1, 'x' WHERE false) TO STDOUT",
    copyIn: `TRUNCATE ${name(number)}; COPY ${name(number)} FROM STDIN`,
    expectedBytes: 0,
  }));
  const partMs = await perPiece(() =>
    relayCopies(from, to, { next: () => jobs.shift(), onFinished: () => {} })
  );
  const indexMs = await each((number) => `CREATE INDEX ON ${name(number)} (id)`);
  const analyzeMs = await each((number) => `ANALYZE ${name(number)}`);
  return {
    // a real table also has an owner, privileges and defaults, and waits for a lock
    tableMs: tableMs + 3 * statementMs,
    statementMs,
    // each part is also recorded in the ledger
    partMs: 2 * partMs,
    indexMs: 3 * indexMs + 2 * statementMs,
    analyzeMs,
  };
}

/** Measures how fast rows are copied and indexed, and how concurrent sessions scale. */
async function measureRows(
  { source, target, sample, totalBytes, jobs, signal }: MeasureOptions,
  { from, to }: { readonly from: Session; readonly to: Session },
): Promise<Partial<CopyCosts>> {
  if (sample?.table.rowEstimate === undefined) return {};
  const bytesPerRow = sample.liveBytes / Math.max(1, sample.table.rowEstimate);
  const sampled = Math.min(maxSampledBytes, sample.liveBytes / 4, totalBytes * sampledPart);
  const limit = Math.max(1, Math.ceil(sampled / bytesPerRow));
  const probe = probeOf(sample, limit);
  const copyWith = (probe: Probe) => async (source: Session, target: Session) => {
    await target.execute(probe.create);
    const start = performance.now();
    const rows = await copyOnce(source, target, probe);
    return { bytes: rows * bytesPerRow, ms: performance.now() - start };
  };
  try {
    // warms up caches and compiles code, whose cost is negligible in a long copy
    await copyWith(probeOf(sample, Math.ceil(limit / 8)))(from, to);
    const one = await copyWith(probe)(from, to);
    if (one.bytes === 0) return {};
    const after = await measureAfterRows(to, probe);
    const scaling = totalBytes < minScaledBytes ? {} : await measureScaling({
      bytesPerMs: one.bytes / one.ms,
      count: Math.min(jobs, maxSessions),
      copy: copyWith(probeOf(sample, Math.ceil(limit / 2))),
      open: async (side) => {
        const session = await openSession(side === "source" ? source : target, { signal });
        if (side === "target") await silenceEventTriggers(session);
        return session;
      },
    });
    return { rowBytesPerMs: one.bytes / one.ms, ...after, ...scaling };
  } catch (error) {
    // the run must not fail because of the prediction: rows may contain the characters used as
    // delimiters
    if (error instanceof ServerError) return {};
    throw error;
  }
}

interface Probe {
  readonly create: string;
  readonly job: CopyJob;
  /** Builds an index, if the probe has its columns. */
  readonly createIndex: string | undefined;
}

const probeTable = "pg_temp.seren_probe";

/**
 * Copies the table's columns if all of its types are built in; otherwise each line into a single
 * column.
 */
function probeOf({ table, index, format }: ProbeSample, limit: number): Probe {
  const names = table.columns.map(({ name }) => quoteIdentifier(name));
  const relation = quoteQualified(table.schema, table.name);
  const copyOut = (how: string) =>
    `COPY (SELECT ${names.join(", ")} FROM ONLY ${relation} LIMIT ${limit}) TO STDOUT (${how})`;
  const job = { name: `${displayName(table)} (probe)`, expectedBytes: maxSampledBytes };
  const drop = "DROP TABLE IF EXISTS pg_temp.seren_probe";
  const known = table.columns.every(({ portableBinary }) => portableBinary);
  if (!known || names.length === 0) {
    return {
      create: `${drop}; CREATE TEMPORARY TABLE seren_probe (line text)`,
      job: {
        ...job,
        copyOut: copyOut("FORMAT text, ENCODING 'UTF8'"),
        // uses characters that do not occur in text format as quote and delimiter
        copyIn:
          `COPY ${probeTable} FROM STDIN (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02', ENCODING 'UTF8')`,
      },
      createIndex: undefined,
    };
  }
  const how = format === "binary" ? "FORMAT binary" : "FORMAT text, ENCODING 'UTF8'";
  const columns = table.columns.map(({ typeName }, position) => `${names[position]} ${typeName}`);
  const available = new Set(table.columns.map(({ name }) => name));
  const indexed = index?.columns?.every((name) => available.has(name))
    ? index.columns.map(quoteIdentifier)
    : undefined;
  return {
    create: `${drop}; CREATE TEMPORARY TABLE seren_probe (${columns.join(", ")})`,
    job: { ...job, copyOut: copyOut(how), copyIn: `COPY ${probeTable} FROM STDIN (${how})` },
    createIndex: indexed === undefined
      ? undefined
      : `CREATE INDEX seren_probe_index ON ${probeTable} (${indexed.join(", ")})`,
  };
}

async function copyOnce(source: Session, target: Session, { job }: Probe): Promise<number> {
  const jobs = [job];
  let rows = 0;
  await relayCopies(source, target, {
    next: () => jobs.shift(),
    onFinished: (_, outcome) => rows = outcome.rows,
  });
  return rows;
}

async function measureAfterRows(
  session: Session,
  probe: Probe,
): Promise<Partial<CopyCosts>> {
  const begun = performance.now();
  await session.execute(`ANALYZE ${probeTable}`);
  const analyzeLargeMs = performance.now() - begun;
  if (probe.createIndex === undefined) return { analyzeLargeMs };
  const start = performance.now();
  await session.execute(probe.createIndex);
  const ms = performance.now() - start;
  const { size } = await session.queryOne<{ readonly size: number }>(
    "SELECT pg_catalog.pg_relation_size('pg_temp.seren_probe_index')::pg_catalog.float8 AS size",
  );
  return { analyzeLargeMs, indexBytesPerMs: size / ms };
}

async function measureScaling(
  { bytesPerMs, count, copy, open }: {
    readonly bytesPerMs: number;
    readonly count: number;
    readonly copy: (
      source: Session,
      target: Session,
    ) => Promise<{ readonly bytes: number; readonly ms: number }>;
    readonly open: (side: Side) => Promise<Session>;
  },
): Promise<Partial<CopyCosts>> {
  if (count < 2) return {};
  await using stack = new AsyncDisposableStack();
  const sessions = await Promise.all(
    Array.from({ length: count }, async () => {
      const [from, to] = await Promise.all([open("source"), open("target")]);
      return [stack.use(from), stack.use(to)] as const;
    }),
  );
  const done = await Promise.all(sessions.map(([from, to]) => copy(from, to)));
  const together = done.reduce((sum, { bytes }) => sum + bytes, 0) /
    Math.max(...done.map(({ ms }) => ms));
  const scaling = Math.log(together / bytesPerMs) / Math.log(count);
  return { scaling: Math.min(1, Math.max(0, scaling)) };
}

async function mayCreateTemporaryTables(session: Session): Promise<boolean> {
  const { allowed } = await session.queryOne<{ readonly allowed: boolean }>(`
    SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMPORARY')
       AND NOT pg_catalog.pg_is_in_recovery() AS allowed`);
  return allowed;
}
