import type { Cluster } from "../../lib/cluster/mod.ts";
import { query } from "../support/sql.ts";
import { initEvery, rows } from "./options.ts";

/**
 * What the logs and databases of source and target show, independent of the service's own tables.
 */
export interface Evidence {
  /** Sessions on the source, by job number. */
  readonly sessions: ReadonlyMap<number, number>;
  /** Sessions that one run of a command opens: the most frequent count. */
  readonly ofOneRun: Readonly<Record<"init" | "validate", number>>;
  /** Jobs that opened more, because their runs were interrupted and restarted. */
  readonly restarted: readonly number[];
  readonly problems: readonly string[];
}

/**
 * Reads the logs of source and target, and every database that an `init` of these jobs should have
 * created.
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
  const restarted: number[] = [];
  for (const number of numbers) {
    const [count, one] = [
      sessions.get(number) ?? 0,
      ofOneRun[isInit(number) ? "init" : "validate"],
    ];
    if (count < one) {
      problems.push(`job ${number} opened ${count} sessions, not ${one}: it did not run`);
    }
    if (count > one) restarted.push(number);
  }
  const made = countBy(await target.log(), /statement: CREATE DATABASE "?app_(\d+)"?/g);
  for (const number of numbers.filter(isInit)) {
    const times = made.get(number) ?? 0;
    if (times !== 1) problems.push(`the database of job ${number} was created ${times} times`);
    problems.push(...await checkCopy(target, number));
  }
  return { sessions, ofOneRun, restarted, problems };
}

export function isInit(number: number): boolean {
  return number % initEvery === 0;
}

/**
 * The table has no key, so a second copy would duplicate its rows, in another transaction.
 */
async function checkCopy(target: Cluster, number: number): Promise<readonly string[]> {
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
