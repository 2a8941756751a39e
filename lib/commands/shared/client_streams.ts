/**
 * The streams whose changes this process applies.
 *
 * @module
 */
import type { ApplyProgress } from "../../apply/internal.ts";
import {
  type EventSink,
  lsnDistance,
  pause,
  placedMessage,
  ReplicatorError,
} from "../../core/internal.ts";
import { observeSide } from "../../cutover/own_schema.ts";
import type { Endpoint, Session } from "../../postgres/internal.ts";
import {
  announceWaiting,
  readApplierProgress,
  readSlots,
  readWalPosition,
} from "../../replication/internal.ts";
import { combineStreamFailures } from "./failures.ts";
import { ReconnectingSession } from "./reconnecting_session.ts";

/** One database with its streams. */
export interface ClientDatabase {
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** Names of streams whose changes this process is to apply. */
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

/** How often a stream is tried again whose failure its record does not show. */
const retryFailedMs = 60_000;

/** How long the applier has to report itself what the servers show: it knows more. */
const reportMs = 2_000;

interface RunningStream {
  progress: ApplyProgress | undefined;
  atMs: number | undefined;
  isStopped: boolean;
  /** Whether the target has had everything that the source had at some time since the start. */
  isCaughtUp: boolean;
  /** Why its changes are not applied; undefined while they are. */
  failure: ReplicatorError | undefined;
  /** Whether its record was removed. */
  hasEnded: boolean;
  /** Resolves when it fails or ends. */
  failing: PromiseWithResolvers<void>;
  /** Ends an applier that waits for what will not pass; the reason is the failure. */
  abort: AbortController;
}

/**
 * Applies the changes of streams until it is disposed of.
 *
 * States of a stream: running ⇄ stopped (by another command, as the record says) or failed → ended
 * (its record was removed). A command that starts it resumes it. The failure of one does not stop
 * the others; {@linkcode ClientStreams.untilEnd} throws it in the end.
 */
export class ClientStreams implements AsyncDisposable {
  readonly #events: EventSink;
  readonly #onApplying: () => Promise<void>;
  readonly #abort = new AbortController();
  readonly #signal: AbortSignal;
  readonly #areIndependent: boolean;
  readonly #running = new Map<string, RunningStream>();
  readonly #ends: Promise<void>[] = [];
  readonly #reports: Promise<void>[] = [];
  /** What this process does not apply, and why. */
  readonly #refused: ReplicatorError[] = [];
  readonly #failed = Promise.withResolvers<never>();
  #areAllStarted = false;
  #isApplying = false;

  /**
   * @param options.onApplying called once, when all streams are started and each has applied a
   * transaction, has caught up, failed, or was stopped by another command
   * @param options.areIndependent whether the failure of one does not end the others: the default
   */
  constructor({ events, signal, onApplying = async () => {}, areIndependent = true }: {
    readonly events: EventSink;
    readonly signal: AbortSignal;
    readonly onApplying?: () => Promise<void>;
    readonly areIndependent?: boolean;
  }) {
    this.#areIndependent = areIndependent;
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

  /** Whether the changes of a stream are not applied, because that has failed. */
  hasFailed(name: string): boolean {
    return this.#running.get(name)?.failure !== undefined;
  }

  /** No more streams will be started. */
  completeStart(): void {
    this.#areAllStarted = true;
    this.#announce();
    this.#endIfNothingIsLeft();
  }

  /**
   * Notes what could not be started. The others continue, and the error is thrown in the end.
   *
   * @param areOthersLeft whether there are others
   */
  refuse(error: ReplicatorError, areOthersLeft = !this.isEmpty): void {
    this.#refused.push(error);
    if (areOthersLeft) this.#warn(error);
  }

  /** The servers show that the changes of a stream cannot be applied, whoever applies them. */
  async fail(name: string, error: ReplicatorError): Promise<void> {
    const stream = this.#running.get(name);
    if (stream === undefined) return this.refuse(error);
    await Promise.race([stream.failing.promise, pause(reportMs, this.#signal).catch(() => {})]);
    if (stream.failure === undefined && !stream.hasEnded) stream.abort.abort(error);
    await stream.failing.promise;
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
    this.#isApplying = streams.every(({ progress, isCaughtUp, isStopped, failure }) =>
      progress !== undefined || isCaughtUp || isStopped || failure !== undefined
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
        failure: undefined,
        hasEnded: false,
        failing: Promise.withResolvers(),
        abort: new AbortController(),
      };
      this.#running.set(name, stream);
      this.#ends.push(
        this.#apply(database, { name, stream }).catch((error) => {
          if (this.#signal.aborted) return;
          if (error instanceof ReplicatorError) this.#note(stream, error);
          else this.#failed.reject(error);
        }).finally(() => stream.failing.resolve()),
      );
    }
    this.#reports.push(this.#report(database, added).catch(() => {}));
  }

  /**
   * Runs `work` while changes are applied.
   *
   * @throws what has failed, if no stream is left whose changes can be applied
   */
  async during<Result>(work: Promise<Result>): Promise<Result> {
    return await Promise.race([work, this.#failed.promise]);
  }

  /**
   * Applies changes until the signal aborts, or no stream is left whose changes can be applied.
   *
   * @throws ReplicatorError for the changes that were not applied
   */
  async untilEnd(): Promise<void> {
    await this.during(Promise.all(this.#ends).then(() => {}));
    const failure = this.#failure;
    if (failure !== undefined) throw failure;
  }

  get #failure(): ReplicatorError | undefined {
    const failures = [...this.#running.values()].flatMap(({ failure }) => failure ?? []);
    return combineStreamFailures([...this.#refused, ...failures]);
  }

  #endIfNothingIsLeft(): void {
    const streams = [...this.#running.values()];
    if (!this.#areAllStarted || streams.every(({ hasEnded }) => hasEnded)) return;
    if (streams.every(({ hasEnded, failure }) => hasEnded || failure !== undefined)) {
      this.#failed.reject(this.#failure);
    }
  }

  /** Notes why the changes of a stream are not applied. */
  #note(stream: RunningStream, error: ReplicatorError): void {
    const known = stream.failure;
    stream.failure = error;
    stream.failing.resolve();
    if (!this.#areIndependent) return this.#failed.reject(error);
    const isNews = known === undefined || placedMessage(known) !== placedMessage(error);
    if (isNews && [...this.#running.values()].some(({ failure }) => failure === undefined)) {
      this.#warn(error);
    }
    this.#announce();
    this.#endIfNothingIsLeft();
  }

  /** The error itself, with all that is known, is thrown in the end. */
  #warn(error: ReplicatorError): void {
    const { side, object, message, remedy } = error;
    this.#events({
      kind: "warning",
      ...(side === undefined ? {} : { side }),
      ...(object === undefined ? {} : { object }),
      message: `${[message, ...error.details].join("; ")}; other streams continue`,
      ...(remedy === undefined ? {} : { remedy }),
    });
  }

  async #apply(
    database: ClientDatabase,
    { name, stream }: { readonly name: string; readonly stream: RunningStream },
  ): Promise<void> {
    const { target } = database;
    const signal = this.#signal;
    const { StreamInUseError } = await import("../../apply/internal.ts");
    while (!signal.aborted) {
      const error = await this.#applyOnce(database, { name, stream });
      if (signal.aborted) return;
      if (error instanceof StreamInUseError) {
        // a command that waits for the stream has begun to apply it meanwhile, or another sync
        this.#events({
          kind: "info",
          message: `${target.database}: ${error.message}; waiting until it ends`,
        });
        continue;
      }
      stream.isStopped = true;
      if (error !== undefined) this.#note(stream, error);
      else {
        this.#announce();
        this.#events({
          kind: "info",
          message:
            `${target.database}: another command has stopped ${name}; waiting until a command starts it`,
        });
      }
      const start = await this.#awaitStart(target, {
        name,
        isStopped: error === undefined,
        retryMs: stream.abort.signal.aborted ? Infinity : retryFailedMs,
      });
      if (signal.aborted) return;
      if (start === "removed") {
        stream.hasEnded = true;
        stream.failure = undefined;
        this.#endIfNothingIsLeft();
        return;
      }
      stream.isStopped = false;
      if (start === "retried") continue;
      stream.failure = undefined;
      stream.failing = Promise.withResolvers();
      stream.abort = new AbortController();
      this.#events({ kind: "info", message: `${target.database}: ${name} was started again` });
    }
  }

  /** @returns why its changes are no longer applied; undefined if another command stopped it */
  async #applyOnce(
    { source, target }: ClientDatabase,
    { name, stream }: { readonly name: string; readonly stream: RunningStream },
  ): Promise<ReplicatorError | undefined> {
    const { applyChanges } = await import("../../apply/internal.ts");
    const { transactions = 0, changes = 0 } = stream.progress ?? {};
    const abandoned = stream.abort.signal;
    try {
      await applyChanges({
        source,
        target,
        name,
        signal: AbortSignal.any([this.#signal, abandoned]),
        events: this.#events,
        onProgress: (progress) => {
          stream.progress = {
            endLsn: progress.endLsn,
            transactions: transactions + progress.transactions,
            changes: changes + progress.changes,
          };
          stream.atMs = performance.now();
          stream.failure = undefined;
          this.#announce();
        },
      });
      return abandoned.aborted ? abandoned.reason : undefined;
    } catch (error) {
      if (error instanceof ReplicatorError) return error;
      throw error;
    }
  }

  /**
   * Waits until a command starts the stream.
   *
   * @param options.isStopped whether the stream was stopped: otherwise it has failed, and its
   * record perhaps does not show it
   * @param options.retryMs for how long such a record is read
   * @returns `removed` as well if the signal aborted
   */
  async #awaitStart(
    target: Endpoint,
    { name, isStopped, retryMs }: {
      readonly name: string;
      readonly isStopped: boolean;
      readonly retryMs: number;
    },
  ): Promise<"started" | "retried" | "removed"> {
    const signal = this.#signal;
    await using session = new ReconnectingSession(target, signal);
    const announced = new WeakSet<Session>();
    const sinceMs = performance.now();
    let isSwitched = false;
    let wasStopped = isStopped;
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
        if (applier === undefined) return "removed";
        if (!applier.enabled) wasStopped = true;
        else if (wasStopped) return "started";
        else if (performance.now() - sinceMs >= retryMs) return "retried";
      }
      await pause(stoppedPollMs, signal).catch(() => {});
    }
    return "removed";
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
