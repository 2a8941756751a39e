import { type EventSink, plural, poll, retry } from "../../core/internal.ts";
import { readSourcePoint } from "../../checkpoint/internal.ts";
import {
  type CopyWork,
  type CopyWorkerJob,
  copyWorkerOptions,
  type CopyWorkerRunner,
  copyWorkersHere,
  runCopyWorker,
} from "../../copy/internal.ts";
import { type CopyOutcome, openSession, type Session } from "../../postgres/internal.ts";
import type { JobQueue, QueueName } from "../queue/mod.ts";
import type { OpenedSecrets } from "../secrets/mod.ts";
import {
  type ClaimedPart,
  closeCopy,
  coordinateCopy,
  coordinatorName,
  type CopyStatus,
  deleteFinishedParts,
  insertHelper,
  isOffered,
  type JobAttempt,
  leaveCopy,
  offerCopy,
  offerParts,
  readCopyStatus,
  type StoreDatabase,
} from "../store/mod.ts";
import {
  canBeShared,
  ClaimedJobs,
  claimNext,
  type CopyOffer,
  offerPurpose,
  sealPart,
} from "./offer.ts";

/** Settings of {@linkcode parallelCopyWorkers}. */
export interface ParallelCopyOptions extends JobAttempt {
  readonly database: StoreDatabase;
  readonly queue: JobQueue;
  readonly secrets: OpenedSecrets;
  readonly worker: string;
  readonly apiKeyId: string;
  readonly timeoutSeconds: number | null;
  /** The queue that helpers are sent to. */
  readonly queueName: QueueName;
  /** Total number of workers, including this one. */
  readonly workers: number;
  readonly events: EventSink;
  /** A coordinator or helper that has not reported for this long is considered lost. */
  readonly leaseSeconds: number;
  /** Interval between reads of the helpers' progress. */
  readonly pollMs: number;
  /** Called when another attempt of the job has started. */
  readonly onLost: () => void;
}

/** Runs a copy on several workers: this one coordinates it, and copies parts as the helpers do. */
export function parallelCopyWorkers(options: ParallelCopyOptions): CopyWorkerRunner {
  return {
    processes: options.workers,
    async run(work) {
      if (options.workers < 2 || !canBeShared(work)) {
        return await copyWorkersHere({ threads: 0 }).run(work);
      }
      await new SharedCopy(options, work).run();
    },
  };
}

/**
 * The coordinator's view of a copy shared with helpers.
 *
 * States: offered (parts and helpers are in the service's database) → running (participants claim
 * parts; the coordinator reads their progress and reassigns the parts of lost helpers) → closed,
 * whether or not all parts were copied.
 *
 * No part is ever copied twice, regardless of these states: the ledger in the target rejects a
 * second copy, and every part of an attempt that has ended.
 */
class SharedCopy<Job extends CopyWorkerJob> {
  readonly #copyId = crypto.randomUUID();
  readonly #options: ParallelCopyOptions;
  readonly #work: CopyWork<Job>;
  readonly #claimed: ClaimedJobs<Job>;
  readonly #numbers: ReadonlyMap<Job, number>;
  readonly #given = new Set<number>();
  readonly #finished = new Set<number>();
  readonly #finishedToDelete: number[] = [];
  readonly #ended = new AbortController();
  readonly #signal: AbortSignal;
  /** Progress of the parts that helpers have claimed. */
  readonly #moved = new Map<number, { readonly participant: string; bytes: number }>();
  readonly #announced = new Set<string>();
  #workersRunning = 0;
  readonly #copyWorkers: Promise<void>[] = [];

  constructor(options: ParallelCopyOptions, work: CopyWork<Job>) {
    this.#options = options;
    this.#work = work;
    this.#numbers = new Map(work.jobs.map((job, number) => [job, number]));
    this.#claimed = new ClaimedJobs(() => this.#claim());
    this.#signal = AbortSignal.any([work.signal, work.snapshot.lost, this.#ended.signal]);
  }

  async run(): Promise<void> {
    const { workerCount, jobs } = this.#work;
    try {
      await this.#offer();
      for (let worker = 1; worker <= workerCount; worker++) {
        this.#startCopyWorker(worker, { first: true });
      }
      await poll(async (probes) => {
        if (probes > 0) await this.#readProgress();
        return this.#finished.size >= jobs.length || undefined;
      }, { intervalMs: this.#options.pollMs, signal: this.#signal });
    } catch (error) {
      this.#ended.abort(error);
      throw this.#signal.reason;
    } finally {
      await Promise.all(this.#copyWorkers);
      await this.#close();
    }
  }

  async #offer(): Promise<void> {
    const { database, queue, secrets, jobId, attempt, worker, workers, queueName } = this.#options;
    const { source, target, snapshot, jobs, workerCount, targetSettings, retryDelaysMs } =
      this.#work;
    const { sharedLock } = target;
    const { recordedConstraint } = this.#work;
    if (sharedLock === undefined || recordedConstraint === undefined) {
      throw new Error("the copy cannot be shared");
    }
    const copyId = this.#copyId;
    const offer: CopyOffer = {
      sourceDatabase: source.database,
      targetDatabase: target.database,
      sharedLock,
      snapshot: snapshot.identifier,
      point: await readSourcePoint(snapshot.session),
      targetSettings,
      recordedConstraint,
      delaysMs: retryDelaysMs,
      lanes: workerCount,
    };
    const ciphertext = await secrets.seal(JSON.stringify(offer), offerPurpose(copyId));
    const parts = await Promise.all(jobs.map(async (job, number) => ({
      number,
      bytes: job.expectedBytes,
      ciphertext: await sealPart(secrets, { copyId, number, job }),
    })));
    const offering = async (session: Session): Promise<boolean> => {
      if (await isOffered(session, copyId)) return true;
      if (!await offerCopy(session, { copyId, jobId, attempt, ciphertext, worker })) return false;
      for (let from = 0; from < parts.length; from += 1_000) {
        await offerParts(session, copyId, parts.slice(from, from + 1_000));
      }
      for (let helper = 1; helper < Math.min(workers, jobs.length); helper++) {
        const [id, messageId] = [crypto.randomUUID(), crypto.randomUUID()];
        await insertHelper(session, { id, messageId, queue: queueName, copyId, jobId, attempt });
        const { apiKeyId, timeoutSeconds } = this.#options;
        await queue.send(session, {
          id: messageId,
          queue: queueName,
          jobId: id,
          apiKeyId,
          timeoutSeconds,
          first: true,
        });
      }
      return true;
    };
    if (!await database.use((session) => session.transaction(() => offering(session)))) {
      this.#lost();
    }
  }

  #startCopyWorker(worker: number, { first }: { readonly first: boolean }): void {
    this.#workersRunning++;
    const options = copyWorkerOptions(this.#work, {
      worker,
      signal: this.#signal,
      next: () => this.#claimed.next(),
    });
    const running = runCopyWorker<Job>({
      ...options,
      onFinished: (job, outcome) => this.#finish(job, outcome, worker),
    }).then(
      () => first ? this.#work.onIdle() : undefined,
      (error) => this.#ended.abort(error),
    ).finally(() => this.#workersRunning--);
    this.#copyWorkers.push(running);
  }

  async #claim(): Promise<readonly Job[]> {
    const parts = await claimNext(this.#options.database, {
      copyId: this.#copyId,
      participant: coordinatorName,
      given: this.#given,
    });
    return parts.map(({ number }) => this.#job(number));
  }

  #finish(job: Job, outcome: CopyOutcome, worker: number): void {
    const number = this.#numbers.get(job);
    if (number === undefined || this.#finished.has(number)) return;
    this.#finished.add(number);
    this.#finishedToDelete.push(number);
    this.#moved.delete(number);
    this.#work.onFinished(job, outcome, worker);
  }

  /** Reports that the coordinator is alive, and reads the helpers' progress. */
  async #readProgress(): Promise<void> {
    const { database, leaseSeconds } = this.#options;
    const copyId = this.#copyId;
    const finished = [...this.#finishedToDelete];
    const status = await database.use(async (session) => {
      if (!await coordinateCopy(session, copyId)) return undefined;
      if (finished.length > 0) await deleteFinishedParts(session, copyId, finished);
      return await readCopyStatus(session, { copyId, leaseSeconds });
    });
    if (status === undefined) return this.#lost();
    this.#finishedToDelete.splice(0, finished.length);
    this.#announce(status);
    for (const part of status.claimed) this.#takeProgress(part, status);
    for (const helper of status.helpers.filter(({ lost }) => lost)) {
      await this.#removeLost(helper, status);
    }
    // copy workers end when no part is left; parts of a lost helper are available again
    if (status.waiting > 0 && this.#workersRunning === 0) {
      const count = Math.min(this.#work.workerCount, status.waiting);
      for (let worker = 1; worker <= count; worker++) {
        this.#startCopyWorker(worker, { first: false });
      }
    }
  }

  #takeProgress(
    { number, participant, lane: worker, moved, done, rows }: ClaimedPart,
    { helpers }: CopyStatus,
  ): void {
    if (this.#finished.has(number)) return;
    const job = this.#job(number);
    let known = this.#moved.get(number);
    if (known?.participant !== participant) {
      if (worker === null) return; // claimed but not started
      known = { participant, bytes: 0 };
      this.#moved.set(number, known);
      this.#work.onStarted(job);
    }
    if (moved > known.bytes) this.#work.onBytes(job, moved - known.bytes);
    known.bytes = moved;
    if (!done) return;
    const { number: helper = 0 } = helpers.find((each) => each.participant === participant) ?? {};
    this.#finish(
      job,
      { rows: rows ?? 0, bytes: moved },
      this.#work.workerCount * helper + (worker ?? 1),
    );
  }

  #announce({ helpers }: CopyStatus): void {
    for (const { participant, worker } of helpers) {
      if (this.#announced.has(participant)) continue;
      this.#announced.add(participant);
      this.#options.events({
        kind: "info",
        message: `worker ${worker} is helping to copy ${this.#work.source.database}`,
      });
    }
  }

  /**
   * Removes a lost helper: terminates its sessions on the target, counts what it committed, and
   * makes its other parts available again.
   */
  async #removeLost(
    { participant, worker, number }: CopyStatus["helpers"][number],
    { claimed }: CopyStatus,
  ): Promise<void> {
    const own = claimed.filter((part) => part.participant === participant && !part.done);
    await using session = await retry(
      () => openSession(this.#work.target, { signal: this.#signal }),
      { signal: this.#signal },
    );
    await session.query(endSessionsStatement, [helperApplication(this.#copyId, participant)]);
    const finished: number[] = [];
    for (const part of own) {
      const job = this.#job(part.number);
      if (job.isRecorded === undefined) continue;
      if (!await hasRows(session, job.isRecorded)) continue;
      finished.push(part.number);
      // the ledger says that the part is complete, but the number of rows is unknown
      this.#finish(job, { rows: 0, bytes: part.moved }, this.#work.workerCount * number + 1);
    }
    await this.#options.database.use((session) =>
      leaveCopy(session, { copyId: this.#copyId, participant }, { finished })
    );
    this.#options.events({
      kind: "warning",
      object: `worker ${worker}`,
      message: `did not report for ${this.#options.leaseSeconds} s; ${
        plural(own.length - finished.length, "part")
      } it had claimed will be copied by other workers`,
    });
  }

  /**
   * Ends the copy for all helpers. If the service's database is unavailable, they end when their
   * leases expire.
   */
  async #close(): Promise<void> {
    await this.#options.database.use((session) =>
      session.transaction(() => closeCopy(session, this.#copyId))
    ).catch(() => {});
  }

  #lost(): never {
    this.#options.onLost();
    throw new Error("another worker has taken over the job");
  }

  #job(number: number): Job {
    const job = this.#work.jobs[number];
    if (job === undefined) throw new Error(`the copy has no part ${number}`);
    return job;
  }
}

/**
 * The application name of a helper's sessions on the target, by which the coordinator terminates
 * them. At most 63 bytes.
 */
export function helperApplication(copyId: string, participant: string): string {
  return `postgres-seren-replicator ${copyId.slice(0, 8)} ${participant.slice(0, 8)}${
    participant.slice(participant.indexOf("/"))
  }`;
}

async function hasRows(session: Session, query: string): Promise<boolean> {
  return (await session.query(query)).length > 0;
}

// otherwise a worker that was only disconnected could return to sessions that hold locks, or commit
// parts that another worker has started over
const endSessionsStatement = `
  SELECT pg_catalog.pg_terminate_backend(a.pid)
    FROM pg_catalog.pg_stat_activity AS a
    JOIN pg_catalog.pg_stat_activity AS own ON own.pid = pg_catalog.pg_backend_pid()
   WHERE a.application_name = $1 AND a.datid = own.datid AND a.usesysid = own.usesysid`;
