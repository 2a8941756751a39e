import type { CopyWorkerRunner } from "../../copy/internal.ts";
import type { EventSink, ExitCode } from "../../core/internal.ts";
import type { Endpoint } from "../../postgres/internal.ts";
import type { TableRules } from "../../rules/internal.ts";
import type { JobCommand, JobSpec } from "../spec/mod.ts";

/** A job as the commands take it: endpoints resolved, checked and pinned; rules read. */
export interface RunnableJob {
  readonly command: JobCommand;
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** The source as the target's server reaches it; undefined: by the same address. */
  readonly sourceFromTarget: Endpoint | undefined;
  readonly databases: {
    readonly include: readonly string[];
    readonly exclude: readonly string[];
    readonly map: Readonly<Record<string, string>>;
  };
  readonly rules: TableRules;
  readonly options: JobSpec["options"];
}

/** Where the state of a run is kept, so that another worker can go on with it. */
export interface JobCheckpoint {
  /** For messages. */
  readonly place: string;
  read(): Promise<string | undefined>;
  write(text: string): Promise<void>;
  remove(): Promise<void>;
}

/** What a job runs with. */
export interface RunnerContext {
  readonly events: EventSink;
  readonly signal: AbortSignal;
  /** How often the job was begun, this time included. */
  readonly attempt: number;
  /** The state of an operation of this job. */
  readonly checkpoints: (operation: string) => JobCheckpoint;
  /** An empty folder of this job alone, removed afterwards. */
  readonly workspace: string;
  /**
   * Told how much there is to copy before anything is changed.
   *
   * @throws JobAbort when the job was submitted without its size and belongs to a queue of larger
   * machines
   */
  readonly onMeasured: (bytes: number) => void;
  /** Runs the lanes of a copy on several workers; undefined: on this one alone. */
  readonly lanes: CopyWorkerRunner | undefined;
  /**
   * Keeps a report of what was done for a run that fails later; it becomes the job's result, beside
   * the error.
   */
  readonly onUnfinished: (result: unknown) => void;
}

/** What a run gave; errors are thrown. */
export interface RunnerOutcome {
  readonly exitCode: ExitCode;
  /** The report, as `--json` would print it. */
  readonly result: unknown;
}

/** Runs one command of the library. */
export type JobRunner<Command extends JobCommand = JobCommand> = (
  job: RunnableJob & {
    readonly options: Extract<JobSpec, { command: Command }>["options"];
  },
  context: RunnerContext,
) => Promise<RunnerOutcome>;

/** The commands that a worker can run. */
export type JobRunners = { readonly [Command in JobCommand]?: JobRunner<Command> };
