import type { WorkView } from "./report_view.ts";

/**
 * Corrects the start times of pipelined work: a session executes one statement after the other, but
 * statements count as started when they are sent, which may be earlier. Pure.
 */
export function inTurn(timeline: readonly WorkView[]): readonly WorkView[] {
  const sessions = Map.groupBy(
    timeline,
    ({ database, work, lane }) => JSON.stringify([database, work, lane]),
  );
  return [...sessions.values()].flatMap((works) => {
    let freeAtMs = -Infinity;
    return works.toSorted((a, b) => endOf(a) - endOf(b)).map((work) => {
      const startMs = Math.max(work.startMs, freeAtMs);
      freeAtMs = endOf(work);
      return { ...work, startMs, ms: freeAtMs - startMs };
    });
  });
}

function endOf({ startMs, ms }: WorkView): number {
  return startMs + ms;
}
