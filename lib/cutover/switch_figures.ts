/**
 * What reports of a switch say of the time in which writers waited. Pure.
 *
 * @module
 */
import { addUp } from "../core/internal.ts";
import type { FailedAttempt, SwitchedDatabase, SwitchReport } from "./switch_options.ts";

/** No session waited. */
export const noWaiting: SwitchedDatabase["waiting"] = { sessions: 0, longestMs: 0 };

/** Failed attempts at the barrier, and their totals. */
export function attemptFigures(
  attempts: readonly FailedAttempt[],
): Pick<SwitchReport, "failedAttempts" | "failedAttemptsMs" | "attempts"> {
  return {
    failedAttempts: attempts.length,
    failedAttemptsMs: addUp(attempts.map(({ ms }) => ms)),
    attempts,
  };
}
