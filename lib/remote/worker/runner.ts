import type { CopyWorkerRunner } from "../../copy/internal.ts";
import type { EventSink, ExitCode } from "../../core/internal.ts";
import type { Endpoint } from "../../postgres/internal.ts";
import type { TableRules } from "../../rules/internal.ts";
import type { JobCommand, JobSpec } from "../spec/mod.ts";

/** A resolved job: endpoints are checked and pinned, rules are parsed. */
export interface RunnableJob {
  readonly command: JobCommand;
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** The source as the target server reaches it; undefined if by the same address. */
  readonly sourceFromTarget: Endpoint | undefined;
  /** The target as the source server reaches it; undefined if by the same address. */
  readonly targetFromSource: Endpoint | undefined;
  readonly databases: {
    readonly include: readonly string[];
    readonly exclude: readonly string[];
    readonly map: Readonly<Record<string, string>>;
  };
  readonly rules: TableRules;
  readonly options: JobSpec["options"];
}

/** Storage for the state of a run, from which another worker can resume it. */
export interface JobCheckpoint {
  /** For messages. */
  readonly place: string;
  read(): Promise<string | undefined>;
  write(text: string): Promise<void>;
  remove(): Promise<void>;
}

/** What a job's runner can use. */
export interface RunnerContext {
  readonly events: EventSink;
  /** Already aborted if a cancelled job may have to be completed, see `isSwitchingJob`. */
  readonly signal: AbortSignal;
  /** Number of attempts, including this one. */
  readonly attempt: number;
  /** The checkpoint of an operation of this job. */
  readonly checkpoints: (operation: string) => JobCheckpoint;
  /** A temporary directory of this job. */
  readonly workspace: string;
  /**
   * Must be called with the amount of data to copy, before anything is changed.
   *
   * @throws JobAbort if the job was submitted without its size and belongs in another queue
   */
  readonly onMeasured: (bytes: number) => void;
  /** Runs a copy on several workers; undefined to run it on this one alone. */
  readonly copyWorkers: CopyWorkerRunner | undefined;
  /**
   * Saves a report of the work done so far: the result of the job if it fails.
   */
  readonly onUnfinished: (result: unknown) => void;
  /**
   * Must be called by a job whose work has no end of its own, once the attempt has got on with it:
   * the job then has no time limit but its own, and earlier losses of workers no longer count.
   */
  readonly onLasting: () => Promise<void>;
}

/** The outcome of a run; errors are thrown. */
export interface RunnerOutcome {
  readonly exitCode: ExitCode;
  /** The report, as printed by `--json`. */
  readonly result: unknown;
  /** Whether it has ended only because the signal aborted, as work without an end does. */
  readonly isInterrupted?: boolean;
}

/** Runs one command of the library. */
export type JobRunner<Command extends JobCommand = JobCommand> = (
  job: RunnableJob & {
    readonly options: Extract<JobSpec, { command: Command }>["options"];
  },
  context: RunnerContext,
) => Promise<RunnerOutcome>;

/** The commands a worker can run. */
export type JobRunners = { readonly [Command in JobCommand]?: JobRunner<Command> };
