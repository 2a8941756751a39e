/**
 * The remote service under load while its parts are killed: many small jobs of many keys through several instances and workers, each a
 * process of its own that is killed -9 now and again, while the queue's database is restarted and two instances are attacked.
 *
 * deno task test:service [--jobs 100] [--keys 20] [--workers 4] [--instances 2] [--slow 200] [--kill-every 5]
 * [--most-seconds 600] [--seed S]
 *
 * @module
 */
import { parseArgs } from "node:util";
import { join } from "node:path";
import { startCluster } from "../../lib/cluster/mod.ts";
import { freePort } from "../../lib/cluster/free_port.ts";
import { LocalKeyProvider } from "../../lib/remote/secrets/mod.ts";
import { runCli } from "../support/cli.ts";
import { exec, query } from "../support/sql.ts";
import { oversize, pause, SlowLoris } from "./attacks.ts";
import { type Client, quantile, Requests, submit } from "./clients.ts";
import { Supervised } from "./fleet.ts";

const { values } = parseArgs({
  options: {
    jobs: { type: "string", default: "100" },
    keys: { type: "string", default: "20" },
    workers: { type: "string", default: "4" },
    instances: { type: "string", default: "2" },
    slow: { type: "string", default: "200" },
    "kill-every": { type: "string", default: "5" },
    "most-seconds": { type: "string", default: "600" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 1e9)) },
  },
});
const jobCount = Number(values.jobs);
const keyCount = Number(values.keys);
const inits = 20; // every so many-th job is an init, the others are validate
let state = Number(values.seed) >>> 0;
/** A number below `below`. */
function random(below: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor(state / 2 ** 32 * below);
}

console.log(`seed ${values.seed}`);
const settings = { log_connections: "on", log_line_prefix: "%m [%p] " };
await using source = await startCluster({
  major: 16,
  settings: { ...settings, autovacuum: "off" },
});
await using target = await startCluster({ major: 17 });
await using database = await startCluster({ major: 17, settings: { max_connections: "300" } });
await exec(source.url(), "CREATE DATABASE app");
const rows = 100;
// no key: rows that are copied twice stay
await exec(
  source.url({ database: "app" }),
  `CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, ${rows})`,
);

const folder = await Deno.makeTempDir();
await LocalKeyProvider.create(join(folder, "keys"));
const env = { SEREN_DATABASE_URL: database.url() };
const common = ["--key-file", join(folder, "keys"), "--allow-address", "127.0.0.0/8"];
common.push("--heartbeat", "10");
const ports = Array.from({ length: Number(values.instances) }, () => freePort());
const instances = ports.map((port) => `http://127.0.0.1:${port}`);
await using fleet = new AsyncDisposableStack();
const start = (name: string, args: readonly string[]) =>
  fleet.use(new Supervised(name, { args, env, logFile: join(folder, `${name}.log`) }));
const serves = ports.map((port, index) =>
  start(`serve-${index}`, ["serve", "--listen", `127.0.0.1:${port}`, ...common])
);
const workers: Supervised[] = [];
const stop = new AbortController();
for (const url of instances) await untilReady(url);

const admin = (await runCli(["keys", "create", "--owner", "ops", "--scopes", "admin"], { env }))
  .stdout.trim();
const clients: Client[] = [];
for (let index = 0; index < keyCount; index++) {
  const made = await fetch(`${instances[0]}/v1/keys`, {
    method: "POST",
    headers: { "x-api-key": admin, "content-type": "application/json" },
    body: JSON.stringify({
      owner: `user-${index}`,
      name: "load",
      scopes: ["jobs:read", "jobs:write"],
      limits: { most_queued: jobCount + 1, requests_per_second: 100, request_burst: 200 },
    }),
  });
  clients.push({ name: `user-${index}`, key: (await made.json()).key, jobs: new Map() });
}

const began = performance.now();
const seconds = () => ((performance.now() - began) / 1000).toFixed(0);
const requests = new Requests();
// the last key comes late, with a few jobs, when the queue is full
const late = clients.at(-1)!;
const lateJobs = Math.max(2, Math.round(jobCount / 100));
const prompt = clients.slice(0, -1);
const send = (client: Client, number: number) =>
  submit({ client, number, spec: specOf(number), instances, requests });
const chaos = breakThings();
await Promise.all(prompt.map(async (client, index) => {
  for (let number = index; number < jobCount - lateJobs; number += prompt.length) {
    await send(client, number);
  }
}));
console.log(`${seconds()} s: ${jobCount - lateJobs} jobs submitted: ${requests.text}`);
for (let index = 0; index < Number(values.workers); index++) {
  workers.push(
    start(`worker-${index}`, ["worker", "--name", `w${index}`, "--concurrency", "2", ...common]),
  );
}
await untilOver(jobCount / 4);
for (let number = jobCount - lateJobs; number < jobCount; number++) await send(late, number);
console.log(`${seconds()} s: a late key submitted ${lateJobs}`);
await untilOver(jobCount);
const took = Number(seconds());
stop.abort();
const { restarts, answers, attack, slow } = await chaos;
await report();

function specOf(number: number): unknown {
  const isInit = number % inits === 0;
  // the server's log tells by this name whose session it was
  const source_url = `${source.url({ database: "app" })}?application_name=load-${number}`;
  return {
    schema_version: "1.0",
    command: isInit ? "init" : "validate",
    source_url,
    target_url: target.url(),
    filters: {
      include_databases: ["app"],
      ...(isInit ? { map: { app: `app_${number}` } } : {}),
    },
    options: { jobs: 1 },
  };
}

/** Kills, restarts and attacks until it is told to stop; asks like others meanwhile. */
async function breakThings() {
  const { signal } = stop;
  const slow = new SlowLoris(ports[0]!, Number(values.slow));
  const answers = new Requests();
  const attack: Awaited<ReturnType<typeof oversize>>[] = [];
  let restarts = 0;
  for (let round = 1; !signal.aborted; round++) {
    const fleetNow = [...serves, ...workers];
    for (let second = 0; second < Number(values["kill-every"]); second++) {
      await pause(1_000, signal);
      await Promise.all(fleetNow.map((each) => each.measure()));
      const response = await answers.send(`${instances[0]}/v1/me`, {
        headers: { "x-api-key": admin },
      });
      await response?.body?.cancel();
    }
    if (signal.aborted) break;
    fleetNow[random(fleetNow.length)]!.kill();
    if (round % 4 === 0) attack.push(await oversize(instances[round % instances.length]!, admin));
    if (round % 8 === 5) {
      await database.stop(random(2) === 0 ? "fast" : "immediate");
      await pause(2_000, signal);
      await database.start();
      restarts++;
    }
  }
  await slow[Symbol.asyncDispose]();
  return { restarts, answers, attack, slow };
}

async function untilReady(url: string): Promise<void> {
  const patience = AbortSignal.timeout(60_000);
  while (true) {
    const response = await fetch(`${url}/readyz`).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.ok) return;
    if (patience.aborted) throw new Error(`${url} does not get ready; its log is in ${folder}`);
    await pause(200, patience);
  }
}

async function untilOver(count: number): Promise<void> {
  let told = performance.now();
  while (true) {
    const [row] = await query<{ over: number }>(
      database.url(),
      "SELECT count(*)::int AS over FROM seren_remote.jobs WHERE finished_at IS NOT NULL",
    ).catch(() => [{ over: 0 }]);
    if (row!.over >= count) return;
    if (performance.now() - told > 15_000) {
      told = performance.now();
      console.log(`${seconds()} s: ${row!.over} over`);
    }
    if (Number(seconds()) > Number(values["most-seconds"])) {
      console.log(`gave up after ${seconds()} s: ${row!.over} of ${count} over`);
      return;
    }
    await pause(1_000, new AbortController().signal);
  }
}

interface JobOfReport extends Record<string, unknown> {
  readonly number: number;
  readonly owner: string;
  readonly command: string;
  readonly state: string;
  readonly attempt: number;
  readonly ended: number;
  readonly wait: number;
  readonly reason: string | null;
}

async function report(): Promise<void> {
  const jobs = await query<JobOfReport>(
    database.url(),
    `SELECT substr(idempotency_key, 5)::int AS number, owner, command, state, attempt, error->>'message' AS reason,
            extract(epoch FROM started_at - created_at)::float8 AS wait,
            (SELECT count(*)::int FROM seren_remote.job_events AS e
              WHERE e.job_id = j.id AND e.event->>'kind' = 'state'
                AND e.event->>'state' NOT IN ('queued', 'running')) AS ended
       FROM seren_remote.jobs AS j`,
  );
  const problems: string[] = [];
  const check = (ok: boolean, text: string) => {
    if (!ok) problems.push(text);
  };
  const accepted = clients.reduce((sum, { jobs }) => sum + jobs.size, 0);
  check(accepted === jobCount, `${accepted} of ${jobCount} jobs were taken in`);
  check(jobs.length === accepted, `${accepted} jobs were taken in, ${jobs.length} are there`);
  check(new Set(jobs.map(({ number }) => number)).size === jobs.length, "a job is there twice");
  const states = tally(jobs.map(({ state }) => state));
  for (
    const { number, command, state, reason } of jobs.filter((job) => job.state !== "succeeded")
  ) {
    problems.push(`job ${number} (${command}) is ${state}: ${reason}`);
  }
  const endedTwice = jobs.filter(({ ended }) => ended !== 1).length;
  check(endedTwice === 0, `${endedTwice} jobs did not end exactly once`);

  // sessions at the source, as its own log has them: what ran once has as many as all others that ran once
  const sessions = new Map<number, number>();
  const inLog = /connection authorized: .*application_name=load-(\d+)/g;
  for (const [, number] of (await source.log()).matchAll(inLog)) {
    sessions.set(Number(number), (sessions.get(Number(number)) ?? 0) + 1);
  }
  for (const command of ["validate", "init"]) {
    const once = jobs.filter((job) => job.command === command && job.attempt === 1);
    const counts = tally(once.map(({ number }) => String(sessions.get(number) ?? 0)));
    console.log(`${command}, one attempt: sessions at the source × jobs: ${describe(counts)}`);
    check(counts.size <= 1, `${command} in one attempt did not always open as many sessions`);
  }
  for (const { number, command } of jobs) {
    if (command !== "init") continue;
    const copied = await query<{ count: number }>(
      target.url({ database: `app_${number}` }),
      "SELECT count(*)::int AS count FROM t",
    ).catch((error) => [{ count: `none: ${error.message}` }]);
    check(copied[0]!.count === rows, `job ${number} left ${copied[0]!.count} rows, not ${rows}`);
  }

  const waits = prompt.map(({ name }) =>
    quantile(jobs.filter(({ owner }) => owner === name).map(({ wait }) => wait), 0.5)
  );
  const lateWait = quantile(
    jobs.filter(({ owner }) => owner === late.name).map(({ wait }) => wait),
    0.5,
  );
  const [least, middle, most] = [0, 0.5, 1].map((part) => quantile(waits, part)) as [
    number,
    number,
    number,
  ];
  check(most < 2 * middle + 5, "a key waited out of proportion");
  check(lateWait < middle / 2 + 5, "the late key had to wait for the others' jobs");

  console.log(`${jobs.length} jobs of ${keyCount} keys in ${took} s: ${describe(states)}`);
  console.log(`attempts × jobs: ${describe(tally(jobs.map(({ attempt }) => String(attempt))))}`);
  console.log(
    `median wait of a key: least ${least.toFixed(1)} s, middle ${middle.toFixed(1)} s, most ${
      most.toFixed(1)
    } s; of the late key ${lateWait.toFixed(1)} s`,
  );
  const all = [...serves, ...workers];
  for (const { name, kills, deaths, mostBytes } of all) {
    console.log(`${name}: killed ${kills}, ended by itself ${deaths}, at most ${mb(mostBytes)} MB`);
    check(mostBytes < 600 * 2 ** 20, `${name} had ${mb(mostBytes)} MB`);
  }
  console.log(`the database restarted ${restarts} times; submissions: ${requests.text}`);
  console.log(
    `during ${values.slow} slow connections (${slow.closed} times closed, ${slow.refused} refused) others asked: ${answers.text}; ` +
      `half within ${quantile(answers.msOf, 0.5).toFixed(0)} ms, 95 % within ${
        quantile(answers.msOf, 0.95).toFixed(0)
      } ms`,
  );
  for (const { announced, streamed, sentBytes } of attack) {
    console.log(
      `too large: announced ${announced}; streamed ${streamed} after ${mb(sentBytes)} MB`,
    );
    check(sentBytes < 16 * 2 ** 20, "an oversize body was taken in");
  }
  for (const problem of problems.slice(0, 30)) console.log(`PROBLEM ${problem}`);
  console.log(problems.length === 0 ? "all well" : `${problems.length} problems; logs: ${folder}`);
  if (problems.length > 0) Deno.exitCode = 1;
  else await Deno.remove(folder, { recursive: true });
}

function mb(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}

function tally(words: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

function describe(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([word, count]) => `${word} × ${count}`).join(", ");
}
