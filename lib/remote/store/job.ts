import type { FinalState, JobCommand, JobState } from "../spec/mod.ts";

/** Why a job failed, without secrets. */
export interface JobError {
  readonly message: string;
  readonly side: string | null;
  readonly object: string | null;
  readonly remedy: string | null;
  readonly details: readonly string[];
}

/** Progress of a running job, for lists. */
export interface JobProgress {
  readonly step: string | null;
  readonly tables: number;
  readonly tables_finished: number;
  readonly rows: number;
  readonly bytes: number;
  readonly planned_bytes: number;
}

/** The parts of a job's specification without secrets: no passwords, no filter conditions. */
export interface PublicSpec {
  readonly schema_version: string;
  readonly command: JobCommand;
  readonly source: string;
  readonly target: string;
  readonly filters: unknown;
  readonly options: unknown;
  /** Number of rules of each kind. */
  readonly rules: Readonly<Record<string, number>>;
}

/** A stored job. */
export interface JobRow {
  readonly id: string;
  readonly owner: string;
  readonly apiKeyId: string;
  readonly command: JobCommand;
  readonly state: JobState;
  readonly queue: string;
  readonly messageId: string;
  readonly spec: PublicSpec;
  /** Null for no limit. */
  readonly timeoutSeconds: number | null;
  /** Whether its work has no end of its own, and an attempt has got on with it. */
  readonly isLasting: boolean;
  readonly traceId: string;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
  readonly attempt: number;
  /** Attempts that only measured the source before the job moved to another queue. */
  readonly moves: number;
  readonly worker: string | null;
  readonly cancelRequestedAt: Date | null;
  readonly progress: JobProgress | null;
  readonly exitCode: number | null;
  readonly error: JobError | null;
  /** For a helper: the job whose rows it copies. */
  readonly parentId: string | null;
  /** For a helper: the copy it takes part in. */
  readonly copyId: string | null;
}

/** An attempt of a job. What a worker writes counts only while its attempt is the latest. */
export interface JobAttempt {
  readonly jobId: string;
  readonly attempt: number;
}

/** The attempt number shown to users, which does not count attempts that only measured. */
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
