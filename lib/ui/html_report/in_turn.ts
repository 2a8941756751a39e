import type { WorkView } from "./report_view.ts";

/**
 * The same work with the times at which it was really done: a session does one thing after the
 * other, but is told of the next ones beforehand (pipelining), and that is when they count as
 * begun. Pure.
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
