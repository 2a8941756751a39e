import { type EventSink, plural } from "../../core/internal.ts";
import { readSourcePoint } from "../../checkpoint/internal.ts";
import {
  type CopyWork,
  type CopyWorkerJob,
  copyWorkerOptions,
  type CopyWorkerRunner,
  copyWorkersHere,
  runCopyWorker,
} from "../../copy/internal.ts";
import {
  type CopyOutcome,
  openSession,
  pause,
  retry,
  type Session,
} from "../../postgres/internal.ts";
import type { JobQueue, QueueName } from "../queue/mod.ts";
import type { OpenedSecrets } from "../secrets/mod.ts";
import {
  type Attempt,
  closeCopy,
  coordinateCopy,
  coordinatorName,
  type CopyNews,
  forgetParts,
  insertHelper,
  isOffered,
  leaveCopy,
  offerCopy,
  offerParts,
  readCopyNews,
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

/** What a leader needs. */
export interface ParallelCopyOptions extends Attempt {
  readonly database: StoreDatabase;
  readonly queue: JobQueue;
  readonly secrets: OpenedSecrets;
  readonly worker: string;
  readonly apiKeyId: string;
  readonly timeoutSeconds: number;
  /** Where helpers are asked for. */
  readonly queueName: QueueName;
  /** Workers in all, this one too. */
  readonly workers: number;
  readonly events: EventSink;
  /** A helper, and a leader, that has not been heard of for so long is lost. */
  readonly leaseSeconds: number;
  /** Time between two looks at what the others have done. */
  readonly everyMs: number;
  /** Called when another attempt of the job has begun. */
  readonly onLost: () => void;
}

/** Lanes on several workers: this one leads, and offers to others what it copies itself. */
export function parallelCopyWorkers(options: ParallelCopyOptions): CopyWorkerRunner {
  return {
    processes: options.workers,
    async run(work) {
      if (options.workers < 2 || !canBeShared(work)) return await copyWorkersHere().run(work);
      await new SharedCopy(options, work).run();
    },
  };
}

/**
 * A copy that others help with, seen from its leader.
 *
 * States: offered (parts and helping jobs are in the service's database) → running (members claim
 * parts; the leader hears of what is done, and gives parts of lost members to others) → closed,
 * whether all was done or not.
 *
 * That no part comes twice does not depend on any of this: the ledger in the target refuses the
 * second one, and every one of an attempt that is over.
 */
class SharedCopy<Job extends CopyWorkerJob> {
  readonly #copyId = crypto.randomUUID();
  readonly #options: ParallelCopyOptions;
  readonly #work: CopyWork<Job>;
  readonly #claimed: ClaimedJobs<Job>;
  readonly #numbers: ReadonlyMap<Job, number>;
  readonly #given = new Set<number>();
  readonly #finished = new Set<number>();
  readonly #toForget: number[] = [];
  readonly #ended = new AbortController();
  readonly #signal: AbortSignal;
  /** What is known of parts that helpers have. */
  readonly #moved = new Map<number, { readonly member: string; bytes: number }>();
  readonly #known = new Set<string>();
  #lanesRunning = 0;
  readonly #lanes: Promise<void>[] = [];

  constructor(options: ParallelCopyOptions, work: CopyWork<Job>) {
    this.#options = options;
    this.#work = work;
    this.#numbers = new Map(work.jobs.map((job, number) => [job, number]));
    this.#claimed = new ClaimedJobs(() => this.#claim());
    this.#signal = AbortSignal.any([work.signal, work.snapshot.lost, this.#ended.signal]);
  }

  async run(): Promise<void> {
    const { lanes, jobs } = this.#work;
    try {
      await this.#offer();
      for (let lane = 1; lane <= lanes; lane++) this.#startLane(lane, { first: true });
      while (this.#finished.size < jobs.length) {
        await pause(this.#options.everyMs, this.#signal);
        await this.#look();
      }
    } catch (error) {
      this.#ended.abort(error);
      throw this.#signal.reason;
    } finally {
      await Promise.all(this.#lanes);
      await this.#close();
    }
  }

  async #offer(): Promise<void> {
    const { database, queue, secrets, jobId, attempt, worker, workers, queueName } = this.#options;
    const { source, target, snapshot, jobs, lanes, targetSettings, delaysMs } = this.#work;
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
      delaysMs,
      lanes,
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

  #startLane(lane: number, { first }: { readonly first: boolean }): void {
    this.#lanesRunning++;
    const options = copyWorkerOptions(this.#work, {
      lane,
      signal: this.#signal,
      next: () => this.#claimed.next(),
    });
    const running = runCopyWorker<Job>({
      ...options,
      onFinished: (job, outcome) => this.#finish(job, outcome, lane),
    }).then(
      () => first ? this.#work.onIdle() : undefined,
      (error) => this.#ended.abort(error),
    ).finally(() => this.#lanesRunning--);
    this.#lanes.push(running);
  }

  async #claim(): Promise<readonly Job[]> {
    const parts = await claimNext(this.#options.database, {
      copyId: this.#copyId,
      member: coordinatorName,
      given: this.#given,
    });
    return parts.map(({ number }) => this.#job(number));
  }

  #finish(job: Job, outcome: CopyOutcome, lane: number): void {
    const number = this.#numbers.get(job);
    if (number === undefined || this.#finished.has(number)) return;
    this.#finished.add(number);
    this.#toForget.push(number);
    this.#moved.delete(number);
    this.#work.onFinished(job, outcome, lane);
  }

  /** Hears what the others have done; says that the leader lives. */
  async #look(): Promise<void> {
    const { database, leaseSeconds } = this.#options;
    const copyId = this.#copyId;
    const forget = [...this.#toForget];
    const news = await database.use(async (session) => {
      if (!await coordinateCopy(session, copyId)) return undefined;
      if (forget.length > 0) await forgetParts(session, copyId, forget);
      return await readCopyNews(session, { copyId, leaseSeconds });
    });
    if (news === undefined) return this.#lost();
    this.#toForget.splice(0, forget.length);
    this.#greet(news);
    for (const part of news.claimed) this.#hear(part, news);
    for (const member of news.members.filter(({ lost }) => lost)) await this.#giveUp(member, news);
    // lanes have ended when nothing waited; what was a lost member's waits again
    if (news.waiting > 0 && this.#lanesRunning === 0) {
      const lanes = Math.min(this.#work.lanes, news.waiting);
      for (let lane = 1; lane <= lanes; lane++) this.#startLane(lane, { first: false });
    }
  }

  #hear({ number, member, lane, moved, done, rows }: CopyNews["claimed"][number], news: CopyNews) {
    if (this.#finished.has(number)) return;
    const job = this.#job(number);
    let before = this.#moved.get(number);
    if (before?.member !== member) {
      if (lane === null) return; // claimed and not begun
      before = { member, bytes: 0 };
      this.#moved.set(number, before);
      this.#work.onStarted(job);
    }
    if (moved > before.bytes) this.#work.onBytes(job, moved - before.bytes);
    before.bytes = moved;
    if (!done) return;
    const { number: helper = 0 } = news.members.find((each) => each.member === member) ?? {};
    this.#finish(job, { rows: rows ?? 0, bytes: moved }, this.#work.lanes * helper + (lane ?? 1));
  }

  #greet({ members }: CopyNews): void {
    for (const { member, worker } of members) {
      if (this.#known.has(member)) continue;
      this.#known.add(member);
      this.#options.events({
        kind: "info",
        message: `worker ${worker} helps to copy ${this.#work.source.database}`,
      });
    }
  }

  /**
   * A member was not heard of: its sessions on the target are ended, what it has committed counts,
   * and the rest waits again.
   */
  async #giveUp(
    { member, worker, number }: CopyNews["members"][number],
    { claimed }: CopyNews,
  ): Promise<void> {
    const own = claimed.filter((part) => part.member === member && !part.done);
    await using session = await retry(
      () => openSession(this.#work.target, { signal: this.#signal }),
      { signal: this.#signal },
    );
    await session.query(endSessionsStatement, [helperApplication(this.#copyId, member)]);
    const keep: number[] = [];
    for (const part of own) {
      const job = this.#job(part.number);
      if (job.isRecorded === undefined) continue;
      if (!await isRecorded(session, job.isRecorded)) continue;
      keep.push(part.number);
      // how many rows they were nobody knows any more; the ledger has that it is all of them
      this.#finish(job, { rows: 0, bytes: part.moved }, this.#work.lanes * number + 1);
    }
    await this.#options.database.use((session) =>
      leaveCopy(session, { copyId: this.#copyId, member }, { keep })
    );
    this.#options.events({
      kind: "warning",
      object: `worker ${worker}`,
      message: `was not heard of for ${this.#options.leaseSeconds} s; ${
        plural(own.length - keep.length, "part")
      } that it had claimed ${own.length - keep.length === 1 ? "goes" : "go"} to others`,
    });
  }

  /**
   * Nobody is to begin anything of it any more. When the service's database is away its leases see
   * to that.
   */
  async #close(): Promise<void> {
    await this.#options.database.use((session) =>
      session.transaction(() => closeCopy(session, this.#copyId))
    ).catch(() => {});
  }

  #lost(): never {
    this.#options.onLost();
    throw new Error("another worker has taken the job over");
  }

  #job(number: number): Job {
    const job = this.#work.jobs[number];
    if (job === undefined) throw new Error(`the copy has no part ${number}`);
    return job;
  }
}

/**
 * How a helper's sessions on the target are called, so that its leader can end them. At most 63
 * bytes.
 */
export function helperApplication(copyId: string, member: string): string {
  return `postgres-seren-replicator ${copyId.slice(0, 8)} ${member.slice(0, 8)}${
    member.slice(member.indexOf("/"))
  }`;
}

async function isRecorded(session: Session, query: string): Promise<boolean> {
  return (await session.query(query)).length > 0;
}

// a worker that has lost its network would come back to a session that holds locks, or commit what
// another has begun again
const endSessionsStatement = `
  SELECT pg_catalog.pg_terminate_backend(a.pid)
    FROM pg_catalog.pg_stat_activity AS a
    JOIN pg_catalog.pg_stat_activity AS own ON own.pid = pg_catalog.pg_backend_pid()
   WHERE a.application_name = $1 AND a.datid = own.datid AND a.usesysid = own.usesysid`;
