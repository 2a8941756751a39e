/**
 * Hands over to replication under a mixed load that starts before `init` and ends after all streams
 * run, then compares both sides row by row. `deno task test:sync`, some minutes; `deno task
 * test:sync 3 12-18,filters` runs those rounds three times each.
 *
 * @module
 */
import type { Cluster, PgMajor } from "../../lib/cluster/mod.ts";
import { noTableRules, readRuleFlags, type TableRules } from "../../lib/rules/internal.ts";
import { CertificateAuthority } from "../support/certificates.ts";
import { runInit } from "../support/init.ts";
import { compareRows, drain } from "../support/replicated.ts";
import {
  loadSchema,
  type ReplicationLoad,
  startReplicationLoad,
} from "../support/replication_load.ts";
import { exec, query } from "../support/sql.ts";
import { runSync, syncSettings } from "../support/sync.ts";
import { killedRound } from "../support/killed_round.ts";
import { startTestCluster } from "../support/test_cluster.ts";

interface Outcome {
  readonly rows: number;
  readonly transactions: number;
}

/** What else a round does. */
interface RoundOptions {
  readonly source: PgMajor;
  readonly target: PgMajor;
  readonly databases?: number;
  readonly extraTables?: number;
  readonly tls?: boolean;
  readonly filters?: boolean;
  readonly restartTarget?: boolean;
  readonly restartSource?: boolean;
}

/** The same filters in plain SQL. */
const filtered = {
  "public.account": "id % 3 = 0 AND id < 2000000000",
  '"Ünï cødé"."select"': '"Order" % 2 = 0',
};

function rulesOf(filters: boolean): TableRules {
  if (!filters) return noTableRules;
  const { rules, problems } = readRuleFlags({
    includeTables: [],
    excludeTables: [],
    schemaOnlyTables: ["log"],
    tableFilters: [
      "account:id % 3 = 0 AND id < 2000000000",
      '"Ünï cødé"."select":"Order" % 2 = 0',
    ],
    timeFilters: [],
  });
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  return { ...rules, now: syncSettings.now };
}

async function round(options: RoundOptions): Promise<Outcome> {
  const { databases = 1, extraTables = 0, filters = false } = options;
  const authority = options.tls ? await CertificateAuthority.create() : undefined;
  const tls = async () => authority === undefined ? {} : { tls: await authority.server() };
  const settings = { max_replication_slots: "30", max_locks_per_transaction: "256" };
  await using source = await startTestCluster({
    major: options.source,
    settings,
    ...await tls(),
    ...(options.tls
      ? {
        hba: [
          "hostssl all all all trust",
          "hostssl replication all all trust",
          "local all all trust",
        ],
      }
      : {}),
  });
  await using target = await startTestCluster({ major: options.target, settings });
  const params: Record<string, string> = options.tls ? { sslmode: "require" } : {};
  const names = Array.from({ length: databases }, (_, at) => `load ${at}`);
  const url = (cluster: Cluster, database: string) =>
    cluster.url({ database, ...(cluster === source ? { params } : {}) });
  for (const name of names) {
    await exec(url(source, "postgres"), `CREATE DATABASE "${name}"`);
    await exec(url(source, name), loadSchema({ extraTables }));
  }
  const loads: ReplicationLoad[] = names.map((name) =>
    startReplicationLoad(url(source, name), { extraTables, sessions: databases > 1 ? 2 : 3 })
  );
  const surprises: string[] = [];
  let transactions = 0;
  try {
    await Promise.all(loads.map((load) => load.more(60)));
    let restarted: Promise<void> | undefined;
    await runInit(url(source, "postgres"), target.url(), {
      include: names.map((name) => `"${name}"`),
      rules: rulesOf(filters),
      sync: syncSettings,
      jobs: 3,
      onEvent: (event) => {
        if (event.kind === "step-started" && event.step === "catch-up" && options.restartTarget) {
          restarted ??= restart(target);
          restarted.catch(() => {}); // awaited below, if needed
        }
      },
    });
    await restarted;
    await Promise.all(loads.map((load) => load.more(150)));
    if (options.restartTarget) await target.restart();
    if (options.restartSource) await source.restart();
    await Promise.all(loads.map((load) => load.more(100)));
  } finally {
    for (const load of loads) {
      const counts = await load.stop();
      transactions += counts.committed;
      if (!options.restartSource) surprises.push(...counts.surprises);
    }
  }
  if (surprises.length > 0) throw new Error(surprises.slice(0, 5).join("\n"));
  let rows = 0;
  for (const name of names) {
    await settlePrepared(url(source, name));
    await drain(url(source, name));
    rows += await compareRows(url(source, name), target.url({ database: name }), {
      ...(filters ? { where: { ...filtered, "public.log": "false" } } : {}),
    });
  }
  return { rows, transactions };
}

async function restart(cluster: Cluster): Promise<void> {
  await cluster.stop("immediate");
  await cluster.start();
}

/** Transactions still prepared after a restart of the source. */
async function settlePrepared(url: string): Promise<void> {
  const rows = await query<{ gid: string }>(
    url,
    "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()",
  );
  for (const { gid } of rows) await query(url, `ROLLBACK PREPARED '${gid}'`);
}

/** Copies single tables again under load, while the others keep streaming. */
async function resnapshotRound(sourceMajor: PgMajor, targetMajor: PgMajor): Promise<Outcome> {
  await using source = await startTestCluster({ major: sourceMajor });
  await using target = await startTestCluster({ major: targetMajor });
  await exec(source.url(), "CREATE DATABASE load");
  const [url, targetUrl] = [source, target].map((cluster) => cluster.url({ database: "load" }));
  await exec(url!, loadSchema());
  const load = startReplicationLoad(url!, { pauseMs: 5 });
  try {
    await runInit(url!, target.url(), { include: ["load"], sync: syncSettings });
    await load.more(20);
    // as if another client had written to the target; entries reference accounts, which cannot be
    // truncated
    await exec(
      targetUrl!,
      "SET session_replication_role = replica; DELETE FROM account WHERE id < 100",
    );
    for (const tables of [["account", "event_*"], ["scratch", "log"], ["*"]]) {
      await runSync(url!, targetUrl!, {
        include: ["load"],
        action: { kind: "copy", tables, areNew: false },
      });
      await load.more(60);
    }
  } finally {
    await load.stop();
  }
  if (load.counts.surprises.length > 0) throw new Error(load.counts.surprises.join("\n"));
  await drain(url!);
  return { rows: await compareRows(url!, targetUrl!), transactions: load.counts.committed };
}

const rounds: Readonly<Record<string, () => Promise<Outcome>>> = {
  "12-18": () => round({ source: 12, target: 18 }),
  "15-15": () => round({ source: 15, target: 15 }),
  "18-18": () => round({ source: 18, target: 18 }),
  "14-16": () => round({ source: 14, target: 16 }),
  "18-12": () => round({ source: 18, target: 12 }),
  "filters": () => round({ source: 16, target: 16, filters: true }),
  "databases": () => round({ source: 17, target: 17, databases: 3 }),
  "tls": () => round({ source: 16, target: 17, tls: true }),
  "tables": () => round({ source: 15, target: 18, extraTables: 200 }),
  "target-restart": () => round({ source: 16, target: 16, restartTarget: true }),
  "source-restart": () => round({ source: 17, target: 18, restartSource: true }),
  "resnapshot": () => resnapshotRound(15, 18),
  "resnapshot-12": () => resnapshotRound(12, 14),
  "killed": () => killedRound(15, 18),
  "killed-16": () => killedRound(16, 16),
};

const times = Number(Deno.args[0] ?? 1);
const chosen = Deno.args[1]?.split(",") ?? Object.keys(rounds);
const unknown = chosen.filter((name) => !Object.hasOwn(rounds, name));
if (!(times >= 1) || unknown.length > 0) {
  console.log(`usage: [TIMES [${Object.keys(rounds).join(",")}]]`);
  Deno.exit(2);
}
let failed = 0;
for (let time = 1; time <= times; time++) {
  for (const name of chosen) {
    const start = performance.now();
    const seconds = () => ((performance.now() - start) / 1000).toFixed(0);
    try {
      const { rows, transactions } = await rounds[name]!();
      console.log(
        `${name}: equal, ${rows} rows after ${transactions} transactions (${seconds()} s)`,
      );
    } catch (error) {
      failed++;
      console.log(
        `${name}: FAILED (${seconds()} s)\n${error instanceof Error ? error.stack : error}`,
      );
      if (error instanceof Error && "details" in error) console.log(error.details);
    }
  }
}
console.log(failed === 0 ? "nothing lost or repeated" : `${failed} rounds FAILED`);
if (failed > 0) Deno.exit(1);
