/**
 * What a switch that failed had done, and how long writers waited for it. Pure.
 *
 * @module
 */
import { addUp, describeError, formatDuration, plural, redact } from "../../core/internal.ts";
import {
  attemptFigures,
  noWaiting,
  OtherCommandError,
  type SwitchFailure,
  type SwitchOutcome,
} from "../../cutover/internal.ts";
import type { CutoverDatabase } from "./read_cutover.ts";
import type { CutoverUnfinishedReport } from "./report.ts";
import { closedNames } from "./switch_phases.ts";

/** The outcome of a switch that did not begin: nothing but what an earlier attempt has left. */
export function unbegunSwitch(
  error: unknown,
  databases: readonly CutoverDatabase[],
): Extract<SwitchOutcome, { readonly kind: "failed" }> {
  const isPastReturn = closedNames(databases).length > 0;
  const failure: SwitchFailure = {
    error,
    isPastReturn,
    isTakenOver: error instanceof OtherCommandError && !isPastReturn,
    pauseMs: 0,
    attempts: [],
    databases: databases.map(({ source }) => ({ database: source.database, waiting: noWaiting })),
    steps: [],
    warnings: [],
  };
  return { kind: "failed", failure };
}

/** What the evidence of a failure says of it. */
export function failureEvidence(
  { error, isPastReturn, pauseMs, attempts, databases, steps }: SwitchFailure,
): Pick<
  CutoverUnfinishedReport,
  | "outcome"
  | "reason"
  | "pauseMs"
  | "failedAttempts"
  | "failedAttemptsMs"
  | "attempts"
  | "databases"
  | "steps"
> {
  return {
    outcome: isPastReturn ? "unfinished" : "abandoned",
    reason: describeError(error).map((line) => redact(line)),
    pauseMs,
    ...attemptFigures(attempts),
    databases,
    steps,
  };
}

/** How long writers waited for a switch that was abandoned; undefined if they did not. */
export function describeWaits(
  { isPastReturn, pauseMs, attempts }: SwitchFailure,
): string | undefined {
  if (isPastReturn || pauseMs + attempts.length === 0) return undefined;
  const inAttempts = addUp(attempts.map(({ ms }) => ms));
  const parts = [
    ...(pauseMs === 0 ? [] : [`${formatDuration(pauseMs)} while the barrier was held`]),
    ...(attempts.length === 0 ? [] : [
      `${formatDuration(inAttempts)} in ${plural(attempts.length, "failed attempt")}`,
    ]),
  ];
  return `writers waited ${parts.join(", and ")}; they have continued`;
}
