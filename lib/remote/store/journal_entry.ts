import type { RunEvent } from "../../core/internal.ts";
import type { JobLogLevel, JobState } from "../spec/mod.ts";

/** An event of a job: a state change, or an event of its run. */
export type JobEvent =
  | {
    readonly kind: "state";
    readonly state: JobState;
    readonly attempt: number;
    readonly exit_code?: number;
    /** Why, unless it is obvious. */
    readonly reason?: string;
  }
  | { readonly kind: "run"; readonly event: RunEvent };

/** An event and its number in the job's journal. */
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

/** A line to append. */
export type NewLogLine = Pick<LogLine, "level" | "message">;
