import { type EventSink, pause, ReplicatorError, retryEvent } from "../../core/internal.ts";
import { readSourcePoint } from "../../checkpoint/internal.ts";
import { CopyThrottle, defaultCopySettings, runCopyWorker } from "../../copy/internal.ts";
import { type Endpoint, type Session, withDatabase } from "../../postgres/internal.ts";
import type { OpenedSecrets } from "../secrets/mod.ts";
import {
  joinCopy,
  leaveCopy,
  type PartProgress,
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

/** Settings of {@linkcode helpCopy}. */
export interface HelpOptions {
  readonly database: StoreDatabase;
  /** The secrets of the parent job. */
  readonly secrets: OpenedSecrets;
  readonly copyId: string;
  /** The helper's job id and attempt: another attempt is another participant. */
  readonly participant: string;
  readonly worker: string;
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly signal: AbortSignal;
  readonly leaseSeconds: number;
  readonly pollMs: number;
  /** Limits how fast this helper reads the source. */
  readonly maxBytesPerSecond: number | undefined;
  readonly events: EventSink;
}

/** What a helper has copied. */
export interface HelpReport {
  readonly parts: number;
  readonly rows: number;
  readonly bytes: number;
}

interface HelperJob extends ReportingJob {
  readonly number: number;
}

/**
 * Helps with a copy until it ends: claims parts, copies them in the coordinator's snapshot, and
 * reports progress.
 *
 * Ends immediately when the coordinator is lost or has removed this helper, or its job has ended or
 * is being cancelled. The ledger would reject anything copied after that.
 *
 * @throws the error of a copy worker; its parts become available to others
 */
export async function helpCopy(options: HelpOptions): Promise<HelpReport> {
  const { database, secrets, copyId, participant, worker } = options;
  const sealed = await database.use((session) => readOffer(session, copyId));
  if (sealed === undefined) return { parts: 0, rows: 0, bytes: 0 };
  const offer: CopyOffer = JSON.parse(await secrets.unseal(sealed, offerPurpose(copyId)));
  await database.use((session) => joinCopy(session, { copyId, participant, worker }));
  const helper = new Helper(options, offer);
  try {
    return await helper.run();
  } finally {
    // if this fails, the coordinator removes the helper when its lease expires
    await helper.leave().catch(() => {});
  }
}

class Helper {
  readonly #options: HelpOptions;
  readonly #offer: CopyOffer;
  readonly #claimed: ClaimedJobs<HelperJob>;
  /** Aborted when the copy has ended for this helper. */
  readonly #over = new AbortController();
  readonly #signal: AbortSignal;
  readonly #given = new Set<number>();
  readonly #unreported = new Map<number, PartProgress>();
  #done = { parts: 0, rows: 0, bytes: 0 };
  #running: Promise<void>[] = [];
  #workersRunning = 0;

  constructor(options: HelpOptions, offer: CopyOffer) {
    this.#options = options;
    this.#offer = offer;
    this.#claimed = new ClaimedJobs(() => this.#claim());
    this.#signal = AbortSignal.any([options.signal, this.#over.signal]);
  }

  async run(): Promise<HelpReport> {
    const { source, events, signal, maxBytesPerSecond } = this.#options;
    await using throttle = new CopyThrottle({
      source: withDatabase(source, this.#offer.sourceDatabase),
      settings: { ...defaultCopySettings, maxBytesPerSecond },
      signal: this.#signal,
      events,
    });
    const { pace } = throttle;
    try {
      for (;;) {
        // parts may become available again when another helper is lost
        if (this.#workersRunning === 0) this.#startCopyWorkers(pace);
        await pause(this.#options.pollMs, this.#signal).catch(() => {}); // checked below
        signal.throwIfAborted();
        if (this.#over.signal.aborted) throw this.#over.signal.reason;
        if (!await this.#stay()) return this.#done;
      }
    } finally {
      this.#over.abort(new DOMException("the copy has ended", "AbortError"));
      await Promise.all(this.#running);
    }
  }

  async leave(): Promise<void> {
    const { database, copyId, participant } = this.#options;
    await database.use(async (session) => {
      await this.#report(session);
      await leaveCopy(session, { copyId, participant });
    });
  }

  /** Reports progress, and that this helper is alive. */
  async #stay(): Promise<boolean> {
    const { database, copyId, participant, leaseSeconds } = this.#options;
    return await database.use(async (session) => {
      await this.#report(session);
      return await stayInCopy(session, { copyId, participant, leaseSeconds });
    });
  }

  async #report(session: Session): Promise<void> {
    const progress = [...this.#unreported.values()];
    if (progress.length === 0) return;
    await reportParts(session, this.#options, progress);
    for (const each of progress) {
      if (this.#unreported.get(each.number) === each) this.#unreported.delete(each.number);
    }
  }

  #startCopyWorkers(pace: CopyThrottle["pace"]): void {
    this.#running = Array.from({ length: this.#offer.lanes }, (_, index) => {
      this.#workersRunning++;
      return this.#runCopyWorker(index + 1, pace)
        .catch((error) => this.#over.abort(error))
        .finally(() => this.#workersRunning--);
    });
  }

  async #runCopyWorker(worker: number, pace: CopyThrottle["pace"]): Promise<void> {
    const { copyId, participant, events } = this.#options;
    const { sourceDatabase, targetDatabase, sharedLock, snapshot, point } = this.#offer;
    const { targetSettings, recordedConstraint, delaysMs } = this.#offer;
    // opens no session unless there is a part to copy
    const first = await this.#claimed.next();
    if (first === undefined) return;
    const given = [first];
    const moved = new Map<number, number>();
    const report = (number: number, progress: Pick<PartProgress, "rows" | "moved">) =>
      void this.#unreported.set(number, { number, lane: worker, ...progress });
    await runCopyWorker<HelperJob>({
      source: withDatabase(this.#options.source, sourceDatabase),
      target: {
        ...withDatabase(this.#options.target, targetDatabase),
        sharedLock,
        applicationName: helperApplication(copyId, participant),
      },
      snapshot,
      targetSettings,
      recordedConstraint,
      retryDelaysMs: delaysMs,
      pace,
      signal: this.#signal,
      onSnapshot: async (session) => {
        const seen = await readSourcePoint(session);
        if (JSON.stringify(seen) === JSON.stringify(point)) return;
        throw new ReplicatorError(
          "this worker connects to a different server than the coordinator",
          {
            side: "source",
            object: `database ${sourceDatabase}`,
            remedy: "use a host for the source that resolves to the same server on every worker",
          },
        );
      },
      next: () => given.pop() ?? this.#claimed.next(),
      onStarted: ({ number }) => {
        moved.set(number, 0);
        report(number, { moved: 0, rows: undefined });
      },
      onBytes: ({ number }, bytes) => {
        const sum = (moved.get(number) ?? 0) + bytes;
        moved.set(number, sum);
        report(number, { moved: sum, rows: undefined });
      },
      onFinished: ({ number }, { rows, bytes }) => {
        moved.delete(number);
        report(number, { moved: bytes, rows });
        this.#done = {
          parts: this.#done.parts + 1,
          rows: this.#done.rows + rows,
          bytes: this.#done.bytes + bytes,
        };
      },
      onRetry: (error, attempt, delayMs) =>
        events(retryEvent({
          what: `copying the tables of ${sourceDatabase} (session ${worker})`,
          error,
          attempt,
          delayMs,
        })),
    });
  }

  async #claim(): Promise<readonly HelperJob[]> {
    const { database, secrets, copyId, participant } = this.#options;
    if (this.#signal.aborted) return [];
    const parts = await claimNext(database, { copyId, participant, given: this.#given });
    return await Promise.all(
      parts.map(async ({ number, ciphertext }) => ({
        ...await unsealPart(secrets, { copyId, number, ciphertext }),
        number,
      })),
    );
  }
}
