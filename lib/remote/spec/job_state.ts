/** The states of a job: queued ⇄ running (lost worker, shutdown), then one of the final states. */
export const jobStates = [
  "queued",
  "running",
  "succeeded",
  "failed",
  "cancelled",
  "timed_out",
] as const;
/** One of {@linkcode jobStates}. */
export type JobState = typeof jobStates[number];
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
