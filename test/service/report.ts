import { query } from "../support/sql.ts";
import type { Chaos } from "./chaos.ts";
import { quantile, type Requests } from "./clients.ts";
import { readEvidence } from "./evidence.ts";
import { fairnessOf } from "./fairness.ts";
import type { LoadOptions } from "./options.ts";
import type { Stage } from "./stage.ts";

/** The results of a run. */
export interface Outcome {
  readonly stage: Stage;
  readonly options: LoadOptions;
  readonly chaos: Chaos;
  readonly requests: Requests;
  /** Jobs that an instance accepted. */
  readonly accepted: number;
  /** The user who submitted late. */
  readonly late: string;
  /** Periods during which workers were running, in milliseconds since 1970. */
  readonly pieces: readonly { readonly from: number; readonly until: number }[];
  /** Their total in seconds. */
  readonly seconds: number;
}

interface JobRow extends Record<string, unknown> {
  readonly number: number;
  readonly owner: string;
  readonly command: string;
  readonly state: string;
  readonly attempt: number;
  readonly ended: number;
  readonly created: number;
  readonly begun: readonly number[];
  readonly reason: string | null;
}

/** Prints the results and returns whether there were no problems. */
export async function report(outcome: Outcome): Promise<boolean> {
  const { stage, options, seconds } = outcome;
  const jobs = await query<JobRow>(
    stage.database.url(),
    `SELECT substr(idempotency_key, 5)::int AS number, owner, command, state, attempt, error->>'message' AS reason,
            extract(epoch FROM created_at)::float8 * 1000 AS created,
            (SELECT coalesce(json_agg(extract(epoch FROM at)::float8 * 1000 ORDER BY number), '[]')
               FROM seren_remote.job_events AS e
              WHERE e.job_id = j.id AND e.event->>'kind' = 'state' AND e.event->>'state' = 'running') AS begun,
            (SELECT count(*)::int FROM seren_remote.job_events AS e
              WHERE e.job_id = j.id AND e.event->>'kind' = 'state'
                AND e.event->>'state' NOT IN ('queued', 'running')) AS ended
       FROM seren_remote.jobs AS j`,
  );
  const problems: string[] = [];
  const check = (ok: boolean, text: string) => {
    if (!ok) problems.push(text);
  };
  console.log(
    `${jobs.length} jobs of ${options.keys} keys in ${seconds.toFixed(0)} s, ${
      (jobs.length / seconds).toFixed(1)
    } a second: ${describe(tally(jobs.map(({ state }) => state)))}`,
  );
  console.log(`attempts × jobs: ${describe(tally(jobs.map(({ attempt }) => String(attempt))))}`);
  checkService(outcome, jobs, check);
  await checkServers(
    outcome,
    new Set(jobs.filter(({ state }) => state === "succeeded").map(({ number }) => number)),
    check,
  );
  checkFairness(outcome, jobs, check);
  await reportProcesses(outcome, check);
  for (const problem of problems.slice(0, 30)) console.log(`PROBLEM ${problem}`);
  console.log(
    problems.length === 0 ? "no problems" : `${problems.length} problems; logs: ${stage.folder}`,
  );
  return problems.length === 0;
}

type Check = (ok: boolean, text: string) => void;

/** Checks what the service reports about its jobs. */
function checkService(
  { options, accepted }: Outcome,
  jobs: readonly JobRow[],
  check: Check,
): void {
  check(accepted === options.jobs, `${accepted} of ${options.jobs} jobs were accepted`);
  check(jobs.length === accepted, `${accepted} jobs were accepted, ${jobs.length} exist`);
  check(new Set(jobs.map(({ number }) => number)).size === jobs.length, "a job exists twice");
  const open = jobs.filter(({ state }) => state === "queued" || state === "running");
  check(open.length === 0, `${open.length} jobs did not end in time`);
  for (const { number, command, state, reason, ended } of jobs) {
    if (state === "queued" || state === "running") continue;
    check(state === "succeeded", `job ${number} (${command}) is ${state}: ${reason}`);
    check(ended === 1, `job ${number} ended ${ended} times`);
  }
}

/** Checks what the source and target servers show. */
async function checkServers(
  { stage, options }: Outcome,
  succeeded: ReadonlySet<number>,
  check: Check,
): Promise<void> {
  const { ofOneRun, restarted, problems } = await readEvidence(stage, succeeded);
  for (const problem of problems) check(false, problem);
  // each killed worker leaves at most `concurrency` jobs to be restarted
  const ends = stage.workers.reduce((sum, { kills, deaths }) => sum + kills + deaths, 0);
  const most = ends * options.concurrency;
  console.log(
    `according to the servers: ${
      options.jobs - restarted.length
    } jobs ran once (a validate opens ${ofOneRun.validate} ` +
      `sessions, an init ${ofOneRun.init}), ${restarted.length} were restarted, at most ${most} after ${ends} exits of workers; ` +
      `every init created its database once and copied its rows once, in one transaction`,
  );
  check(restarted.length <= most, "more jobs were restarted than killed workers can explain");
}

function checkFairness(
  { pieces, late, options }: Outcome,
  jobs: readonly JobRow[],
  check: Check,
): void {
  /** Seconds during which workers were running. */
  const working = (at: number) =>
    pieces.reduce((sum, { from, until }) => sum + Math.max(0, Math.min(at, until) - from), 0) /
    1000;
  const { waits, maxAhead, maxBefore } = fairnessOf(
    jobs.filter(({ begun }) => begun.length > 0).map(({ owner, created, begun }) => ({
      owner,
      created: working(created),
      begun: begun.map(working),
    })),
  );
  const others = waits.filter(({ owner }) => owner !== late);
  const [least, middle, most] = [0, 0.5, 1].map((part) =>
    quantile(others.map((each) => each.middle), part).toFixed(1)
  );
  const lateWait = waits.find(({ owner }) => owner === late)?.middle ?? NaN;
  console.log(
    `median wait of a key: minimum ${least} s, median ${middle} s, maximum ${most} s; longest wait of a key: ${
      Math.min(...others.map((each) => each.max)).toFixed(1)
    } to ${Math.max(...others.map((each) => each.max)).toFixed(1)} s; ` +
      `median of the late key ${lateWait.toFixed(1)} s`,
  );
  console.log(
    `maximum lead of a key over another with jobs waiting: ${maxAhead} turns; ` +
      `at most ${maxBefore} jobs of others started before a key's first`,
  );
  check(Number(most) < 1.5 * Number(middle) + 5, "a key waited disproportionately long");
  check(maxBefore < 2 * options.keys, "a key had to wait longer than one turn");
  check(maxAhead <= 4, "keys did not take turns");
}

async function reportProcesses(
  { stage, options, chaos, requests, seconds }: Outcome,
  check: Check,
): Promise<void> {
  for (const { name, kills, deaths, maxBytes } of [...stage.serves, ...stage.workers]) {
    console.log(
      `${name}: killed ${kills} times, exited by itself ${deaths} times, peak memory ${
        mb(maxBytes)
      } MB`,
    );
    check(maxBytes < 600 * 2 ** 20, `${name} used ${mb(maxBytes)} MB`);
  }
  const kills = [...stage.serves, ...stage.workers].reduce((sum, each) => sum + each.kills, 0);
  console.log(
    `${kills} kills; the database restarted ${chaos.restarts} times; submissions: ${requests.text}`,
  );
  const { answers, slowClosed, slowRefused } = chaos;
  console.log(
    `other requests during ${options.slow} slow connections (closed ${slowClosed} times, refused ${slowRefused} times): ${answers.text}; ` +
      `half within ${quantile(answers.msOf, 0.5).toFixed(0)} ms, 95 % within ${
        quantile(answers.msOf, 0.95).toFixed(0)
      } ms`,
  );
  const outcomes = chaos.attacks.flatMap(({ announced, streamed }) => [announced, streamed]);
  const sent = chaos.attacks.map(({ sentBytes }) => sentBytes);
  if (sent.length > 0) {
    console.log(
      `bodies of 64 MB: ${describe(tally(outcomes))}; at most ${
        mb(Math.max(...sent))
      } MB of one was sent`,
    );
    check(Math.max(...sent) < 16 * 2 ** 20, "an oversized body was accepted");
  }
  const cpu = Object.entries(await stage.cpu());
  const all = cpu.reduce((sum, [, each]) => sum + each, 0);
  console.log(
    `CPU: ${all.toFixed(0)} s, ${(all / seconds).toFixed(2)} cores, ${
      (all / options.jobs * 1000).toFixed(0)
    } ms a job: ${cpu.map(([name, each]) => `${name} ${each.toFixed(0)} s`).join(", ")}`,
  );
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
