/**
 * The session that holds the right to write to a target database.
 *
 * @module
 */
import {
  type EventSink,
  ExitCode,
  InterruptedError,
  isTransient,
  ledgerSchema,
  ReplicatorError,
  retry,
  retryEvent,
  type RetryOptions,
} from "../core/internal.ts";
import { type Endpoint, openSession, type Session } from "../postgres/internal.ts";
import { takeRunLock } from "./run_lock.ts";

/** What {@linkcode LedgerSession.open} takes besides the target. */
export interface LedgerSessionOptions {
  /** The name of this process in the ledger: whoever is named there may write. */
  readonly holder: string;
  readonly signal: AbortSignal;
  /** Receives notices: terminated sessions of an earlier run, retried connections. */
  readonly events: EventSink;
  /** The session of an earlier attempt of this process, which may be ended. */
  readonly ownEarlier: number | undefined;
}

/** The ledger's own commits are durable. */
const durable = { synchronous_commit: "on" };

const heartbeatMs = 15_000;

/**
 * Does one piece of work at a time in a session that holds the run lock.
 *
 * States: open (a broken session is reopened and takes the lock again) → lost ({@linkcode lost}
 * aborts: another run holds the lock, or the target is permanently unreachable) or closed. The lock
 * lives with the session.
 */
export class LedgerSession implements AsyncDisposable {
  readonly #endpoint: Endpoint;
  readonly #options: LedgerSessionOptions;
  readonly #lost = new AbortController();
  /** Ends attempts to reopen the session. */
  readonly #closing = new AbortController();
  #breaks = 0;
  #session: Session;
  #turn: Promise<unknown> = Promise.resolve();
  #timer: ReturnType<typeof setInterval> | undefined;

  private constructor(endpoint: Endpoint, session: Session, options: LedgerSessionOptions) {
    this.#endpoint = endpoint;
    this.#session = session;
    this.#options = options;
  }

  /**
   * Opens the session, takes the lock, and then calls `begin`, once.
   *
   * @param endpoint without a shared lock, which would wait for this session
   * @returns the session, and what `begin` returned
   * @throws ReplicatorError when another run is active
   */
  static async open<Found>(
    endpoint: Endpoint,
    options: LedgerSessionOptions,
    begin: (session: Session) => Promise<Found>,
  ): Promise<{ readonly session: LedgerSession; readonly found: Found }> {
    const { signal, events, ownEarlier } = options;
    // not bound to the signal: an interrupted run still writes its notes
    const session = await retry(() => openSession(endpoint, { settings: durable }), {
      signal,
      onRetry: reportRetries(events),
    });
    try {
      await takeRunLock(session, {
        signal,
        ownEarlier,
        onEnded: (message) => events({ kind: "info", message }),
      });
      const found = await begin(session);
      const opened = new LedgerSession(endpoint, session, options);
      opened.#keepAlive();
      return { session: opened, found };
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /** The backend that holds, or last held, the lock. */
  get processId(): number {
    return this.#session.processId;
  }

  /** Aborts when another run has taken over, or the target is permanently unreachable. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** How often the session has broken: at least with every crash of the server. */
  get breaks(): number {
    return this.#breaks;
  }

  /** Keeps the connection from being idle. */
  #keepAlive(): void {
    this.#timer = setInterval(() => {
      this.inTurn((session) => session.query("SELECT 1")).catch(() => {}); // inTurn reports
    }, heartbeatMs);
  }

  /** Runs work after all earlier work; when the session breaks, once more in a new one. */
  inTurn<Result>(work: (session: Session) => Promise<Result>): Promise<Result> {
    const result = this.#turn.catch(() => {}).then(async () => {
      try {
        return await work(this.#session);
      } catch (error) {
        if (!isTransient(error) || this.#options.signal.aborted) throw error;
        reportRetries(this.#options.events)(error, 1, 0);
        await this.#reopen();
        return await work(this.#session);
      }
    });
    this.#turn = result;
    return result;
  }

  async #reopen(): Promise<void> {
    const signal = AbortSignal.any([this.#options.signal, this.#closing.signal]);
    const before = this.#session.processId;
    this.#breaks++;
    await this.#session.close();
    try {
      this.#session = await retry(
        () => openSession(this.#endpoint, { signal: this.#closing.signal, settings: durable }),
        {
          signal,
          delaysMs: [200, 1_000, 2_000, 4_000, 8_000],
          onRetry: reportRetries(this.#options.events),
        },
      );
      await takeRunLock(this.#session, { signal, before });
      await this.#verifyHolder();
    } catch (error) {
      this.#lost.abort(error);
      throw error;
    }
  }

  async #verifyHolder(): Promise<void> {
    const held = await this.#session.query(
      `SELECT holder FROM ${ledgerSchema}.run WHERE holder = $1`,
      [this.#options.holder],
    );
    if (held.length > 0) return;
    throw new ReplicatorError("another run has taken over the copy into this database", {
      side: "target",
      object: `database ${this.#endpoint.database}`,
      details: [
        "This run lost its session there, and the other run started before it reconnected.",
      ],
      remedy: "let the other run finish",
      exitCode: ExitCode.prerequisite,
    });
  }

  /** Stops keeping the connection alive; work that is in turn continues. */
  stopKeepingAlive(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Resolves or rejects like the last work. */
  get lastTurn(): Promise<unknown> {
    return this.#turn;
  }

  /** Closes the session, which releases the lock. Never throws. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.stopKeepingAlive();
    await this.#session.close();
    this.#closing.abort(new InterruptedError("the ledger is closed"));
  }
}

function reportRetries(events: EventSink): NonNullable<RetryOptions["onRetry"]> {
  return (error, attempt, delayMs) =>
    events(retryEvent({ what: "the session of the ledger", error, attempt, delayMs }));
}
