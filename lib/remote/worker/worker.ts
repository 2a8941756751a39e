import { errorMessage, pause, repeatUntilAborted } from "../../core/internal.ts";
import { type Claim, claimJob, type QueueName } from "../queue/mod.ts";
import type { JobLogLevel } from "../spec/mod.ts";
import { attemptNumber, removeWorker, reportWorker } from "../store/mod.ts";
import { StuckRunError } from "./end_in_time.ts";
import { type Retention, runMaintenance } from "./maintenance.ts";
import { runClaim } from "./run_claim.ts";
import type { RunSettings } from "./run_settings.ts";

/** A message to the operator, without secrets. */
export interface WorkerNotice {
  readonly level: JobLogLevel;
  readonly message: string;
  readonly job?: string;
  readonly traceId?: string;
}

/** How a worker runs. */
export interface WorkerOptions extends RunSettings {
  /** Unique among all workers. */
  readonly name: string;
  /** In order of preference. */
  readonly queues: readonly QueueName[];
  /** Maximum number of concurrent jobs. */
  readonly concurrency: number;
  /** Maximum number of concurrent jobs on all workers together. */
  readonly maxRunning: number;
  /** Interval between attempts to claim a job while there is none. */
  readonly pollMs: number;
  /** How long running jobs may continue at shutdown before they are returned to the queue. */
  readonly drainMs: number;
  readonly retention: Retention;
  /** Interval between maintenance runs. */
  readonly maintenanceEveryMs: number;
  readonly notice: (notice: WorkerNotice) => void;
}

const reportEveryMs = 5_000;

/**
 * Claims and runs jobs until it is shut down.
 *
 * States: working → draining (claims no more jobs; running jobs may finish, those without an end
 * return to the queue) → releasing (running jobs stop at their checkpoint and return to the queue)
 * → ended, when {@linkcode run} resolves.
 *
 * Requires `--allow-net` for the service's database and the servers of the jobs, and read and write
 * access to the workspace.
 */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #running = new Map<string, Promise<void>>();
  readonly #drainBegun = new AbortController();
  readonly #release = new AbortController();
  #failure: { readonly error: unknown } | undefined;

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  /** Number of running jobs. */
  get running(): number {
    return this.#running.size;
  }

  /**
   * Works until the signal is aborted, then until the running jobs have ended or were returned to
   * the queue.
   *
   * @throws StuckRunError if a run did not stop when aborted; the process should exit
   */
  async run(signal: AbortSignal): Promise<void> {
    const ended = new AbortController();
    const chores = [
      this.#repeat(() => this.#report(), reportEveryMs, ended.signal),
      this.#repeat(
        () => runMaintenance(this.#options),
        this.#options.maintenanceEveryMs,
        ended.signal,
      ),
    ];
    try {
      await this.#claimUntil(signal);
      await this.#drain();
    } finally {
      ended.abort();
      await Promise.all(chores);
      const { pool, name } = this.#options;
      // otherwise maintenance removes it in a day
      await pool.use((session) => removeWorker(session, name)).catch(() => {});
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #claimUntil(signal: AbortSignal): Promise<void> {
    const { concurrency, pollMs, notice } = this.#options;
    const shutdown = aborted(signal);
    let failed = false;
    while (!signal.aborted && this.#failure === undefined) {
      if (this.#running.size >= concurrency) {
        await Promise.race([...this.#running.values(), shutdown]);
        continue;
      }
      let claim: Claim | undefined;
      try {
        claim = await claimJob(this.#options.pool, this.#options.queue, {
          ...this.#options,
          worker: this.#options.name,
        });
        if (failed) notice({ level: "info", message: "the service's database is available again" });
        failed = false;
      } catch (error) {
        if (!failed) {
          notice({ level: "error", message: `jobs cannot be claimed: ${errorMessage(error)}` });
        }
        failed = true;
      }
      // an abort ends the loop
      if (claim === undefined) await pause(failed ? 1_000 : pollMs, signal).catch(() => {});
      else this.#start(claim);
    }
  }

  #start(claim: Claim): void {
    const { notice } = this.#options;
    const { job } = claim;
    const about = { job: job.id, traceId: job.traceId };
    const what = job.parentId === null ? job.command : `helping with ${job.parentId}`;
    notice({ ...about, level: "info", message: `${what}: attempt ${attemptNumber(job)}` });
    const shutdown = { begun: this.#drainBegun.signal, due: this.#release.signal };
    const run = runClaim(claim, this.#options, shutdown)
      .then((outcome) => notice({ ...about, level: "info", message: `${what}: ${outcome}` }))
      .catch((error) => {
        // failures of the job are recorded in it; an error here comes from the service's database,
        // or from a run that cannot be stopped
        notice({ ...about, level: "error", message: errorMessage(error) });
        if (error instanceof StuckRunError) this.#failure = { error };
      })
      .finally(() => this.#running.delete(job.id));
    this.#running.set(job.id, run);
  }

  async #drain(): Promise<void> {
    this.#drainBegun.abort();
    const { drainMs, notice } = this.#options;
    if (this.#running.size === 0) return;
    notice({ level: "info", message: `draining: ${this.#running.size} running` });
    const timer = setTimeout(() => this.#release.abort(), drainMs);
    await Promise.all(this.#running.values());
    clearTimeout(timer);
  }

  async #report(): Promise<void> {
    const { pool, name, queues, concurrency } = this.#options;
    await pool.use((session) =>
      reportWorker(session, {
        name,
        queues,
        concurrency,
        running: this.#running.size,
        draining: this.#drainBegun.signal.aborted,
      })
    );
  }

  /** Repeats work at an interval; a failure is reported and does not end it. */
  async #repeat(work: () => Promise<void>, intervalMs: number, signal: AbortSignal): Promise<void> {
    await repeatUntilAborted(
      () =>
        work().catch((error) =>
          this.#options.notice({ level: "warn", message: errorMessage(error) })
        ),
      { intervalMs, signal },
    );
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  else signal.addEventListener("abort", () => resolve(), { once: true });
  return promise;
}
