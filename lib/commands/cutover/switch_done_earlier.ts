/**
 * A call that continues a switch which is complete already.
 *
 * @module
 */
import { attemptFigures, noWaiting, readDurablePauseMs } from "../../cutover/internal.ts";
import { uncheckedBy } from "./final_check.ts";
import { type CutoverDatabase, describeServers, routeOf } from "./read_cutover.ts";
import type { CutoverSwitchReport } from "./report.ts";
import type { SwitchCall } from "./switch_call.ts";

/** The report of a switch whose client did not live to report it: what the records say of it. */
export async function reportDoneEarlier(
  involved: readonly CutoverDatabase[],
  { direction, options, startMs, startedAt }: SwitchCall,
): Promise<CutoverSwitchReport> {
  const pauses = await Promise.all(
    involved.map((database) => readDurablePauseMs(routeOf(database, direction))),
  );
  return {
    ...await describeServers(involved[0]!, new AbortController().signal),
    direction,
    startedAt,
    finishedAt: options.now().toISOString(),
    pauseMs: Math.max(0, ...pauses),
    maxPauseMs: options.maxPauseMs,
    ...attemptFigures([]),
    databases: involved.map((database) => ({
      database: database.source.database,
      evidence: routeOf(database, direction).fromRecord.details.evidence,
      compared: null,
      waiting: noWaiting,
      refusedWrites: null,
    })),
    steps: [],
    warnings: ["an earlier attempt, which was interrupted, had completed the switch"],
    unchecked: uncheckedBy(options.finalCheck),
    ms: performance.now() - startMs,
  };
}
