import { type EventSink, ReplicatorError, retryEvent } from "../../core/internal.ts";
import { readSourcePoint } from "../../checkpoint/internal.ts";
import { CopyThrottle, runCopyWorker } from "../../copy/internal.ts";
import { type Endpoint, pause, type Session, withDatabase } from "../../postgres/internal.ts";
import type { OpenedSecrets } from "../secrets/mod.ts";
import {
  joinCopy,
  leaveCopy,
  type PartNews,
  readOffer,
  reportParts,
  stayInCopy,
  type StoreDatabase,
} from "../store/mod.ts";
import { helperApplication } from "./coordinator.ts";
import {
  ClaimedJobs,
  claimNext,
  type CopyOffer,
  offerPurpose,
  type ReportingJob,
  unsealPart,
} from "./offer.ts";

/** What a helper needs. */
export interface HelpOptions {
  readonly database: StoreDatabase;
  /** The parent's. */
  readonly secrets: OpenedSecrets;
  readonly copyId: string;
  /** The helping job and its attempt: another attempt is another member. */
  readonly member: string;
  readonly worker: string;
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly signal: AbortSignal;
  readonly leaseSeconds: number;
  readonly everyMs: number;
  /** The most that this member reads. */
  readonly maxBytesPerSecond: number | undefined;
  readonly events: EventSink;
}

/** What a helper has done. */
export interface HelpReport {
  readonly parts: number;
  readonly rows: number;
  readonly bytes: number;
}

interface HelperJob extends ReportingJob {
  readonly number: number;
}

/**
 * Helps with a copy until it is over: claims parts, copies them under the leader's snapshot, and
 * tells what is done.
 *
 * It ends at once when the leader is not heard of any more, has given it up, or its job is over or
 * to be cancelled. What it copies after that nobody would take: the ledger names another run.
 *
 * @throws what a lane throws; its parts then wait for others
 */
export async function helpCopy(options: HelpOptions): Promise<HelpReport> {
  const { database, secrets, copyId, member, worker } = options;
  const sealed = await database.use((session) => readOffer(session, copyId));
  if (sealed === undefined) return { parts: 0, rows: 0, bytes: 0 };
  const offer: CopyOffer = JSON.parse(await secrets.unseal(sealed, offerPurpose(copyId)));
  await database.use((session) => joinCopy(session, { copyId, member, worker }));
  const helper = new Helper(options, offer);
  try {
    return await helper.run();
  } finally {
    // who cannot say so is given up by the leader
    await helper.leave().catch(() => {});
  }
}

class Helper {
  readonly #options: HelpOptions;
  readonly #offer: CopyOffer;
  readonly #claimed: ClaimedJobs<HelperJob>;
  /** Ends the lanes: the copy is over for this member. */
  readonly #over = new AbortController();
  readonly #signal: AbortSignal;
  readonly #given = new Set<number>();
  readonly #news = new Map<number, PartNews>();
  #done = { parts: 0, rows: 0, bytes: 0 };
  #running: Promise<void>[] = [];
  #lanesRunning = 0;

  constructor(options: HelpOptions, offer: CopyOffer) {
    this.#options = options;
    this.#offer = offer;
    this.#claimed = new ClaimedJobs(() => this.#claim());
    this.#signal = AbortSignal.any([options.signal, this.#over.signal]);
  }

  async run(): Promise<HelpReport> {
    const { source, events, signal, maxBytesPerSecond } = this.#options;
    await using governor = new CopyThrottle({
      source: withDatabase(source, this.#offer.sourceDatabase),
      maxBytesPerSecond,
      signal: this.#signal,
      events,
    });
    const { pace } = governor;
    try {
      for (;;) {
        // none waited a moment ago; some may again, when another helper was lost
        if (this.#lanesRunning === 0) this.#startLanes(pace);
        await pause(this.#options.everyMs, this.#signal).catch(() => {}); // told apart below
        signal.throwIfAborted();
        if (this.#over.signal.aborted) throw this.#over.signal.reason;
        if (!await this.#stay()) return this.#done;
      }
    } finally {
      this.#over.abort(new DOMException("the copy is over", "AbortError"));
      await Promise.all(this.#running);
    }
  }

  async leave(): Promise<void> {
    const { database, copyId, member } = this.#options;
    await database.use(async (session) => {
      await this.#report(session);
      await leaveCopy(session, { copyId, member });
    });
  }

  /** Tells what is done, and that this member lives. */
  async #stay(): Promise<boolean> {
    const { database, copyId, member, leaseSeconds } = this.#options;
    return await database.use(async (session) => {
      await this.#report(session);
      return await stayInCopy(session, { copyId, member, leaseSeconds });
    });
  }

  async #report(session: Session): Promise<void> {
    const news = [...this.#news.values()];
    if (news.length === 0) return;
    await reportParts(session, this.#options, news);
    for (const each of news) {
      if (this.#news.get(each.number) === each) this.#news.delete(each.number);
    }
  }

  #startLanes(pace: CopyThrottle["pace"]): void {
    this.#running = Array.from({ length: this.#offer.lanes }, (_, index) => {
      this.#lanesRunning++;
      return this.#lane(index + 1, pace)
        .catch((error) => this.#over.abort(error))
        .finally(() => this.#lanesRunning--);
    });
  }

  async #lane(lane: number, pace: CopyThrottle["pace"]): Promise<void> {
    const { copyId, member, events } = this.#options;
    const { sourceDatabase, targetDatabase, sharedLock, snapshot, point } = this.#offer;
    const { targetSettings, recordedConstraint, delaysMs } = this.#offer;
    // no sessions for nothing
    const first = await this.#claimed.next();
    if (first === undefined) return;
    const given = [first];
    const moved = new Map<number, number>();
    const tell = (number: number, news: Pick<PartNews, "rows" | "moved">) =>
      void this.#news.set(number, { number, lane, ...news });
    await runCopyWorker<HelperJob>({
      source: withDatabase(this.#options.source, sourceDatabase),
      target: {
        ...withDatabase(this.#options.target, targetDatabase),
        sharedLock,
        applicationName: helperApplication(copyId, member),
      },
      snapshot,
      targetSettings,
      recordedConstraint,
      delaysMs,
      pace,
      signal: this.#signal,
      onSnapshot: async (session) => {
        const seen = await readSourcePoint(session);
        if (JSON.stringify(seen) === JSON.stringify(point)) return;
        throw new ReplicatorError("this worker reaches another server than its leader", {
          side: "source",
          object: `database ${sourceDatabase}`,
          remedy: "name the host of the source so that it means the same server on every worker",
        });
      },
      next: () => given.pop() ?? this.#claimed.next(),
      onStarted: ({ number }) => {
        moved.set(number, 0);
        tell(number, { moved: 0, rows: undefined });
      },
      onBytes: ({ number }, bytes) => {
        const sum = (moved.get(number) ?? 0) + bytes;
        moved.set(number, sum);
        tell(number, { moved: sum, rows: undefined });
      },
      onFinished: ({ number }, { rows, bytes }) => {
        moved.delete(number);
        tell(number, { moved: bytes, rows });
        this.#done = {
          parts: this.#done.parts + 1,
          rows: this.#done.rows + rows,
          bytes: this.#done.bytes + bytes,
        };
      },
      onRetry: (error, attempt, delayMs) =>
        events(retryEvent({
          what: `copying the tables of ${sourceDatabase} (session ${lane})`,
          error,
          attempt,
          delayMs,
        })),
    });
  }

  async #claim(): Promise<readonly HelperJob[]> {
    const { database, secrets, copyId, member } = this.#options;
    if (this.#signal.aborted) return [];
    const parts = await claimNext(database, { copyId, member, given: this.#given });
    return await Promise.all(
      parts.map(async ({ number, ciphertext }) => ({
        ...await unsealPart(secrets, { copyId, number, ciphertext }),
        number,
      })),
    );
  }
}
