/**
 * The remote service under load while its parts are killed: many small jobs of many keys go through
 * several instances and workers. Each is a separate process that is occasionally killed with
 * SIGKILL, while the service's database is restarted and one instance is attacked.
 *
 * All jobs are queued before the first worker starts. The source and target servers show whether
 * each of them ran exactly once.
 *
 * deno task test:service [--jobs 100] [--keys 20] [--workers 4] [--instances 2] [--concurrency 2]
 * [--slow 200] [--kill-every 5] [--pieces 1] [--turn COMMAND] [--max-seconds 1800] [--seed S]
 *
 * @module
 */
import { query } from "../support/sql.ts";
import { pause } from "./attacks.ts";
import { Chaos } from "./chaos.ts";
import { type Client, Requests, submit } from "./clients.ts";
import { readOptions } from "./options.ts";
import { report } from "./report.ts";
import { Stage } from "./stage.ts";
import { Turn } from "./turn.ts";

const options = readOptions(Deno.args);
console.log(`seed ${options.seed}`);
let state = options.seed >>> 0;
/** A random integer from 0 to `below` - 1. */
function random(below: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor(state / 2 ** 32 * below);
}

/** Periods during which workers were running, in milliseconds since 1970. */
const pieces: { from: number; until: number }[] = [];
/** The total of all periods, in seconds. */
const working = () =>
  pieces.reduce((sum, { from, until }) => sum + Math.min(Date.now(), until) - from, 0) / 1000;
const say = (text: string) => console.log(`${working().toFixed(0)} s: ${text}`);

await using stage = await Stage.open(options);
await stage.untilReady();
const admin = await stage.adminKey();
const clients = await stage.makeClients(admin);
const requests = new Requests();
const chaos = new Chaos(stage, { options, admin, random });
// the last key submits a few jobs later, when the queue is full
const late = clients.at(-1)!;
const prompt = clients.slice(0, -1);
const lateJobs = Math.max(2, Math.round(options.jobs / 100));
const promptJobs = options.jobs - lateJobs;
let lateWasSent = false;

for (let piece = 1; piece <= options.pieces; piece++) {
  await using turns = new AsyncDisposableStack();
  if (options.turn !== undefined) turns.use(await Turn.take(options.turn));
  pieces.push({ from: Date.now(), until: Infinity });
  if (piece === 1) await submitAll();
  await work(piece, Math.ceil(options.jobs * piece / options.pieces));
  pieces.at(-1)!.until = Date.now();
}
const isWell = await report({
  stage,
  options,
  chaos,
  requests,
  accepted: clients.reduce((sum, { jobs }) => sum + jobs.size, 0),
  late: late.name,
  pieces,
  seconds: working(),
});
if (isWell) await Deno.remove(stage.folder, { recursive: true });
else Deno.exitCode = 1;

function send(client: Client, number: number): Promise<void> {
  const { instances } = stage;
  return submit({ client, number, spec: stage.specOf(number), instances, requests });
}

async function submitAll(): Promise<void> {
  const stop = new AbortController();
  const breaking = chaos.run([], stop.signal);
  await Promise.all(prompt.map(async (client, index) => {
    for (let number = index; number < promptJobs; number += prompt.length) {
      await send(client, number);
    }
  }));
  stop.abort();
  await breaking;
  say(`${promptJobs} jobs of ${prompt.length} keys are queued: ${requests.text}`);
}

/** Runs workers until `count` jobs have ended in total, then drains them. */
async function work(piece: number, count: number): Promise<void> {
  const workers = stage.startWorkers(piece);
  const stop = new AbortController();
  const breaking = chaos.run(workers, stop.signal);
  if (!lateWasSent) {
    await untilEnded(Math.min(count, options.jobs / 4));
    for (let number = promptJobs; number < options.jobs; number++) await send(late, number);
    lateWasSent = true;
    say(`a late key submitted ${lateJobs}`);
  }
  await untilEnded(count);
  stop.abort();
  await breaking;
  await Promise.all(workers.map((worker) => worker.drain()));
  say(`piece ${piece} of ${options.pieces}: ${await stage.countEnded()} of ${options.jobs} ended`);
}

async function untilEnded(count: number): Promise<void> {
  let reportedMs = performance.now();
  while (true) {
    const over = await stage.countEnded();
    if (over !== undefined && over >= count) return;
    if (working() > options.maxSeconds) return say(`gave up: ${over} of ${count} ended`);
    if (performance.now() - reportedMs > 15_000) {
      reportedMs = performance.now();
      const [{ running } = { running: "?" }] = await query(
        stage.database.url(),
        "SELECT count(*)::int AS running FROM seren_remote.jobs WHERE state = 'running'",
      ).catch(() => []);
      say(`${over ?? "the database is unavailable: ?"} ended, ${running} running`);
    }
    await pause(500, new AbortController().signal);
  }
}
