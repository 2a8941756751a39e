/**
 * Where copy workers run: in this thread, in threads of this process, or on other machines.
 *
 * @module
 */
import { runConcurrently } from "../core/internal.ts";
import type { CopyOutcome, Endpoint, SnapshotHolder } from "../postgres/internal.ts";
import { type CopyWorkerJob, type CopyWorkerOptions, runCopyWorker } from "./copy_worker.ts";
import { CopyThreads } from "./worker_threads.ts";

/** Jobs that are copied under one snapshot. */
export interface CopyWork<Job extends CopyWorkerJob> {
  /** Database that rows are read from. */
  readonly source: Endpoint;
  /** Database that rows are written to. */
  readonly target: Endpoint;
  /** Settings of the sessions on the target, besides the pinned ones. */
  readonly targetSettings: Readonly<Record<string, string>>;
  /** Exported snapshot of the source that all jobs read under. */
  readonly snapshot: SnapshotHolder;
  /** In the order in which they are started. */
  readonly jobs: readonly Job[];
  /** Copy workers of this process. */
  readonly workerCount: number;
  /** Aborting it cancels the copy, which rejects with its reason. */
  readonly signal: AbortSignal;
  /** See `CopyWorkerOptions`; undefined unless the target records every job. */
  readonly recordedConstraint: string | undefined;
  /** Pauses before retries, in milliseconds; their number is the number of retries. */
  readonly retryDelaysMs: readonly number[];
  /** Rate limit, called after each chunk; see `RelayOptions.pace`. Undefined for none. */
  readonly pace: ((bytes: number) => Promise<void> | undefined) | undefined;
  /** Called when a worker starts a job; again after a retry. */
  readonly onStarted: (job: Job) => void;
  /** Called with the number of further bytes of a job. */
  readonly onBytes: (job: Job, bytes: number) => void;
  /** Called once for each job, when it is committed on the target. */
  readonly onFinished: (job: Job, outcome: CopyOutcome, worker: number) => void;
  /** Called before a worker pauses and resumes with new sessions. */
  readonly onRetry: (error: unknown, about: CopyRetry) => void;
  /** Called when a copy worker of this process has nothing left to copy, or never had. */
  readonly onIdle: () => void;
}

/** A copy worker that resumes with new sessions. */
export interface CopyRetry {
  /** Counted from 1. */
  readonly worker: number;
  /** Failures in a row since the last progress, counted from 1. */
  readonly attempt: number;
  /** Pause before the attempt, in milliseconds. */
  readonly delayMs: number;
}

/** Runs the workers of a copy. */
export interface CopyWorkerRunner {
  /**
   * Processes that share a copy, each with its own workers: large tables are divided so that all of
   * them have work.
   */
  readonly processes: number;
  /**
   * Resolves when all jobs are committed. Throws the first permanent error, after all workers have
   * ended.
   */
  run<Job extends CopyWorkerJob>(work: CopyWork<Job>): Promise<void>;
}

/** Runs copy workers in this process, in the given number of threads if it is not 0. */
export function copyWorkersHere(
  { threads }: { readonly threads: number },
): CopyWorkerRunner {
  return {
    processes: 1,
    async run(work) {
      const { source, target, jobs, workerCount, onIdle, signal, snapshot } = work;
      const queue = [...jobs];
      const count = Math.min(workerCount, queue.length);
      for (let idle = count; idle < workerCount; idle++) onIdle();
      const threadCount = Math.min(threads, count);
      using copyThreads = threadCount === 0
        ? undefined
        : await CopyThreads.start({ source, target, threads: threadCount });
      await runConcurrently(
        Array.from({ length: count }, (_, index) => index + 1),
        async (worker, signal) => {
          const options = copyWorkerOptions(work, { worker, signal, next: () => queue.shift() });
          await (copyThreads?.runCopyWorker(worker, options) ?? runCopyWorker(options));
          onIdle();
        },
        { limit: count, signal: AbortSignal.any([signal, snapshot.lost]) },
      );
    },
  };
}

/** The options of one worker of a copy. */
export function copyWorkerOptions<Job extends CopyWorkerJob>(
  work: CopyWork<Job>,
  { worker, signal, next }: Pick<CopyWorkerOptions<Job>, "signal" | "next"> & {
    readonly worker: number;
  },
): CopyWorkerOptions<Job> {
  const { source, target, targetSettings, snapshot, recordedConstraint, retryDelaysMs, pace } =
    work;
  return {
    source,
    target,
    targetSettings,
    snapshot: snapshot.identifier,
    recordedConstraint,
    retryDelaysMs,
    pace,
    signal,
    onSnapshot: undefined,
    next,
    onStarted: work.onStarted,
    onBytes: work.onBytes,
    onFinished: (job, outcome) => work.onFinished(job, outcome, worker),
    onRetry: (error, attempt, delayMs) => work.onRetry(error, { worker, attempt, delayMs }),
  };
}
