import { type JobState, jobStates } from "../../config/internal.ts";

export { type JobState, jobStates };

/** A state that a job never leaves. */
export type FinalState = Exclude<JobState, "queued" | "running">;

/** Whether a job has ended. */
export function isFinal(state: JobState): state is FinalState {
  return state !== "queued" && state !== "running";
}

/** The severity of a line in a job's log. */
export const jobLogLevels = ["info", "warn", "error"] as const;
/** One of {@linkcode jobLogLevels}. */
export type JobLogLevel = typeof jobLogLevels[number];
