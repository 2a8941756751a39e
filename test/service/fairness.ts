import { quantile } from "./clients.ts";

/** When a job was submitted and started, in seconds during which workers were running. */
export interface Turn {
  readonly owner: string;
  readonly created: number;
  /** Each start; a restart counts as another turn. */
  readonly begun: readonly number[];
}

/** How evenly the users were served. */
export interface Fairness {
  /** The median and longest wait of each user, in seconds. */
  readonly waits: readonly {
    readonly owner: string;
    readonly middle: number;
    readonly max: number;
  }[];
  /**
   * The maximum lead in turns of one user over another who had jobs waiting the whole time. It
   * stays near 1 if users take turns; first come, first served would let it grow with the queue.
   */
  readonly maxAhead: number;
  /**
   * How many jobs of others started between the submission and the start of a user's first job; the
   * maximum over all users.
   */
  readonly maxBefore: number;
}

/** Computes fairness from the times of jobs. Pure. */
export function fairnessOf(turns: readonly Turn[]): Fairness {
  const byOwner = Map.groupBy(turns, ({ owner }) => owner);
  const waits = [...byOwner].map(([owner, own]) => {
    const all = own.map(({ created, begun }) => begun[0]! - created);
    return { owner, middle: quantile(all, 0.5), max: Math.max(...all) };
  });
  const maxBefore = Math.max(
    ...[...byOwner].map(([owner, own]) => {
      const from = Math.min(...own.map(({ created }) => created));
      const until = Math.min(...own.flatMap(({ begun }) => begun));
      return turns.filter((turn) => turn.owner !== owner).flatMap(({ begun }) => begun)
        .filter((at) => at > from && at < until).length;
    }),
  );
  return { waits, maxAhead: maxAhead(byOwner), maxBefore };
}

/**
 * Compares users while both have jobs waiting: from the later submission until one of them has no
 * more.
 */
function maxAhead(byOwner: ReadonlyMap<string, readonly Turn[]>): number {
  const users = [...byOwner.values()].map((own) => ({
    from: Math.min(...own.map(({ created }) => created)),
    starts: own.flatMap(({ begun }) => begun).toSorted((a, b) => a - b),
  }));
  let max = 0;
  for (const a of users) {
    for (const b of users) {
      const from = Math.max(a.from, b.from);
      const until = Math.min(a.starts.at(-1)!, b.starts.at(-1)!);
      const count = (starts: readonly number[], at: number) =>
        starts.filter((start) => start >= from && start <= at).length;
      for (const at of a.starts) {
        if (at < from || at >= until) continue;
        max = Math.max(max, count(a.starts, at) - count(b.starts, at));
      }
    }
  }
  return max;
}
