/**
 * The streams whose changes this process applies.
 *
 * @module
 */
import type { ApplyProgress } from "../../apply/internal.ts";
import { type EventSink, type Lsn, lsnDistance, pause, retry } from "../../core/internal.ts";
import { observeSide } from "../../cutover/own_schema.ts";
import { type Endpoint, openSession, type Session } from "../../postgres/internal.ts";
import {
  announceWaiting,
  readApplierProgress,
  readSlots,
  readWalPosition,
} from "../../replication/internal.ts";
import { catchUp, type CatchUpOptions } from "./catch_up.ts";
import { ReconnectingSession } from "./reconnecting_session.ts";

/** One database with its streams. */
export interface ClientDatabase {
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** Names of streams whose changes no other process applies. */
  readonly streams: readonly string[];
}

/** What a stream has applied since this process began. */
export interface ClientStreamReport {
  readonly stream: string;
  /** Transactions of the source. */
  readonly transactions: number;
  /** Changes of rows. */
  readonly changes: number;
}

/** How often the progress is reported. */
const reportEveryMs = 1_000;

/** How often the record of a stream that another command has stopped is read. */
const stoppedPollMs = 500;

interface RunningStream {
  progress: ApplyProgress | undefined;
  atMs: number | undefined;
  isStopped: boolean;
  /** Whether the target has had everything that the source had at some time since the start. */
  isCaughtUp: boolean;
}

/**
 * Applies the changes of streams until it is disposed of.
 *
 * States of a stream: running ⇄ stopped (by another command, as the record says; it is resumed when
 * a command starts it) → ended (its record was removed), or failed.
 */
export class ClientStreams implements AsyncDisposable {
  readonly #events: EventSink;
  readonly #onApplying: () => Promise<void>;
  readonly #abort = new AbortController();
  readonly #signal: AbortSignal;
  readonly #running = new Map<string, RunningStream>();
  readonly #ends: Promise<void>[] = [];
  readonly #reports: Promise<void>[] = [];
  readonly #failed = Promise.withResolvers<never>();
  #areAllStarted = false;
  #isApplying = false;

  /**
   * @param options.onApplying called once, when all streams are started and each has applied a
   * transaction, has caught up, or was stopped by another command
   */
  constructor({ events, signal, onApplying = async () => {} }: {
    readonly events: EventSink;
    readonly signal: AbortSignal;
    readonly onApplying?: () => Promise<void>;
  }) {
    this.#events = events;
    this.#onApplying = onApplying;
    this.#signal = AbortSignal.any([signal, this.#abort.signal]);
    this.#failed.promise.catch(() => {}); // thrown by `during`
  }

  /** Whether this process applies the changes of no stream. */
  get isEmpty(): boolean {
    return this.#running.size === 0;
  }

  /** What each stream has applied. */
  get reports(): readonly ClientStreamReport[] {
    return [...this.#running].map(([stream, { progress }]) => ({
      stream,
      transactions: progress?.transactions ?? 0,
      changes: progress?.changes ?? 0,
    }));
  }

  /** Whether the changes of a stream are applied by this process. */
  has(name: string): boolean {
    return this.#running.has(name);
  }

  /** No more streams will be started. */
  completeStart(): void {
    this.#areAllStarted = true;
    this.#announce();
  }

  /**
   * The target has everything that the source had at some time since these streams were started.
   */
  markCaughtUp(names: readonly string[]): void {
    for (const name of names) {
      const stream = this.#running.get(name);
      if (stream !== undefined) stream.isCaughtUp = true;
    }
    this.#announce();
  }

  #announce(): void {
    if (this.#isApplying || !this.#areAllStarted || this.isEmpty) return;
    const streams = [...this.#running.values()];
    this.#isApplying = streams.every(({ progress, isCaughtUp, isStopped }) =>
      progress !== undefined || isCaughtUp || isStopped
    );
    if (!this.#isApplying) return;
    this.#reports.push(
      this.#onApplying().catch((error) => {
        if (!this.#signal.aborted) this.#failed.reject(error);
      }),
    );
  }

  /** Begins to apply the changes of a database's streams, which are enabled. */
  start(database: ClientDatabase): void {
    const added = database.streams.filter((name) => !this.#running.has(name));
    if (added.length === 0) return;
    for (const name of added) {
      const stream: RunningStream = {
        progress: undefined,
        atMs: undefined,
        isStopped: false,
        isCaughtUp: false,
      };
      this.#running.set(name, stream);
      this.#ends.push(
        this.#apply(database, { name, stream }).catch((error) => {
          if (!this.#signal.aborted) this.#failed.reject(error);
        }),
      );
    }
    this.#reports.push(this.#report(database, added).catch(() => {}));
  }

  /**
   * Runs `work` while changes are applied.
   *
   * @throws what ended a stream, if that happens first
   */
  async during<Result>(work: Promise<Result>): Promise<Result> {
    return await Promise.race([work, this.#failed.promise]);
  }

  /**
   * Applies changes until the signal aborts, or every stream has ended.
   *
   * @throws ReplicatorError for a change that cannot be applied
   */
  async untilEnd(): Promise<void> {
    await this.during(Promise.all(this.#ends).then(() => {}));
  }

  async #apply(
    { source, target }: ClientDatabase,
    { name, stream }: { readonly name: string; readonly stream: RunningStream },
  ): Promise<void> {
    const signal = this.#signal;
    const { applyChanges, StreamInUseError } = await import("../../apply/internal.ts");
    let earlier = { transactions: 0, changes: 0 };
    while (!signal.aborted) {
      const before = earlier;
      const end = await applyChanges({
        source,
        target,
        name,
        signal,
        events: this.#events,
        onProgress: ({ endLsn, transactions, changes }) => {
          earlier = {
            transactions: before.transactions + transactions,
            changes: before.changes + changes,
          };
          stream.progress = { endLsn, ...earlier };
          stream.atMs = performance.now();
          this.#announce();
        },
      }).catch((error: unknown) => {
        if (error instanceof StreamInUseError) return error;
        throw error;
      });
      if (signal.aborted) return;
      if (end !== undefined) {
        // a command that waits for the stream has begun to apply it meanwhile, or another sync
        this.#events({
          kind: "info",
          message: `${target.database}: ${end.message}; waiting until it ends`,
        });
        continue;
      }
      stream.isStopped = true;
      this.#announce();
      this.#events({
        kind: "info",
        message:
          `${target.database}: another command has stopped ${name}; waiting until a command starts it`,
      });
      if (!await this.#awaitStart(target, name)) return;
      stream.isStopped = false;
      this.#events({ kind: "info", message: `${target.database}: ${name} was started again` });
    }
  }

  /** @returns false if the stream's record was removed, or the signal aborted */
  async #awaitStart(target: Endpoint, name: string): Promise<boolean> {
    const signal = this.#signal;
    await using session = new ReconnectingSession(target, signal);
    const announced = new WeakSet<Session>();
    let isSwitched = false;
    while (!signal.aborted) {
      const answer = await session.query(
        target.database,
        async (inside) => {
          if (!announced.has(inside)) {
            await announceWaiting(inside, name);
            announced.add(inside);
          }
          // by a role that perhaps may not read it: what it says is only explained
          if (!isSwitched && (await observeSide(inside)).record?.isOpen === true) {
            isSwitched = true;
            this.#events({
              kind: "info",
              message:
                `${target.database}: a cutover has switched to this database; changes now flow the other way, and ${name} waits for cutover rollback`,
            });
          }
          return await readApplierProgress(inside, [name]);
        },
      );
      if (answer.reached) {
        const applier = answer.value.find(({ kind }) => kind === "client");
        if (applier === undefined) return false;
        if (applier.enabled) return true;
      }
      await pause(stoppedPollMs, signal).catch(() => {});
    }
    return false;
  }

  /** Reports lag and progress about once a second. */
  async #report({ source }: ClientDatabase, names: readonly string[]): Promise<void> {
    const signal = this.#signal;
    await using session = new ReconnectingSession(source, signal);
    while (!signal.aborted) {
      await pause(reportEveryMs, signal).catch(() => {});
      if (signal.aborted) return;
      const reading = await session.query(source.database, async (inside) => ({
        slots: await readSlots(inside, names),
        end: (await readWalPosition(inside)).inserted,
      }));
      for (const name of names) {
        const { progress, atMs, isStopped = true } = this.#running.get(name) ?? {};
        const confirmed = reading.reached
          ? reading.value.slots.find((slot) => slot.name === name)?.confirmedFlushLsn
          : undefined;
        this.#events({
          kind: "apply-progress",
          database: source.database,
          stream: name,
          transactions: progress?.transactions ?? 0,
          changes: progress?.changes ?? 0,
          ...(confirmed === undefined || !reading.reached
            ? {}
            : { lagBytes: Math.max(0, lsnDistance(confirmed, reading.value.end)) }),
          ...(atMs === undefined ? {} : { idleMs: performance.now() - atMs }),
          isStopped,
        });
      }
    }
  }

  /** Stops applying for good. The streams stay enabled: the next process resumes them. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await Promise.allSettled([...this.#ends, ...this.#reports]);
  }
}

/**
 * Waits until everything that is committed on the source now is on the target, and applies
 * meanwhile the changes of clients that no other process runs.
 *
 * @returns the position of the source that was awaited
 */
export async function catchUpApplying(options: CatchUpOptions): Promise<Lsn> {
  const { source, target, subscriptions: names, signal, events } = options;
  await using clients = new ClientStreams({ events, signal });
  clients.start({ source, target, streams: await findIdleClients(target, { names, signal }) });
  const stop = new AbortController();
  try {
    return await clients.during(
      catchUp({ ...options, signal: AbortSignal.any([signal, stop.signal]) }),
    );
  } finally {
    stop.abort();
  }
}

/** Reads which of the streams have a client that no process runs. */
export async function findIdleClients(
  target: Endpoint,
  { names, signal }: { readonly names: readonly string[]; readonly signal: AbortSignal },
): Promise<readonly string[]> {
  await using session = await retry(() => openSession(target, { signal }), { signal });
  const appliers = await readApplierProgress(session, names);
  return appliers.filter(({ kind, workerPid }) => kind === "client" && workerPid === undefined)
    .map(({ name }) => name);
}
