/**
 * One worker of the copy: a session on each side, and jobs that go from one to the other.
 *
 * @module
 */
import {
  type CopyJob,
  type CopyOutcome,
  type Endpoint,
  importSnapshot,
  isTransient,
  openSession,
  relayCopies,
  type RelayOptions,
  retry,
  ServerError,
  type Session,
  SqlState,
} from "../postgres/internal.ts";

/** Pauses of a lane whose connection broke, before it goes on; a finished job starts them anew. */
export const copyRetryDelaysMs: readonly number[] = [200, 1_000, 2_000, 4_000, 8_000];

/**
 * A COPY of which the target knows whether it was committed. Plain data: it can be sent to a worker
 * thread.
 */
export interface CopyWorkerJob extends CopyJob {
  /**
   * A query on the target that gives a row when the job is committed. Without it a job whose
   * connection broke while the target was committing ends the copy: whether its rows are there
   * cannot be told.
   */
  readonly isRecorded?: string;
}

/** What a lane works on. Plain data but for the functions. */
export interface CopyWorkerOptions<Job extends CopyWorkerJob> extends RelayOptions<Job> {
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** Identifier of the exported snapshot that all lanes read under. */
  readonly snapshot: string;
  /** Of its sessions on the target, on top of the pinned ones. */
  readonly targetSettings?: Readonly<Record<string, string>> | undefined;
  readonly signal: AbortSignal;
  /**
   * Looks at the source's session when it reads under the snapshot, before anything is copied; what
   * it throws ends the lane.
   */
  readonly onSnapshot?: ((session: Session) => Promise<void>) | undefined;
  /** Told before a lane waits and goes on with new sessions. */
  readonly onRetry?: (error: unknown, attempt: number, delayMs: number) => void;
  /** The constraint that a job violates which is recorded already. */
  readonly recordedConstraint?: string | undefined;
  /** Pauses between attempts that finish nothing; their number is the number of retries. */
  readonly delaysMs?: readonly number[] | undefined;
}

/**
 * Copies jobs until there are none.
 *
 * When a connection breaks, or a server refuses for a reason that passes (restart, deadlock, lock
 * timeout), the lane opens new sessions, imports the snapshot again while it is held, asks the
 * target which of the jobs under way were committed, and goes on with those that were not. Other
 * lanes do not notice.
 *
 * Requires `--allow-net` for both hosts.
 *
 * @throws SnapshotLostError when the snapshot is gone; ServerError, ConnectionError when trying
 * again does not help
 */
export async function runCopyWorker<Job extends CopyWorkerJob>(
  options: CopyWorkerOptions<Job>,
): Promise<void> {
  const { signal, onRetry, delaysMs = copyRetryDelaysMs } = options;
  const lane = new Lane(options);
  await retry(async ({ reportProgress }) => {
    const finishedBefore = lane.finished;
    try {
      await lane.run();
    } finally {
      if (lane.finished > finishedBefore) reportProgress();
    }
  }, { delaysMs, signal, onRetry, isRetryable: (error) => lane.canGoOnAfter(error) });
}

class Lane<Job extends CopyWorkerJob> {
  readonly #options: CopyWorkerOptions<Job>;
  /** Taken and not known to be committed, in their order. */
  readonly #underWay = new Set<Job>();
  /** Of those: what the source has sent in full. Only they can have been committed. */
  readonly #sent = new Map<Job, CopyOutcome>();
  /** To be begun again before new jobs are taken. */
  #again: Job[] = [];
  /** Settles when the job that was asked for last has come. */
  #promised: Promise<unknown> = Promise.resolve();
  /** The target's backend of the attempt before. */
  #backend: number | undefined;
  finished = 0;

  constructor(options: CopyWorkerOptions<Job>) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { source, target, targetSettings, signal, snapshot } = this.#options;
    const { onStarted, onBytes, pace, onSnapshot } = this.#options;
    await using to = await openSession(target, {
      signal,
      computesValues: true,
      settings: { synchronous_commit: "off", ...targetSettings },
    });
    await this.#sortOut(to);
    this.#backend = to.processId;
    await using from = await openSession(source, { signal });
    await agreeOnMoney(from, to);
    await importSnapshot(from, snapshot);
    await onSnapshot?.(from);
    // last of all: what runs from here on are the copies, and texts that name everything with its
    // schema
    if (target.ownSearchPath) await to.execute("SET search_path TO DEFAULT");
    try {
      await relayCopies<Job>(from, to, {
        next: () => this.#next(),
        onStarted: (job) => onStarted?.(job),
        onBytes: (job, bytes) => onBytes?.(job, bytes),
        pace,
        onSent: (job, outcome) => this.#sent.set(job, outcome),
        onFinished: (job, outcome) => this.#finish(job, outcome),
      });
    } finally {
      // a job that comes after the connection broke is begun by the next attempt
      await this.#promised;
    }
  }

  canGoOnAfter(error: unknown): boolean {
    if ([...this.#sent.keys()].some(({ isRecorded }) => isRecorded === undefined)) return false;
    // the session that was given up committed the job after it had been begun again: nothing came
    // twice, the ledger saw to that
    const recorded = error instanceof ServerError && error.sqlState === SqlState.uniqueViolation &&
      error.serverMessage.constraint !== undefined &&
      error.serverMessage.constraint === this.#options.recordedConstraint;
    return recorded || isTransient(error);
  }

  #next(): Job | undefined | Promise<Job | undefined> {
    const job = this.#again.shift() ?? this.#options.next();
    if (!(job instanceof Promise)) return this.#take(job);
    const promised = job.then((job) => this.#take(job));
    this.#promised = promised.catch(() => {}); // the relay hears of it
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

  /**
   * Tells the jobs that the broken connection left behind apart: those that were committed all the
   * same, and those to begin again.
   */
  async #sortOut(target: Session): Promise<void> {
    if (this.#backend !== undefined) await target.query(endLeftBehind, [this.#backend]);
    for (const [job, outcome] of [...this.#sent]) {
      if (job.isRecorded === undefined) continue;
      if ((await target.query(job.isRecorded)).length > 0) this.#finish(job, outcome);
    }
    this.#again = [...this.#underWay, ...this.#again];
    this.#underWay.clear();
    this.#sent.clear();
  }
}

/**
 * Amounts of money are written as `lc_monetary` says and can only be read so. The target's own one
 * counts for what is computed from them, so the source takes that; a source that does not have it
 * leaves both with C.
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

// A backend whose client went away unseen would keep its locks until keepalives end it. The process
// id alone would not do: the server may have been restarted and given it to somebody else.
const endLeftBehind = `
  SELECT pg_catalog.pg_terminate_backend(old.pid)
    FROM pg_catalog.pg_stat_activity AS old
    JOIN pg_catalog.pg_stat_activity AS own ON own.pid = pg_catalog.pg_backend_pid()
   WHERE old.pid = $1 AND old.pid <> own.pid AND old.application_name = own.application_name
     AND old.datid = own.datid AND old.usesysid = own.usesysid
     AND old.backend_start < own.backend_start`;
