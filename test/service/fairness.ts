import { quantile } from "./clients.ts";

/** When a job of a user came, and was begun, in seconds of the time in which workers were there. */
export interface Turn {
  readonly owner: string;
  readonly created: number;
  /** Each time that it was begun; what was begun again has taken a turn again. */
  readonly begun: readonly number[];
}

/** How the users fared. */
export interface Fairness {
  /** Of each user: the middle and the longest wait, in seconds. */
  readonly waits: readonly {
    readonly owner: string;
    readonly middle: number;
    readonly most: number;
  }[];
  /**
   * At the worst moment: how many more turns one user had had than another one who had jobs waiting
   * all that time. It stays near 1 when they take turns; first come, first served would let it grow
   * with the queue.
   */
  readonly mostAhead: number;
  /**
   * How many jobs of others began between the coming of a user's first job and its begin: of the
   * user for whom it was most.
   */
  readonly mostBefore: number;
}

/** Pure: what the times of jobs say. */
export function fairnessOf(turns: readonly Turn[]): Fairness {
  const byOwner = Map.groupBy(turns, ({ owner }) => owner);
  const waits = [...byOwner].map(([owner, own]) => {
    const all = own.map(({ created, begun }) => begun[0]! - created);
    return { owner, middle: quantile(all, 0.5), most: Math.max(...all) };
  });
  const mostBefore = Math.max(
    ...[...byOwner].map(([owner, own]) => {
      const from = Math.min(...own.map(({ created }) => created));
      const until = Math.min(...own.flatMap(({ begun }) => begun));
      return turns.filter((turn) => turn.owner !== owner).flatMap(({ begun }) => begun)
        .filter((at) => at > from && at < until).length;
    }),
  );
  return { waits, mostAhead: mostAhead(byOwner), mostBefore };
}

/**
 * Users are compared while both have jobs waiting: from when the later one came until the first of
 * them has none left.
 */
function mostAhead(byOwner: ReadonlyMap<string, readonly Turn[]>): number {
  const users = [...byOwner.values()].map((own) => ({
    from: Math.min(...own.map(({ created }) => created)),
    starts: own.flatMap(({ begun }) => begun).toSorted((a, b) => a - b),
  }));
  let most = 0;
  for (const a of users) {
    for (const b of users) {
      const from = Math.max(a.from, b.from);
      const until = Math.min(a.starts.at(-1)!, b.starts.at(-1)!);
      const count = (starts: readonly number[], at: number) =>
        starts.filter((start) => start >= from && start <= at).length;
      for (const at of a.starts) {
        if (at < from || at >= until) continue;
        most = Math.max(most, count(a.starts, at) - count(b.starts, at));
      }
    }
  }
  return most;
}
