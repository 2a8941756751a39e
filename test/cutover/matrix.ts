/**
 * Switches over, back and over again under a load that records every acknowledged commit, for pairs
 * of versions, filters, several databases, TLS and a role that is not a superuser. `deno task
 * test:cutover --matrix`, some minutes.
 *
 * @module
 */
import type { Cluster, PgMajor } from "../../lib/cluster/mod.ts";
import { ReplicatorError } from "../../lib/core/internal.ts";
import { noTableRules, readRuleFlags, type TableRules } from "../../lib/rules/internal.ts";
import {
  type AcknowledgedOutcome,
  acknowledgedSchema,
  checkAcknowledged,
  startAcknowledgedLoad,
} from "../support/acknowledged_load.ts";
import { CertificateAuthority } from "../support/certificates.ts";
import { type CutoverPair, prepareCutover, switchCutover } from "../support/cutover_pair.ts";
import { endpointOf, runInit } from "../support/init.ts";
import { compareRows, drain } from "../support/replicated.ts";
import { exec, query } from "../support/sql.ts";
import { syncSettings } from "../support/sync.ts";
import { startOpenProbe } from "./open_probe.ts";
import { startTestCluster } from "../support/test_cluster.ts";

/** What a round is about. */
interface RoundOptions {
  readonly source: PgMajor;
  readonly target: PgMajor;
  readonly databases?: number;
  readonly filters?: boolean;
  readonly tls?: boolean;
  readonly owner?: boolean;
}

interface Outcome {
  readonly commits: number;
  readonly pausesMs: readonly number[];
  readonly problems: readonly string[];
}

const rounds: Readonly<Record<string, RoundOptions>> = {
  "12-18": { source: 12, target: 18 },
  "15-15": { source: 15, target: 15 },
  "16-18": { source: 16, target: 18 },
  "18-18": { source: 18, target: 18 },
  "15-17,filters": { source: 15, target: 17, filters: true },
  "15-18,databases": { source: 15, target: 18, databases: 3 },
  "15-18,tls": { source: 15, target: 18, tls: true },
  "16-18,owner": { source: 16, target: 18, owner: true },
};

const owner = { user: "mover", password: "moving" };

async function round(options: RoundOptions): Promise<Outcome> {
  const { databases = 1, filters = false, tls = false } = options;
  const authority = tls ? await CertificateAuthority.create() : undefined;
  const start = async (major: PgMajor) =>
    await startTestCluster({
      major,
      settings: { max_replication_slots: "30" },
      ...(options.owner ? { password: "secret" } : {}),
      ...(authority === undefined ? {} : {
        tls: await authority.server(),
        hba: [
          "hostssl all all all trust",
          "hostssl replication all all trust",
          "local all all trust",
        ],
      }),
    });
  await using source = await start(options.source);
  await using target = await start(options.target);
  const url = (cluster: Cluster, database: string) =>
    cluster.url({
      database,
      ...(options.owner ? owner : {}),
      params: tls ? { sslmode: "require" } : {},
    });
  if (options.owner) await createOwner([source, target]);
  const names = Array.from({ length: databases }, (_, at) => `load_${at}`);
  for (const name of names) {
    await exec(url(source, "postgres"), `CREATE DATABASE "${name}" TEMPLATE template0`);
    await exec(
      url(source, name),
      `${acknowledgedSchema} CREATE TABLE noise (id int PRIMARY KEY); INSERT INTO noise VALUES (1)`,
    );
  }
  const sides = names.map((name) => ({ from: url(source, name), to: url(target, name) }));
  const loads = sides.map(({ from, to }) =>
    startAcknowledgedLoad([from, to], { writers: databases > 1 ? 3 : 6 })
  );
  const more = (count: number) => Promise.all(loads.map((load) => load.more(count)));
  const problems: string[] = [];
  const pausesMs: number[] = [];
  let outcomes: readonly AcknowledgedOutcome[] = [];
  try {
    await more(50);
    await runInit(url(source, "postgres"), url(target, "postgres"), {
      include: names,
      rules: filters ? filterRules() : noTableRules,
      sync: syncSettings,
    });
    const pair: CutoverPair = {
      name: names[0]!,
      url: sides[0]!.from,
      targetUrl: sides[0]!.to,
      servers: {
        source: await endpointOf(url(source, "postgres"), "source"),
        target: await endpointOf(url(target, "postgres"), "target"),
        databases: { include: names, exclude: [], map: {} },
      },
    };
    await more(50);
    await prepareCutover(pair);
    for (const direction of ["run", "rollback", "run"] as const) {
      await more(200);
      // also for a role without superuser, the probe is a superuser's
      const probe = startOpenProbe(names.map((name) => {
        const [here, there] = [source, target].map((cluster) =>
          cluster.url({ database: name, params: tls ? { sslmode: "require" } : {} })
        );
        return direction === "run" ? { from: here!, to: there! } : { from: there!, to: here! };
      }));
      const report = await switchCutover(direction, pair, { endSessions: false });
      pausesMs.push(Math.round(report!.pauseMs));
      await more(200);
      problems.push(...await probe.stop());
    }
  } finally {
    outcomes = await Promise.all(loads.map((load) => load.stop()));
  }
  for (const [at, outcome] of outcomes.entries()) {
    const { from, to } = sides[at]!;
    await drain(target.url({ database: names[at]!, params: tls ? { sslmode: "require" } : {} }));
    problems.push(
      ...Object.keys(outcome.errors).filter((code) => code !== "25006").map((code) =>
        `writers got ${code}`
      ),
    );
    problems.push(...await checkAcknowledged(from, outcome));
    if (filters) {
      problems.push(...await compareFiltered(from, to));
    } else {
      problems.push(...await checkAcknowledged(to, outcome));
      await compareRows(from, to);
    }
  }
  const commits = outcomes.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0);
  return { commits, pausesMs, problems };
}

async function createOwner(clusters: readonly Cluster[]): Promise<void> {
  for (const cluster of clusters) {
    await exec(
      cluster.url(),
      `CREATE ROLE mover LOGIN REPLICATION CREATEDB PASSWORD 'moving';
       GRANT pg_create_subscription TO mover; GRANT pg_signal_backend TO mover`,
    );
  }
}

function filterRules(): TableRules {
  const { rules, problems } = readRuleFlags({
    includeTables: [],
    excludeTables: ["load_0.noise"],
    schemaOnlyTables: [],
    tableFilters: ["part_rest:writer % 2 = 0"],
    timeFilters: [],
  });
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  return { ...rules, now: syncSettings.now };
}

/** Rows that the filters leave out are written on the source only; the way back carries all. */
async function compareFiltered(from: string, to: string): Promise<readonly string[]> {
  const problems: string[] = [];
  for (
    const rows of [
      "ack",
      "balance",
      "part_0",
      "(SELECT * FROM part_rest WHERE writer % 2 = 0) AS even",
    ]
  ) {
    const digest = `SELECT md5(string_agg(r, ',' ORDER BY r)) AS digest
                      FROM (SELECT t::text AS r FROM (SELECT * FROM ${rows}) AS t) AS all_rows`;
    const [[here], [there]] = await Promise.all([query(from, digest), query(to, digest)]);
    if (here!["digest"] !== there!["digest"]) problems.push(`${rows} differs`);
  }
  const [left] = await query<{ n: number }>(
    to,
    `SELECT count(*)::int AS n FROM pg_class WHERE relname = 'noise' AND relkind = 'r'`,
  );
  if (left!.n > 0) problems.push("the excluded table was copied");
  return problems;
}

/** The names of all rounds. */
export const matrixRounds: readonly string[] = Object.keys(rounds);

/** Runs the named rounds, one after the other, and returns how many have failed. */
export async function runMatrix(names: readonly string[]): Promise<number> {
  let failures = 0;
  for (const name of names) {
    const options = rounds[name];
    if (options === undefined) throw new Error(`no such round: ${name}`);
    const start = performance.now();
    const { text, problems } = await round(options).then(describe, describeError);
    if (problems.length > 0) failures++;
    const seconds = Math.round((performance.now() - start) / 1_000);
    console.log(
      `${problems.length === 0 ? "ok  " : "FAIL"} ${name.padEnd(16)} ${text} (${seconds} s)`,
    );
    for (const problem of problems.slice(0, 8)) console.log(`       ${problem}`);
  }
  return failures;
}

interface Described {
  readonly text: string;
  readonly problems: readonly string[];
}

function describe({ commits, pausesMs, problems }: Outcome): Described {
  return { text: `${commits} commits, pauses ${pausesMs.join(" ")} ms`, problems };
}

function describeError(error: unknown): Described {
  const details = error instanceof ReplicatorError ? error.details : [];
  return {
    text: "",
    problems: [error instanceof Error ? error.stack ?? error.message : String(error), ...details],
  };
}
