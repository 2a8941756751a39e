import type { RunEvent } from "../../core/internal.ts";
import type { JobLogLevel, JobState } from "../spec/mod.ts";

/** What happened to a job: to the job itself, or within its run. */
export type JobEvent =
  | {
    readonly kind: "state";
    readonly state: JobState;
    readonly attempt: number;
    readonly exit_code?: number;
    /** Why, where that is not plain. */
    readonly reason?: string;
  }
  | { readonly kind: "run"; readonly event: RunEvent };

/** An event with its place in the job. */
export interface NumberedEvent {
  readonly jobId: string;
  readonly number: number;
  readonly at: Date;
  readonly event: JobEvent;
}

/** A line of a job's log, without secrets. */
export interface LogLine {
  readonly number: number;
  readonly at: Date;
  readonly level: JobLogLevel;
  readonly message: string;
}

/** A line to be kept. */
export type NewLogLine = Pick<LogLine, "level" | "message">;
