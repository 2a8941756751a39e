/**
 * One worker of the copy: a session on each side, and jobs that go from one to the other.
 *
 * @module
 */
import { isTransient, joinAll, retry } from "../core/internal.ts";
import {
  type CopyJob,
  type CopyOutcome,
  type Endpoint,
  importSnapshot,
  openSession,
  relayCopies,
  type RelayOptions,
  ServerError,
  type Session,
  SqlState,
  terminatePreviousBackend,
} from "../postgres/internal.ts";

/**
 * A COPY whose commit the target records. Plain data: it can be sent to a thread.
 */
export interface CopyWorkerJob extends CopyJob {
  /**
   * Query on the target that returns a row once the job is committed. Without it, a connection that
   * breaks while the target commits ends the copy: whether the rows arrived is unknown.
   */
  readonly isRecorded?: string;
}

/** What a worker copies. Plain data except for the functions. */
export interface CopyWorkerOptions<Job extends CopyWorkerJob>
  extends Pick<RelayOptions<Job>, "next" | "onFinished"> {
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** Identifier of the exported snapshot that all workers read under. */
  readonly snapshot: string;
  /** Settings of its sessions on the target, besides the pinned ones. */
  readonly targetSettings: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /**
   * Called with the source's session under the snapshot, before anything is copied; an error ends
   * the worker. Undefined: nothing is called.
   */
  readonly onSnapshot: ((session: Session) => Promise<void>) | undefined;
  /** Called when the source starts to send the job's rows. */
  readonly onStarted: (job: Job) => void;
  /** COPY bytes sent to the target. */
  readonly onBytes: (job: Job, bytes: number) => void;
  /** Rate limit, see `RelayOptions.pace`; undefined for none. */
  readonly pace: RelayOptions<Job>["pace"];
  /** Called before the worker pauses and resumes with new sessions. */
  readonly onRetry: (error: unknown, attempt: number, delayMs: number) => void;
  /**
   * The constraint that is violated by a job that is recorded already; undefined if jobs are not
   * recorded.
   */
  readonly recordedConstraint: string | undefined;
  /** Pauses between attempts without progress; their number is the number of retries. */
  readonly retryDelaysMs: readonly number[];
}

/**
 * Copies jobs until there are none.
 *
 * When a connection breaks, or a server fails temporarily (restart, deadlock, lock timeout), the
 * worker opens new sessions, imports the snapshot again while it is held, asks the target which of
 * its jobs were committed, and repeats the others. Other workers are not affected.
 *
 * Requires `--allow-net` for both hosts.
 *
 * @throws SnapshotLostError when the snapshot is gone; ServerError, ConnectionError when retries do
 * not help
 */
export async function runCopyWorker<Job extends CopyWorkerJob>(
  options: CopyWorkerOptions<Job>,
): Promise<void> {
  const { signal, onRetry, retryDelaysMs: delaysMs } = options;
  const worker = new CopyWorker(options);
  await retry(async ({ reportProgress }) => {
    const finishedBefore = worker.finished;
    try {
      await worker.run();
    } finally {
      if (worker.finished > finishedBefore) reportProgress();
    }
  }, { delaysMs, signal, onRetry, isRetryable: (error) => worker.canResumeAfter(error) });
}

class CopyWorker<Job extends CopyWorkerJob> {
  readonly #options: CopyWorkerOptions<Job>;
  /** Started and not known to be committed, in order. */
  readonly #underWay = new Set<Job>();
  /** Those that the source has sent in full: only they can have been committed. */
  readonly #sent = new Map<Job, CopyOutcome>();
  /** Repeated before new jobs are taken. */
  #repeated: Job[] = [];
  /** Settles when the job that was requested last has arrived. */
  #promised: Promise<unknown> = Promise.resolve();
  /** The target's backend of the previous attempt. */
  #backend: number | undefined;
  finished = 0;

  constructor(options: CopyWorkerOptions<Job>) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { source, target, targetSettings, signal, snapshot } = this.#options;
    const { onStarted, onBytes, pace, onSnapshot } = this.#options;
    await using stack = new AsyncDisposableStack();
    const open = async (...session: Parameters<typeof openSession>) =>
      stack.use(await openSession(...session));
    const [to, from] = await joinAll([
      open(target, {
        signal,
        computesValues: true,
        settings: { synchronous_commit: "off", ...targetSettings },
      }),
      open(source, { signal }),
    ]);
    await this.#checkCommitted(to);
    this.#backend = to.processId;
    await agreeOnMoney(from, to);
    await importSnapshot(from, snapshot);
    await onSnapshot?.(from);
    // last, because only COPY and qualified statements run from here on
    if (target.ownSearchPath) await to.execute("SET search_path TO DEFAULT");
    try {
      await relayCopies<Job>(from, to, {
        next: () => this.#next(),
        onStarted,
        onBytes,
        pace,
        onSent: (job, outcome) => this.#sent.set(job, outcome),
        onFinished: (job, outcome) => this.#finish(job, outcome),
      });
    } finally {
      // a job that arrives after the connection broke is started by the next attempt
      await this.#promised;
    }
  }

  canResumeAfter(error: unknown): boolean {
    if ([...this.#sent.keys()].some(({ isRecorded }) => isRecorded === undefined)) return false;
    // the abandoned session committed the job after its repetition had started, and the ledger
    // refused the second copy
    const recorded = error instanceof ServerError && error.sqlState === SqlState.uniqueViolation &&
      error.serverMessage.constraint !== undefined &&
      error.serverMessage.constraint === this.#options.recordedConstraint;
    return recorded || isTransient(error);
  }

  #next(): Job | undefined | Promise<Job | undefined> {
    const job = this.#repeated.shift() ?? this.#options.next();
    if (!(job instanceof Promise)) return this.#take(job);
    const promised = job.then((job) => this.#take(job));
    this.#promised = promised.catch(() => {}); // the relay awaits it
    return promised;
  }

  #take(job: Job | undefined): Job | undefined {
    if (job !== undefined) this.#underWay.add(job);
    return job;
  }

  #finish(job: Job, outcome: CopyOutcome): void {
    this.#underWay.delete(job);
    this.#sent.delete(job);
    this.finished++;
    this.#options.onFinished(job, outcome);
  }

  /** Finishes the jobs that the broken connection has committed, and queues the others again. */
  async #checkCommitted(target: Session): Promise<void> {
    if (this.#backend !== undefined) await terminatePreviousBackend(target, this.#backend);
    for (const [job, outcome] of [...this.#sent]) {
      if (job.isRecorded === undefined) continue;
      if ((await target.query(job.isRecorded)).length > 0) this.#finish(job, outcome);
    }
    this.#repeated = [...this.#underWay, ...this.#repeated];
    this.#underWay.clear();
    this.#sent.clear();
  }
}

/**
 * `money` can be read only under the `lc_monetary` that it was written under. Values computed on
 * the target depend on the target's, so the source adopts it; if it lacks that locale, both use C.
 */
async function agreeOnMoney(source: Session, target: Session): Promise<void> {
  const { own } = await target.queryOne<{ readonly own: string }>(
    "SELECT reset_val AS own FROM pg_catalog.pg_settings WHERE name = 'lc_monetary'",
  );
  if (own === "C") return;
  try {
    await source.query("SELECT pg_catalog.set_config('lc_monetary', $1, false)", [own]);
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    return;
  }
  await target.query("SELECT pg_catalog.set_config('lc_monetary', $1, false)", [own]);
}
