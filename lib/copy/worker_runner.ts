/**
 * Who runs the lanes of a copy: this thread, threads of this process, or workers on other machines.
 *
 * @module
 */
import { runConcurrently } from "../core/internal.ts";
import type { CopyOutcome, Endpoint, SnapshotHolder } from "../postgres/internal.ts";
import { type CopyWorkerJob, type CopyWorkerOptions, runCopyWorker } from "./copy_worker.ts";
import { CopyThreads } from "./worker_threads.ts";

/** Jobs to be copied under one snapshot, and who is told. */
export interface CopyWork<Job extends CopyWorkerJob> {
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** Of the sessions on the target, on top of the pinned ones. */
  readonly targetSettings: Readonly<Record<string, string>>;
  readonly snapshot: SnapshotHolder;
  /** In the order in which they are to be begun. */
  readonly jobs: readonly Job[];
  /** Lanes of this process. */
  readonly lanes: number;
  readonly signal: AbortSignal;
  /** See `CopyWorkerOptions`; it is there when every job can be told to be committed. */
  readonly recordedConstraint: string | undefined;
  readonly delaysMs: readonly number[];
  readonly pace: ((bytes: number) => Promise<void> | undefined) | undefined;
  readonly onStarted: (job: Job) => void;
  /** So many more bytes of the job. */
  readonly onBytes: (job: Job, bytes: number) => void;
  /** Called once for each job, when it is committed on the target. */
  readonly onFinished: (job: Job, outcome: CopyOutcome, lane: number) => void;
  readonly onRetry: (error: unknown, about: CopyRetry) => void;
  /** Called when one of the lanes of this process has nothing left to copy, or never had. */
  readonly onIdle: () => void;
}

/** A lane that goes on with new sessions. */
export interface CopyRetry {
  readonly lane: number;
  readonly attempt: number;
  readonly delayMs: number;
}

/** Runs the lanes of copies. */
export interface CopyWorkerRunner {
  /**
   * How many processes share a copy, each with its lanes: large tables are cut so that all of them
   * find something to do.
   */
  readonly processes: number;
  /**
   * Resolves when all jobs are committed; throws the first error that does not pass, when all that
   * was begun has ended.
   */
  run<Job extends CopyWorkerJob>(work: CopyWork<Job>): Promise<void>;
}

/** The lanes of a copy in this process, in threads of their own when there are to be any. */
export function copyWorkersHere(
  { threads = 0 }: { readonly threads?: number } = {},
): CopyWorkerRunner {
  return {
    processes: 1,
    async run(work) {
      const { source, target, jobs, lanes, onIdle, signal, snapshot } = work;
      const queue = [...jobs];
      const count = Math.min(lanes, queue.length);
      for (let idle = count; idle < lanes; idle++) onIdle();
      const wanted = Math.min(threads, count);
      using laneThreads = wanted === 0
        ? undefined
        : await CopyThreads.start({ source, target, threads: wanted });
      await runConcurrently(
        Array.from({ length: count }, (_, index) => index + 1),
        async (lane, signal) => {
          const options = copyWorkerOptions(work, { lane, signal, next: () => queue.shift() });
          await (laneThreads?.runCopyWorker(lane, options) ?? runCopyWorker(options));
          onIdle();
        },
        { limit: count, signal: AbortSignal.any([signal, snapshot.lost]) },
      );
    },
  };
}

/** What one lane of a copy is given. */
export function copyWorkerOptions<Job extends CopyWorkerJob>(
  work: CopyWork<Job>,
  { lane, signal, next }: Pick<CopyWorkerOptions<Job>, "signal" | "next"> & {
    readonly lane: number;
  },
): CopyWorkerOptions<Job> {
  const { source, target, targetSettings, snapshot, recordedConstraint, delaysMs, pace } = work;
  return {
    source,
    target,
    targetSettings,
    snapshot: snapshot.identifier,
    recordedConstraint,
    delaysMs,
    pace,
    signal,
    next,
    onStarted: work.onStarted,
    onBytes: work.onBytes,
    onFinished: (job, outcome) => work.onFinished(job, outcome, lane),
    onRetry: (error, attempt, delayMs) => work.onRetry(error, { lane, attempt, delayMs }),
  };
}
