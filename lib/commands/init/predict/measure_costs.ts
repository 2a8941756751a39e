/**
 * A short measured copy into temporary tables, to say how long the long one will take.
 *
 * @module
 */
import { displayName, quoteIdentifier, quoteQualified } from "../../../core/internal.ts";
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

/** What is measured and between whom. */
export interface MeasureOptions {
  readonly source: Endpoint;
  /** A database of the target that exists; only temporary tables are made in it. */
  readonly target: Endpoint;
  /** Of which rows are copied; undefined: none is large enough. */
  readonly sample: ProbeSample | undefined;
  /** Of the whole database: the probe copies a small part of it at most. */
  readonly totalBytes: number;
  /** Sessions of the copy that is predicted. */
  readonly jobs: number;
  readonly signal: AbortSignal;
}

/** A table that is copied a little of. */
export interface ProbeSample {
  readonly table: Table;
  /** Of its bytes those that are rows. */
  readonly liveBytes: number;
  /** An index of it that can be built from its columns. */
  readonly index: IndexFacts | undefined;
  readonly format: "text" | "binary";
}

const megabyte = 1024 * 1024;
/** Table bytes that are copied for the measurement, at most. */
const maxSampledBytes = 8 * megabyte;
/** And no more than this part of the database. */
const sampledPart = 1 / 64;
/** Below this no rows are copied: what is usual is near enough, and the copy soon over. */
export const minSampledBytes: number = 64 * megabyte;
/** Below this sessions are not tried beside each other. */
const minScaledBytes = 512 * megabyte;
/** So many sessions are tried at once at most, to see how they get along. */
const maxLanes = 4;

/**
 * Measures what things cost between two servers.
 *
 * @returns undefined when the target lets nobody make temporary tables
 */
export async function measureCosts(options: MeasureOptions): Promise<CopyCosts | undefined> {
  const { source, target, signal } = options;
  await using stack = new AsyncDisposableStack();
  // far away each session and question takes a while: both sides at once
  const look = async (endpoint: Endpoint) => {
    const begun = performance.now();
    const session = stack.use(await openSession(endpoint, { signal }));
    const openedMs = performance.now() - begun;
    return { session, openedMs, roundTripMs: await measureRoundTrip(session) };
  };
  const [
    { session: from, roundTripMs: sourceRoundTripMs },
    { session: to, roundTripMs: targetRoundTripMs, openedMs },
  ] = await Promise.all([look(source), look(target)]);
  if (!await mayMakeTemporaryTables(to) || (await silenceEventTriggers(to)).length > 0) {
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
 * What tables, indexes and the like cost by themselves, on temporary ones that have nothing in
 * them.
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
    // a real one has an owner, privileges, defaults, and a lock to wait for
    tableMs: tableMs + 3 * statementMs,
    statementMs,
    // and each has its line in the ledger
    partMs: 2 * partMs,
    indexMs: 3 * indexMs + 2 * statementMs,
    analyzeMs,
  };
}

/** How fast rows go, how fast an index of them is built, and how sessions get along. */
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
    // the first one would be slow for reasons that a long copy does not have: caches, code that has
    // not run yet
    await copyWith(probeOf(sample, Math.ceil(limit / 8)))(from, to);
    const one = await copyWith(probe)(from, to);
    if (one.bytes === 0) return {};
    const after = await measureAfterRows(to, probe);
    const scaling = totalBytes < minScaledBytes ? {} : await measureScaling({
      bytesPerMs: one.bytes / one.ms,
      lanes: Math.min(jobs, maxLanes),
      copy: copyWith(probeOf(sample, Math.ceil(limit / 2))),
      open: async (side) => {
        const session = await openSession(side === "source" ? source : target, { signal });
        if (side === "target") await silenceEventTriggers(session);
        return session;
      },
    });
    return { rowBytesPerMs: one.bytes / one.ms, ...after, ...scaling };
  } catch (error) {
    // a prediction is worth no failed run: rows may hold the very characters used as delimiters
    if (error instanceof ServerError) return {};
    throw error;
  }
}

interface Probe {
  readonly create: string;
  readonly job: CopyJob;
  /** Of the columns of an index, when the probe has them. */
  readonly createIndex: string | undefined;
}

const probeTable = "pg_temp.seren_probe";

/** The table itself where all of its types are everywhere; else each line whole in one column. */
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
        // characters that no line of text format has serve as quote and delimiter
        copyIn:
          `COPY ${probeTable} FROM STDIN (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02', ENCODING 'UTF8')`,
      },
      createIndex: undefined,
    };
  }
  const how = format === "binary" ? "FORMAT binary" : "FORMAT text, ENCODING 'UTF8'";
  const columns = table.columns.map(({ typeName }, position) => `${names[position]} ${typeName}`);
  const there = new Set(table.columns.map(({ name }) => name));
  const indexed = index?.columns?.every((name) => there.has(name))
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
  { bytesPerMs, lanes, copy, open }: {
    readonly bytesPerMs: number;
    readonly lanes: number;
    readonly copy: (
      source: Session,
      target: Session,
    ) => Promise<{ readonly bytes: number; readonly ms: number }>;
    readonly open: (side: "source" | "target") => Promise<Session>;
  },
): Promise<Partial<CopyCosts>> {
  if (lanes < 2) return {};
  await using stack = new AsyncDisposableStack();
  const sessions = await Promise.all(
    Array.from({ length: lanes }, async () => {
      const [from, to] = await Promise.all([open("source"), open("target")]);
      return [stack.use(from), stack.use(to)] as const;
    }),
  );
  const done = await Promise.all(sessions.map(([from, to]) => copy(from, to)));
  const together = done.reduce((sum, { bytes }) => sum + bytes, 0) /
    Math.max(...done.map(({ ms }) => ms));
  const scaling = Math.log(together / bytesPerMs) / Math.log(lanes);
  return { scaling: Math.min(1, Math.max(0, scaling)) };
}

async function mayMakeTemporaryTables(session: Session): Promise<boolean> {
  const { allowed } = await session.queryOne<{ readonly allowed: boolean }>(`
    SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMPORARY')
       AND NOT pg_catalog.pg_is_in_recovery() AS allowed`);
  return allowed;
}
