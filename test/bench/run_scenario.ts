/**
 * Runs a scenario: its contenders in turn, round by round.
 *
 * @module
 */
import { join } from "node:path";
import type { Cluster } from "../../lib/cluster/mod.ts";
import { denoEnvironment } from "../support/cli.ts";
import { exec, query } from "../support/sql.ts";
import { type Contender, missingPrograms } from "./contenders.ts";
import type { Dataset } from "./data.ts";
import { type Census, census, differences } from "./equality.ts";
import { FirstRow } from "./first_row.ts";
import { type LinkOptions, SlowLink } from "./link.ts";
import { GaveUp, measure, type Measurement, ToolFailed } from "./measure.ts";
import type { BenchOptions } from "./options.ts";
import type { Scenario } from "./scenarios.ts";
import { measureSource } from "./source_rate.ts";
import { type Servers, withEmptyTarget } from "./servers.ts";
import { WaitSampler, type WaitSamples } from "./waits.ts";

/** The results of one contender, round by round. */
export interface ContenderResult {
  readonly name: string;
  readonly ours: boolean;
  /** Why it did not take part. */
  readonly skipped?: string;
  /** The time limit in seconds that it exceeded; it was not run again. */
  readonly gaveUpAfter?: number;
  readonly rounds: readonly Measurement[];
  /** The wait events of the servers, if requested. */
  readonly waits?: WaitSamples;
}

/** The results of a scenario. */
export interface ScenarioResult {
  readonly scenario: Scenario;
  readonly tableBytes: number;
  /**
   * The rate limit of each connection to the target in bytes per second, if one was determined.
   */
  readonly targetBytesPerSecond?: number;
  readonly contenders: readonly ContenderResult[];
}

/** Receives progress messages. */
export type ReportLine = (line: string) => void;

/** The environment of a scenario. */
export interface ScenarioRun {
  readonly options: BenchOptions;
  readonly servers: Servers;
  readonly report: ReportLine;
  readonly signal: AbortSignal;
}

/** All contenders, each once. */
export function contendersOf(
  scenario: Scenario,
): readonly { contender: Contender; ours: boolean }[] {
  const ours = [...scenario.comparisons.map(({ ours }) => ours), ...scenario.alone ?? []];
  const theirs = scenario.comparisons.map(({ theirs }) => theirs);
  return [
    ...[...new Set(ours)].map((contender) => ({ contender, ours: true })),
    ...[...new Set(theirs)].map((contender) => ({ contender, ours: false })),
  ];
}

/**
 * Measures a scenario. A result that differs from the source is an error.
 */
export async function runScenario(scenario: Scenario, run: ScenarioRun): Promise<ScenarioResult> {
  const { options, servers, report, signal } = run;
  const data = scenario.data(options);
  const tableBytes = await makeSource(servers.source, data);
  const expected = await census(plainUrl(servers.source, data.name));
  await using stack = new AsyncDisposableStack();
  const source = await reach(servers.source, scenario.sourceLink, stack);
  const slow = await slowLinkOf(scenario, {
    servers,
    data,
    jobs: scenario.jobs ?? options.jobs,
    report,
  });
  const target = await reach(servers.target, slow ?? scenario.targetLink, stack);
  const entries = await Promise.all(
    contendersOf(scenario).map(async ({ contender, ours }) => {
      const missing = await missingPrograms(contender, options);
      const skipped = missing.length > 0 ? `${missing.join(", ")}: not installed` : undefined;
      if (skipped !== undefined) report(`  ${contender.name}: ${skipped}`);
      const waits = options.waits ? new WaitSampler(servers) : undefined;
      const gaveUpAfter: number | undefined = undefined as number | undefined;
      return { contender, ours, skipped, gaveUpAfter, waits, rounds: [] as Measurement[] };
    }),
  );
  for (let round = 1; round <= options.rounds; round++) {
    // reverse the order in every other round
    for (const entry of round % 2 === 1 ? entries : entries.toReversed()) {
      if (entry.skipped !== undefined || entry.gaveUpAfter !== undefined) continue;
      signal.throwIfAborted();
      const one = { run, scenario, data, source, target, expected };
      const patienceSeconds = patienceFor(entry, { entries, scenario, options });
      const measured = await runOnce({ ...entry, patienceSeconds }, one).catch((error) => {
        if (entry.ours) throw error;
        if (error instanceof GaveUp) {
          entry.gaveUpAfter = error.seconds;
          report(`  ${entry.contender.name}: ${error.message}`);
          return undefined;
        }
        if (!(error instanceof ToolFailed)) throw error;
        // the failure of another tool is also a result
        entry.skipped = error.message;
        report(`  ${entry.contender.name}: ${error.message}`);
      });
      if (measured === undefined) continue;
      entry.rounds.push(measured);
      report(
        `  ${round}/${options.rounds} ${entry.contender.name}: ${measured.seconds.toFixed(2)} s`,
      );
    }
  }
  return {
    scenario,
    tableBytes,
    ...(slow?.bytesPerSecond === undefined ? {} : { targetBytesPerSecond: slow.bytesPerSecond }),
    contenders: entries.map((
      { contender: { name }, ours, skipped, gaveUpAfter, rounds, waits },
    ) => ({
      name,
      ours,
      rounds,
      ...(skipped === undefined ? {} : { skipped }),
      ...(gaveUpAfter === undefined || rounds.length > 0 ? {} : { gaveUpAfter }),
      ...(waits === undefined ? {} : { waits: waits.samples }),
    })),
  };
}

/**
 * The time limit of a tool. Others get only enough time to show that they take many times as long.
 */
function patienceFor(
  { ours }: { readonly ours: boolean },
  { entries, scenario: { enoughTimes }, options: { patienceSeconds } }: {
    readonly entries: readonly {
      readonly ours: boolean;
      readonly rounds: readonly Measurement[];
    }[];
    readonly scenario: Scenario;
    readonly options: BenchOptions;
  },
): number {
  const slowest = Math.max(
    0,
    ...entries.filter((each) => each.ours).flatMap(({ rounds }) =>
      rounds.map(({ seconds }) => seconds)
    ),
  );
  if (ours || enoughTimes === undefined || slowest === 0) return patienceSeconds;
  return Math.min(patienceSeconds, Math.ceil(enoughTimes * slowest));
}

/**
 * A link on which all sessions together are slower than the source by the given factor.
 */
async function slowLinkOf(
  { targetSlower }: Scenario,
  { servers, data, jobs, report }: {
    readonly servers: Servers;
    readonly data: Dataset;
    readonly jobs: number;
    readonly report: ReportLine;
  },
): Promise<LinkOptions | undefined> {
  if (targetSlower === undefined) return undefined;
  const bytesPerSecond = await measureSource(plainUrl(servers.source, data.name), jobs);
  const megabytes = (bytes: number) => (bytes / 1024 ** 2).toFixed(1);
  const each = bytesPerSecond / targetSlower / jobs;
  report(
    `  the source gives ${
      megabytes(bytesPerSecond)
    } MB/s to ${jobs} sessions: each to the target is held to ${megabytes(each)} MB/s`,
  );
  return { bytesPerSecond: each };
}

interface OneRun {
  readonly run: ScenarioRun;
  readonly scenario: Scenario;
  readonly data: Dataset;
  /** Through the link, if there is one. */
  readonly source: (database: string) => string;
  readonly target: (database: string) => string;
  readonly expected: Census;
}

async function runOnce(
  { contender, waits, patienceSeconds }: {
    readonly contender: Contender;
    readonly waits: WaitSampler | undefined;
    readonly patienceSeconds: number;
  },
  { run: { servers, options, report }, scenario, data, source, target, expected }: OneRun,
): Promise<Measurement> {
  return await withEmptyTarget(servers, async (database) => {
    const scratch = await Deno.makeTempDir({ prefix: "psr-bench-" });
    try {
      const rowsOnly = contender.rowsOnly ?? false;
      if (rowsOnly) await makeTables(plainUrl(servers.target, database), data);
      const root = join(scratch, "root.crt");
      await Deno.writeTextFile(root, servers.authority);
      const secure = (url: string) => withTls(url, { mode: scenario.tls, root });
      const script = contender.script({
        source: secure(source(data.name)),
        target: secure(target(database)),
        jobs: scenario.jobs ?? options.jobs,
        scratch,
        pgcopydb: options.pgcopydb,
      });
      await waits?.start();
      await using firstRow = await FirstRow.open(servers.target.url());
      const { measured, output } = await measure({
        script,
        environment: { ...denoEnvironment(), TMPDIR: scratch },
        scratch,
        patienceSeconds,
        firstRow,
        servers: { source: servers.source.postmasterPid, target: servers.target.postmasterPid },
      }).finally(() => waits?.stop());
      if (options.verbose) report(output);
      const found = await census(plainUrl(servers.target, database));
      const differing = differences(expected, found, { rowsOnly });
      if (differing.length > 0) {
        throw new Error(
          `${contender.name} copied wrongly: ${differing.slice(0, 5).join("; ")}\n${
            output.slice(-3000)
          }`,
        );
      }
      return measured;
    } finally {
      await Deno.remove(scratch, { recursive: true });
    }
  });
}

/**
 * Creates the data unless another scenario has done so, and vacuums it, so that no tool has to set
 * hint bits or lacks statistics.
 */
async function makeSource(source: Cluster, { name, sql }: Dataset): Promise<number> {
  const [there] = await query(source.url(), "SELECT FROM pg_database WHERE datname = $1", [name]);
  const url = plainUrl(source, name);
  if (there === undefined) {
    await exec(source.url(), `CREATE DATABASE ${name} TEMPLATE template0`);
    await exec(url, sql);
    await exec(url, "VACUUM (FREEZE, ANALYZE)");
  }
  const [size] = await query(
    url,
    `SELECT sum(pg_table_size(c.oid))::float8 AS bytes FROM pg_class AS c
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'`,
  );
  return Number(size?.bytes);
}

/** The tables without their rows. */
async function makeTables(url: string, { sql }: Dataset): Promise<void> {
  const creates = sql.split(";").filter((statement) => /^\s*CREATE TABLE/.test(statement));
  await exec(url, creates.join(";"));
}

async function reach(
  server: Cluster,
  link: Scenario["sourceLink"],
  stack: AsyncDisposableStack,
): Promise<(database: string) => string> {
  if (link === undefined) return (database) => server.url({ database });
  const slow = stack.use(await SlowLink.start(server.port, link));
  return (database) => slow.url(server.url({ database }));
}

function plainUrl(server: Cluster, database: string): string {
  return server.url({ database });
}

/** libpq prefers TLS if offered, so plain connections must be explicit. */
function withTls(
  url: string,
  { mode, root }: { readonly mode: Scenario["tls"]; readonly root: string },
): string {
  if (mode === undefined) return `${url}?sslmode=disable`;
  return mode === "require"
    ? `${url}?sslmode=require`
    : `${url}?sslmode=${mode}&sslrootcert=${encodeURIComponent(root)}`;
}
