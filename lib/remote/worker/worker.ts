import { errorMessage } from "../../core/internal.ts";
import { pause } from "../../postgres/internal.ts";
import { type Claim, claimJob, type QueueName } from "../queue/mod.ts";
import type { JobLogLevel } from "../spec/mod.ts";
import { attemptNumber, removeWorker, reportWorker } from "../store/mod.ts";
import { StuckRunError } from "./end_in_time.ts";
import { type Retention, runMaintenance } from "./maintenance.ts";
import { runClaim } from "./run_claim.ts";
import type { RunSettings } from "./run_settings.ts";

/** Something to tell the operator; nothing secret is in it. */
export interface WorkerNotice {
  readonly level: JobLogLevel;
  readonly message: string;
  readonly job?: string;
  readonly traceId?: string;
}

/** What a worker does. */
export interface WorkerOptions extends RunSettings {
  /** Unique among all workers. */
  readonly name: string;
  /** In order of preference. */
  readonly queues: readonly QueueName[];
  /** Jobs at once. */
  readonly concurrency: number;
  /** Jobs at once on all workers together. */
  readonly maxRunning: number;
  /** How long to wait before asking again when there was nothing to do. */
  readonly pollMs: number;
  /**
   * How long running jobs may go on when the worker is told to end; then they are given to others.
   */
  readonly drainMs: number;
  readonly retention: Retention;
  /** How often dead letters and what is old are looked for. */
  readonly maintenanceEveryMs: number;
  readonly notice: (notice: WorkerNotice) => void;
}

const reportEveryMs = 5_000;

/**
 * Claims and runs jobs until it is told to end.
 *
 * States: working → draining (claims nothing more, running jobs may finish) → giving back (running
 * jobs end at their checkpoint and go to others) → ended, when {@linkcode run} resolves.
 *
 * Requires `--allow-net` for the service's database and the servers of the jobs, and read and write
 * access to the workspace.
 */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #running = new Map<string, Promise<void>>();
  readonly #giveBack = new AbortController();
  #failure: { readonly error: unknown } | undefined;
  #draining = false;

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  /** How many jobs run now. */
  get running(): number {
    return this.#running.size;
  }

  /**
   * Works until the signal is aborted, and then until the jobs that run have ended or were given
   * back.
   *
   * @throws StuckRunError when a run did not end although it was told to: the process should end
   * then
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
      // it is forgotten in a day anyway
      await pool.use((session) => removeWorker(session, name)).catch(() => {});
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #claimUntil(signal: AbortSignal): Promise<void> {
    const { concurrency, pollMs, notice } = this.#options;
    const told = aborted(signal);
    let failed = false;
    while (!signal.aborted && this.#failure === undefined) {
      if (this.#running.size >= concurrency) {
        await Promise.race([...this.#running.values(), told]);
        continue;
      }
      let claim: Claim | undefined;
      try {
        claim = await claimJob(this.#options.pool, this.#options.queue, {
          ...this.#options,
          worker: this.#options.name,
        });
        if (failed) notice({ level: "info", message: "the service's database answers again" });
        failed = false;
      } catch (error) {
        if (!failed) {
          notice({ level: "error", message: `cannot claim jobs: ${errorMessage(error)}` });
        }
        failed = true;
      }
      // the loop's condition tells
      if (claim === undefined) await pause(failed ? 1_000 : pollMs, signal).catch(() => {});
      else this.#start(claim);
    }
  }

  #start(claim: Claim): void {
    const { notice } = this.#options;
    const { job } = claim;
    const about = { job: job.id, traceId: job.traceId };
    const what = job.parentId === null ? job.command : `helps with ${job.parentId}`;
    notice({ ...about, level: "info", message: `${what}: attempt ${attemptNumber(job)}` });
    const run = runClaim(claim, this.#options, this.#giveBack.signal)
      .then((outcome) => notice({ ...about, level: "info", message: `${what}: ${outcome}` }))
      .catch((error) => {
        // what happened stands in the job; an error here is of the service's database, or a run
        // that cannot be ended
        notice({ ...about, level: "error", message: errorMessage(error) });
        if (error instanceof StuckRunError) this.#failure = { error };
      })
      .finally(() => this.#running.delete(job.id));
    this.#running.set(job.id, run);
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    const { drainMs, notice } = this.#options;
    if (this.#running.size === 0) return;
    notice({ level: "info", message: `draining: ${this.#running.size} running` });
    const patience = setTimeout(() => this.#giveBack.abort(), drainMs);
    await Promise.all(this.#running.values());
    clearTimeout(patience);
  }

  async #report(): Promise<void> {
    const { pool, name, queues, concurrency } = this.#options;
    await pool.use((session) =>
      reportWorker(session, {
        name,
        queues,
        concurrency,
        running: this.#running.size,
        draining: this.#draining,
      })
    );
  }

  /** Does something now and again; a failure is told and does not end it. */
  async #repeat(work: () => Promise<void>, everyMs: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await work().catch((error) =>
        this.#options.notice({ level: "warn", message: errorMessage(error) })
      );
      await pause(everyMs, signal).catch(() => {}); // the loop's condition tells
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  else signal.addEventListener("abort", () => resolve(), { once: true });
  return promise;
}
