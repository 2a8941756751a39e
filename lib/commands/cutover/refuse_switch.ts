/**
 * Refusals of `cutover run` and `cutover rollback` by the state of the databases.
 *
 * @module
 */
import { ExitCode, formatDuration, plural, ReplicatorError } from "../../core/internal.ts";
import {
  contradictionMessage,
  contradictionRemedy,
  type CutoverPhase,
} from "../../cutover/internal.ts";
import type { CutoverSwitchOptions } from "./options.ts";
import { type CutoverDatabase, incompleteSets } from "./read_cutover.ts";
import type { SwitchDirection } from "./report.ts";
import { closedPhases, isUnsettled, switchPhases } from "./switch_phases.ts";

/** @throws ReplicatorError (prerequisite) with every reason, of all databases at once */
export function refuseState(
  direction: SwitchDirection,
  { databases, involved, options }: {
    readonly databases: readonly CutoverDatabase[];
    readonly involved: readonly CutoverDatabase[];
    readonly options: CutoverSwitchOptions;
  },
): void {
  const reasons: string[] = [];
  const isNamed = options.databases.include.length > 0;
  // those that are named are listed one by one
  if (involved.length === 0 && !isNamed) {
    reasons.push("no database is prepared: run cutover prepare first");
  }
  // an interrupted switch of several databases can be completed in both directions
  const isInterrupted = involved.some((database) =>
    closedPhases.includes(database.phase) || isUnsettled(database, direction)
  );
  for (const database of isNamed ? databases : involved) {
    const { source, phase } = database;
    const fits = phase === switchPhases[direction].from || closedPhases.includes(phase) ||
      isInterrupted && phase === switchPhases[direction].to;
    if (!fits) reasons.push(`${source.database}: ${explainPhase(phase, direction)}`);
  }
  const missing = incompleteSets(involved);
  if (missing.length > 0) {
    reasons.push(
      `${missing.join(", ")} must be selected too: the databases were prepared to switch together`,
    );
  }
  const ids = new Set(involved.map(({ records }) => (records.source ?? records.target)?.id));
  if (ids.size > 1 && missing.length === 0) {
    reasons.push(
      "the databases belong to different cutovers: select those of one with --include-databases",
    );
  }
  for (const { source, records, phase } of involved) {
    // one that is closed on both sides needs no way back to open the side that was in use
    if (
      direction === "rollback" && phase === "switched" && records.source?.details.back === null
    ) {
      reasons.push(
        `${source.database}: it was prepared without a way back (--way-back none)`,
      );
    }
  }
  if (options.maxPauseMs < minPauseMs) {
    reasons.push(`--max-pause must be at least ${formatDuration(minPauseMs)}`);
  }
  const distinct = [...new Set(reasons)];
  if (distinct.length === 0) return;
  throw new ReplicatorError(
    `cutover ${direction} was refused for ${
      plural(distinct.length, "reason")
    }; nothing was changed`,
    { details: distinct, exitCode: ExitCode.prerequisite },
  );
}

const minPauseMs = 100;

function explainPhase(phase: CutoverPhase, direction: SwitchDirection): string {
  switch (phase) {
    case "none":
      return "it is not prepared: run cutover prepare first";
    case "preparing":
      return "its preparation is not complete: run cutover prepare again";
    case "prepared":
      return "the source is in use: there is nothing to roll back";
    case "switched":
      return "the target is in use already";
    case "contradictory":
      return `${contradictionMessage}; ${contradictionRemedy}`;
    case "finished":
      return direction === "run"
        ? "its cutover is finished"
        : "its cutover is finished, and the way back was removed";
    case "closing":
    case "returning":
      return "both sides are closed";
  }
}
