import type { Cluster } from "../../lib/cluster/mod.ts";
import { query } from "../support/sql.ts";
import { initEvery, rows } from "./options.ts";

/** What the servers that the jobs worked on say; nothing of it is from the service's own tables. */
export interface Evidence {
  /** Sessions at the source, by the number of the job. */
  readonly sessions: ReadonlyMap<number, number>;
  /** Sessions opened by a single run of a command: the most frequent number. */
  readonly ofOneRun: Readonly<Record<"init" | "validate", number>>;
  /** Jobs that opened more: their runs were interrupted and started again. */
  readonly begunAgain: readonly number[];
  readonly problems: readonly string[];
}

/**
 * Reads the source's log, the target's log, and every database that an `init` of these jobs was to
 * make.
 */
export async function readEvidence(
  { source, target }: { readonly source: Cluster; readonly target: Cluster },
  succeeded: Iterable<number>,
): Promise<Evidence> {
  const problems: string[] = [];
  const numbers = [...succeeded];
  const sessions = countBy(
    await source.log(),
    /connection authorized: .*application_name=load-(\d+)/g,
  );
  const ran = [...sessions];
  const ofOneRun = {
    init: mostFrequent(ran.filter(([number]) => isInit(number)).map(([, count]) => count)),
    validate: mostFrequent(ran.filter(([number]) => !isInit(number)).map(([, count]) => count)),
  };
  const begunAgain: number[] = [];
  for (const number of numbers) {
    const [count, one] = [
      sessions.get(number) ?? 0,
      ofOneRun[isInit(number) ? "init" : "validate"],
    ];
    if (count < one) {
      problems.push(`job ${number} opened ${count} sessions, not ${one}: it did not run`);
    }
    if (count > one) begunAgain.push(number);
  }
  const made = countBy(await target.log(), /statement: CREATE DATABASE "?app_(\d+)"?/g);
  for (const number of numbers.filter(isInit)) {
    const times = made.get(number) ?? 0;
    if (times !== 1) problems.push(`the database of job ${number} was made ${times} times`);
    problems.push(...await lookAtCopy(target, number));
  }
  return { sessions, ofOneRun, begunAgain, problems };
}

export function isInit(number: number): boolean {
  return number % initEvery === 0;
}

/**
 * The table has no key: were it copied twice, its rows would be there twice, from two transactions.
 */
async function lookAtCopy(target: Cluster, number: number): Promise<readonly string[]> {
  try {
    const [copy] = await query(
      target.url({ database: `app_${number}` }),
      "SELECT count(*)::int AS rows, count(DISTINCT id)::int AS ids, count(DISTINCT xmin::text)::int AS transactions FROM t",
    );
    const found = JSON.stringify(copy);
    return found === JSON.stringify({ rows, ids: rows, transactions: 1 })
      ? []
      : [`job ${number} left ${found}`];
  } catch (error) {
    return [`job ${number} left nothing: ${error instanceof Error ? error.message : error}`];
  }
}

function countBy(text: string, pattern: RegExp): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const [, number] of text.matchAll(pattern)) {
    counts.set(Number(number), (counts.get(Number(number)) ?? 0) + 1);
  }
  return counts;
}

function mostFrequent(values: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].toSorted(([, a], [, b]) => b - a)[0]?.[0] ?? 0;
}
