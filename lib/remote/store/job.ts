import type { FinalState, JobCommand, JobState } from "../spec/mod.ts";

/** What went wrong, without secrets. */
export interface JobError {
  readonly message: string;
  readonly side: string | null;
  readonly object: string | null;
  readonly remedy: string | null;
  readonly details: readonly string[];
}

/** How far a running job is, for lists. */
export interface JobProgress {
  readonly step: string | null;
  readonly tables: number;
  readonly tables_finished: number;
  readonly rows: number;
  readonly bytes: number;
  readonly planned_bytes: number;
}

/** What anybody may see of a job's specification: no password, no condition. */
export interface PublicSpec {
  readonly schema_version: string;
  readonly command: JobCommand;
  readonly source: string;
  readonly target: string;
  readonly filters: unknown;
  readonly options: unknown;
  /** How many of each kind of rule there are. */
  readonly rules: Readonly<Record<string, number>>;
}

/** A job as it is kept. */
export interface JobRow {
  readonly id: string;
  readonly owner: string;
  readonly apiKeyId: string;
  readonly command: JobCommand;
  readonly state: JobState;
  readonly queue: string;
  readonly messageId: string;
  readonly spec: PublicSpec;
  readonly timeoutSeconds: number;
  readonly traceId: string;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
  readonly attempt: number;
  /** Attempts among them that only measured. */
  readonly moves: number;
  readonly worker: string | null;
  readonly cancelRequestedAt: Date | null;
  readonly progress: JobProgress | null;
  readonly exitCode: number | null;
  readonly error: JobError | null;
  /** Of a job that helps another one to copy rows: which, and which attempt of it. */
  readonly parentId: string | null;
  readonly parentAttempt: number | null;
  /** The copy that it helps with. */
  readonly copyId: string | null;
}

/** Which attempt of a job; what a worker writes counts only while its attempt is the last one. */
export interface Attempt {
  readonly jobId: string;
  readonly attempt: number;
}

/** The number that people see: an attempt that only measured is none. */
export function attemptNumber({ attempt, moves }: Pick<JobRow, "attempt" | "moves">): number {
  return attempt - moves;
}

/** How a job ended. */
export interface JobOutcome {
  readonly state: FinalState;
  readonly exitCode: number;
  readonly result?: unknown;
  readonly error?: JobError | undefined;
}
