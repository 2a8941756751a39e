/**
 * Moving one database from the side in use to the other: each step, and how it is undone.
 *
 * @module
 */
import { errorMessage, joinAll, ReplicatorError, retry } from "../core/internal.ts";
import {
  durableSettings,
  type Endpoint,
  openSession,
  type Session,
  silenceEventTriggers,
  textArray,
} from "../postgres/internal.ts";
import { measureRestoring, openApplier, readApplyLocks } from "../replication/internal.ts";
import { advanceSlot, logRunningTransactions } from "./back_stream.ts";
import {
  attemptBarrier,
  type BarrierAttempt,
  barrierTimeoutMs,
  type BarrierWaiters,
  holdBarrier,
  limitSilence,
  lookForBlockers,
  readBarrierWaiters,
} from "./barrier.ts";
import type { Blocker } from "./blockers.ts";
import { commitSide } from "./commit.ts";
import { isTakenOver, refuseStale, restoreTurning, undoSwitch } from "./complete_switch.ts";
import { enableFence, fenceMessages } from "./fence.ts";
import { LargeObjectCarrier } from "./large_objects.ts";
import { announceSwitch, joinCutover, lockCutover, OtherCommandError, overtaken } from "./lock.ts";
import { type CloseEvidence, fenceOf, type TokenEvidence, withTurning } from "./model.ts";
import { beginOpening, isHeldByOthers, OpeningBlockedError } from "./open_side.ts";
import { readSide, refuseUnreplaced, replaceSide, replaceSideStatement } from "./own_schema.ts";
import { trySetReadOnly } from "./read_only_default.ts";
import { resetRefusalsStatement } from "./refusals.ts";
import { type DatabaseRoute, nextGeneration } from "./route.ts";
import { continueSequences } from "./sequences.ts";
import { awaitTokens, deleteOldTokens, sendToken } from "./token.ts";
import { SessionFence } from "./session_fence.ts";
import { describeLateChanges, readForeignChanges, type TripwireFinding } from "./tripwire.ts";
import { refuseForeignChanges, skipReplicated, stopStreams } from "./turn_streams.ts";

/**
 * Moves one database.
 *
 * | state | entered by | writes are accepted on | if the process dies here |
 * |---|---|---|---|
 * | connected | {@linkcode DatabaseSwitch.open} | from | nothing has changed |
 * | held | {@linkcode tryBarrier} | none: writers wait | the locks die with it, writers continue |
 * | drained | {@linkcode drain} | none: writers wait | the same |
 * | reversed | {@linkcode reverse} | none: writers wait | the same; the next run restores the streams |
 * | closed | {@linkcode close}: the point of no return, durable on `from` | none: writers are refused | the same command opens `to` |
 * | opened | {@linkcode openOther}: durable on `to` | to | nothing is left to do |
 *
 * {@linkcode release} leads from held back to connected. An attempt that has gone further ends in
 * {@linkcode undo}. Every change is made by a session that holds the lock of its side or takes part
 * in it ({@linkcode joinCutover}): a process that was suspended until the server ended its sessions
 * can change nothing until it has the lock again, and has read the records again.
 */
export class DatabaseSwitch implements AsyncDisposable {
  readonly route: DatabaseRoute;
  readonly #barrier: Session;
  readonly #from: Session;
  readonly #to: Session;
  readonly #opening: Session;
  readonly #monitor: Session;
  readonly #openingMonitor: Session;
  /** Instead of the barrier, where the role does not own the tables. */
  readonly #sessions: SessionFence | undefined;
  /** Carries the large objects. */
  readonly largeObjects: LargeObjectCarrier;
  readonly #signal: AbortSignal;
  readonly #timeoutMs: number;
  /** Whether stopping the streams restores triggers and foreign keys on `to`. */
  readonly #restores: boolean;
  /** Identifies it in the records, see `movedBy` of `SideDetails`. */
  readonly #id = crypto.randomUUID();
  #stopping: Promise<void> | undefined;
  #isHeld = false;
  #heldSince: string | undefined;
  #releasedMs: number | undefined;
  /** Until when the barrier may be held, on the clock of `performance.now()`. */
  #holdUntilMs = Infinity;
  #isOpening = false;
  #isClosed = false;

  private constructor(
    route: DatabaseRoute,
    sessions: {
      readonly barrier: Session;
      readonly from: Session;
      readonly to: Session;
      readonly opening: Session;
      readonly monitor: Session;
      readonly openingMonitor: Session;
      readonly largeObjects: LargeObjectCarrier;
    },
    { signal, timeoutMs, restores }: {
      readonly signal: AbortSignal;
      readonly timeoutMs: number;
      readonly restores: boolean;
    },
  ) {
    this.route = route;
    this.#barrier = sessions.barrier;
    this.#from = sessions.from;
    this.#to = sessions.to;
    this.#opening = sessions.opening;
    this.#monitor = sessions.monitor;
    this.#openingMonitor = sessions.openingMonitor;
    this.#sessions = fenceOf(route.fromRecord) === "sessions"
      ? new SessionFence(route.from, route.fromRecord, {
        spared: [
          sessions.barrier.processId,
          sessions.from.processId,
          sessions.monitor.processId,
          sessions.largeObjects.processId,
        ],
        join: (session) => joinCutover(session, sessions.barrier),
      })
      : undefined;
    this.largeObjects = sessions.largeObjects;
    this.#signal = signal;
    this.#timeoutMs = timeoutMs;
    this.#restores = restores;
  }

  /** Opens the sessions, before anything waits for them. */
  static async open(route: DatabaseRoute, signal: AbortSignal): Promise<DatabaseSwitch> {
    await using stack = new AsyncDisposableStack();
    const open = async (endpoint: Endpoint) =>
      stack.use(
        await retry(() => openSession(endpoint, { signal, settings: durableSettings }), { signal }),
      );
    const barrier = await open(route.from);
    const opening = await open(route.to);
    const sessions = {
      barrier,
      from: await open(route.from),
      to: await open(route.to),
      opening,
      monitor: await open(route.from),
      openingMonitor: await open(route.to),
      largeObjects: stack.use(
        await LargeObjectCarrier.open(route, {
          signal,
          join: (session) => joinCutover(session, opening),
        }),
      ),
    };
    // held by the sessions that commit: whatever the lock's holder reads in the records is the
    // phase
    await lockCutover(barrier);
    await lockCutover(opening);
    await joinAll([
      joinCutover(sessions.from, barrier),
      joinCutover(sessions.monitor, barrier),
      joinCutover(sessions.to, opening),
    ]);
    await refuseStale(route, { from: sessions.from, to: sessions.to });
    await restoreTurning(route, { onFrom: barrier, onTo: opening });
    // ALTER TABLE must not run the user's event triggers in the middle of the pause
    await silenceEventTriggers(sessions.barrier);
    await silenceEventTriggers(sessions.opening);
    const timeoutMs = await barrierTimeoutMs(sessions.barrier);
    const restores = await hasClients(sessions.to, route.out);
    stack.move();
    return new DatabaseSwitch(route, sessions, { signal, timeoutMs, restores });
  }

  /** The database's name on the side in use. */
  get name(): string {
    return this.route.from.database;
  }

  /** Process IDs of the backends of its own sessions on the side that it closes. */
  get processIdsOnFrom(): readonly number[] {
    return [
      this.#barrier.processId,
      this.#from.processId,
      this.#monitor.processId,
      this.largeObjects.processId,
      ...(this.#sessions?.processIds ?? []),
    ];
  }

  /** Process ID of the backend that holds the barrier. */
  get barrierPid(): number {
    return this.#barrier.processId;
  }

  /** Has others know that hooks may hold clients now, see {@linkcode announceSwitch}. */
  async announce(): Promise<void> {
    await announceSwitch(this.#barrier);
  }

  /** Sends a token through every stream and waits until all have arrived. */
  async measureDrain(deadlineMs: number): Promise<readonly TokenEvidence[]> {
    const tokens = await Promise.all(this.route.out.map((stream) => sendToken(this.#from, stream)));
    return await awaitTokens(this.#to, { tokens, deadlineMs, signal: this.#signal });
  }

  /** Removes tokens of earlier runs. */
  async deleteOldTokens(): Promise<void> {
    for (const stream of this.route.out) await this.#from.execute(deleteOldTokens(stream));
  }

  /** Tries to take the barrier once. */
  async tryBarrier(maxHoldMs: number): Promise<BarrierAttempt> {
    this.#releasedMs = undefined;
    this.#holdUntilMs = performance.now() + maxHoldMs;
    const attempt = this.#sessions !== undefined
      ? await this.#sessions.close(this.#barrier, { maxMs: maxHoldMs / 2, signal: this.#signal })
      : await this.#attemptBarrier({ untilMs: this.#holdUntilMs, timeoutMs: this.#timeoutMs });
    this.#isHeld = attempt.isHeld;
    this.#heldSince = attempt.isHeld ? attempt.since : undefined;
    return attempt;
  }

  #attemptBarrier(
    limits: { readonly untilMs: number; readonly timeoutMs: number },
  ): Promise<BarrierAttempt> {
    return attemptBarrier({
      session: this.#barrier,
      observer: this.#monitor,
      tables: this.route.tables,
      signal: this.#signal,
      ...limits,
    });
  }

  /**
   * Takes the barrier once and holds it; writers wait for no longer than `maxMs`, the attempt
   * included.
   *
   * @returns what an attempt that was not granted waited for; otherwise how long the barrier
   * lasted, by the server's clock
   */
  async brownOut(
    maxMs: number,
  ): Promise<{ readonly ms: number } | { readonly blockers: readonly Blocker[] }> {
    const attempt = await this.#attemptBarrier({
      timeoutMs: Math.max(1, Math.min(this.#timeoutMs, Math.floor(maxMs / 2))),
      untilMs: performance.now() + maxMs,
    });
    if (!attempt.isHeld) return { blockers: attempt.blockers };
    const options = { observer: this.#monitor, maxMs, signal: this.#signal };
    return { ms: await holdBarrier(this.#barrier, options) };
  }

  /**
   * When writers began to wait, by the server's clock; undefined unless the barrier was granted.
   */
  get heldSince(): string | undefined {
    return this.#heldSince;
  }

  /**
   * When its barrier was released by `release`, on the clock of `performance.now()`; undefined if
   * it has not been.
   */
  get releasedMs(): number | undefined {
    return this.#releasedMs;
  }

  /** The sessions that wait for the barrier. */
  waiters(): Promise<BarrierWaiters> {
    return readBarrierWaiters(this.#monitor, this.#barrier.processId);
  }

  /** WAL that the streams to the other side have not confirmed, in bytes. */
  async lagBytes(): Promise<number> {
    const { lag } = await this.#monitor.queryOne<{ readonly lag: number }>(
      `SELECT coalesce(pg_catalog.max(pg_catalog.pg_wal_lsn_diff(
                pg_catalog.pg_current_wal_insert_lsn(), confirmed_flush_lsn)), 0)::pg_catalog.float8 AS lag
         FROM pg_catalog.pg_replication_slots WHERE slot_name = ANY ($1::pg_catalog.name[])`,
      [textArray(this.route.out)],
    );
    return Math.max(0, lag);
  }

  /** Acts on what holds up the barrier, see {@linkcode removeBlockers}. */
  get observer(): Session {
    return this.#monitor;
  }

  /**
   * Writes the fence into the barrier's transaction: it takes effect with the commit, and costs no
   * time then.
   */
  async prepareFence(): Promise<void> {
    if (this.#sessions !== undefined) return;
    for (const message of fenceMessages(this.route.tables, enableFence)) {
      await this.#barrier.execute(`${limitSilence(this.#holdUntilMs)};\n${message}`);
    }
  }

  /**
   * Proves that everything committed on `from` is on `to`, durably: a token of each stream is
   * visible there, and then a transaction is committed with `synchronous_commit = on`, which
   * flushes the WAL of everything applied before it. It records that the streams are about to be
   * turned around.
   */
  async drain(deadlineMs: number): Promise<readonly TokenEvidence[]> {
    const evidence = await this.measureDrain(deadlineMs);
    const { toRecord } = this.route;
    // by the session that holds the lock
    await replaceSide(this.#opening, toRecord, withTurning(toRecord, true));
    return evidence;
  }

  /** How long opening the other side takes: it is rolled back. */
  async measureOpening(): Promise<number> {
    const start = performance.now();
    try {
      await this.#beginOpening();
      return performance.now() - start;
    } finally {
      await this.release();
    }
  }

  /**
   * How long it takes to restore what the stopped streams hold on the other side: it is rolled
   * back.
   */
  async measureRestoring(): Promise<number> {
    if (!this.#restores) return 0;
    return await measureRestoring(this.#opening, { timeoutMs: this.#timeoutMs });
  }

  /** Carries the sequences over; can be repeated. Returns how many, and those without a margin. */
  async carrySequences(
    margin: number,
  ): Promise<{ readonly count: number; readonly notes: readonly string[] }> {
    const settings = await continueSequences({ from: this.#from, to: this.#to, margin });
    return {
      count: settings.length,
      notes: settings.flatMap(({ schema, name, note }) =>
        note === undefined ? [] : [`sequence ${schema}.${name}: ${note}`]
      ),
    };
  }

  /**
   * Turns replication around: stops the streams to `to`, lets the slots of the way back skip what
   * they brought, starts the way back, and proves that it works with a token.
   */
  async reverse(deadlineMs: number): Promise<readonly TokenEvidence[]> {
    await this.#stop();
    await refuseForeignChanges(this.route, this.#to);
    for (const name of this.route.back) {
      await using applier = await openApplier(this.#from, { name, signal: this.#signal });
      await applier.advance(await advanceSlot(this.#to, name));
      await applier.start();
    }
    const tokens = await Promise.all(this.route.back.map((stream) => sendToken(this.#to, stream)));
    if (tokens.length === 0) return [];
    return await awaitTokens(this.#from, { tokens, deadlineMs, signal: this.#signal });
  }

  /** Stops the streams to `to`, once. */
  #stop(): Promise<void> {
    this.#stopping ??= stopStreams(this.#to, {
      streams: this.route.out,
      sender: this.#from,
      signal: this.#signal,
    });
    return this.#stopping;
  }

  /**
   * Takes the locks on `to` and opens its fence there, to be committed by `openOther`; not before
   * {@linkcode reverse} has restored what needs the same locks.
   */
  async prepareOpening(maxPauseMs: number): Promise<void> {
    if (this.#restores) await this.#stop();
    await this.#beginOpening(maxPauseMs);
  }

  /** @throws if the transaction that {@linkcode prepareOpening} has begun was ended meanwhile */
  async checkOpening(): Promise<void> {
    await this.#opening.query("SELECT");
  }

  async #beginOpening(maxPauseMs = 0): Promise<void> {
    this.#isOpening = true;
    const over = new AbortController();
    // looked up while it waits: afterwards nothing shows what it waited for
    const looking = lookForBlockers(this.#openingMonitor, {
      pid: this.#opening.processId,
      afterMs: this.#timeoutMs / 2,
      signal: over.signal,
    });
    try {
      await beginOpening(this.#opening, {
        tables: this.route.tables,
        record: this.route.toRecord,
        movedBy: this.#id,
        timeoutMs: this.#timeoutMs,
        maxPauseMs,
      });
    } catch (error) {
      over.abort();
      if (!isHeldByOthers(error)) throw error;
      const blockers = await this.#markAppliers(await looking);
      throw new OpeningBlockedError(this.route.to, { blockers, cause: error });
    } finally {
      over.abort();
      await looking;
    }
  }

  /** Of the sessions that apply changes, those of the tool's processes look like any other. */
  async #markAppliers(blockers: readonly Blocker[]): Promise<readonly Blocker[]> {
    if (blockers.length === 0) return [];
    const pidOf = await readApplyLocks(this.#openingMonitor);
    const pids = new Set(this.route.out.map((stream) => pidOf(stream)));
    return blockers.map((each) =>
      each.pid !== undefined && pids.has(each.pid) ? { ...each, appliesChanges: true } : each
    );
  }

  /** Acts on what holds up the opening, see {@linkcode removeBlockers}. */
  get openingObserver(): Session {
    return this.#openingMonitor;
  }

  /**
   * Lets the slots of the way back skip what replication has brought, as far as it can be done
   * before the pause, in which they have to read what is left.
   *
   * @throws ReplicatorError if something else was written on the side that will be opened
   */
  async skipReplicated(): Promise<void> {
    if (this.route.back.length === 0) return;
    if (this.#to.majorVersion >= 16) await logRunningTransactions(this.#to);
    await skipReplicated(this.route, this.#to);
  }

  /** Writes into the barrier's transaction that this side is closed: only COMMIT is left. */
  async seal(evidence: CloseEvidence): Promise<void> {
    const { fromRecord, from } = this.route;
    if (this.#sessions !== undefined) {
      await this.#barrier.execute("BEGIN; SET LOCAL synchronous_commit = on");
    }
    const closed = replaceSideStatement(fromRecord, {
      ...fromRecord,
      isOpen: false,
      generation: nextGeneration(this.route),
      details: {
        ...fromRecord.details,
        ...(this.#sessions === undefined ? {} : { isClosing: false }),
        movedBy: this.#id,
        evidence,
      },
    });
    const results = await this.#barrier.queryAll(
      `${limitSilence(this.#holdUntilMs)};\n${closed};\n${resetRefusalsStatement}`,
    );
    refuseUnreplaced(results, this.#barrier);
    await trySetReadOnly(this.#barrier, { database: from.database, timeoutMs: this.#timeoutMs });
  }

  /**
   * Where sessions take the place of the fence: proves that nothing was written after the tokens,
   * in the tables that the streams carry.
   *
   * @returns what is not proven
   */
  async proveClosed(tokens: readonly TokenEvidence[]): Promise<readonly string[]> {
    if (this.#sessions === undefined) return [];
    this.#sessions.check();
    const { out: leaving, back: arriving } = this.route;
    const late = await readForeignChanges(this.#from, { leaving, arriving, tokens });
    if (!late.isKnown) return [`that nothing was written after the tokens: ${late.reason}`];
    if (late.found.length > 0) throw writtenAfterTokens(this.route.from, late.found);
    return [];
  }

  /** Lets the barrier wait for its commit while other databases are closed. */
  async holdFor(ms: number): Promise<void> {
    await this.#barrier.execute(
      `SET LOCAL idle_in_transaction_session_timeout = ${Math.ceil(ms)}${
        this.#barrier.majorVersion >= 17 ? "; SET LOCAL transaction_timeout = 0" : ""
      }`,
    );
  }

  /**
   * The point of no return: commits the fence and the record that this side is closed.
   *
   * @returns what is not certain about it
   * @throws CommitUnknownError if the server cannot be asked whether it was committed; any other
   * error means that it was not
   */
  async close(timeoutMs: number): Promise<readonly string[]> {
    const { isConfirmed } = await commitSide(this.#barrier, {
      timeoutMs,
      isCommitted: (record) => record?.isOpen === false && record.details.movedBy === this.#id,
    });
    this.#isHeld = false;
    this.#isClosed = true;
    const { side, database } = this.route.from;
    return isConfirmed ? [] : [
      `the synchronous standbys of the ${side} have not confirmed that ${database} is closed: if one of them is promoted before it has received that, it accepts writes again; do not fail over until pg_stat_replication shows that it has caught up`,
    ];
  }

  /**
   * Commits the opening of `to`.
   *
   * @throws if that fails: another command may already be working on the databases, so that only
   * {@linkcode completeSwitch}, which reads the records again, may repeat it
   */
  async openOther(timeoutMs: number): Promise<void> {
    await commitSide(this.#opening, {
      timeoutMs,
      isCommitted: (record) => record?.isOpen === true && record.details.movedBy === this.#id,
    });
    this.#isOpening = false;
  }

  /** Has a session on `to` take part in the lock, see {@linkcode joinCutover}. */
  async joinTo(session: Session): Promise<void> {
    await joinCutover(session, this.#opening);
  }

  /**
   * After {@linkcode openOther}.
   *
   * @throws OtherCommandError if another command has closed `to` again: the process was suspended
   */
  async refuseMovedBack(): Promise<void> {
    try {
      // as long as they live, they hold the lock
      await joinAll([this.#barrier.query("SELECT"), this.#opening.query("SELECT")]);
    } catch {
      const { to, toRecord } = this.route;
      await using session = await retry(() => openSession(to));
      const record = await readSide(session);
      if (record?.isOpen !== true || record.generation !== toRecord.generation) throw overtaken(to);
    }
  }

  /**
   * Lets writers continue on `from`. Never throws: the barrier's locks end with its session at the
   * latest.
   */
  async release(): Promise<void> {
    if (this.#isHeld) {
      this.#isHeld = false;
      await this.#barrier.execute("ROLLBACK").catch(() => this.#barrier.close());
      this.#releasedMs = performance.now();
    }
    if (!this.#isClosed) {
      // otherwise `undo` does it
      await this.#sessions?.release(this.#barrier).catch(() => {});
    }
    if (this.#isOpening) {
      this.#isOpening = false;
      await this.#opening.execute("ROLLBACK").catch(() => this.#opening.close());
    }
  }

  /**
   * Ends its sessions, and undoes what it has changed: nothing is closed, and nothing can be
   * attempted any more.
   *
   * @param onWritable called once writers can continue, before the streams are restored
   * @returns what could not be undone, in sentences
   * @throws OtherCommandError if another switch has taken over the database since the server ended
   * the lock: then nothing is undone
   */
  async undo(onWritable: () => void): Promise<readonly string[]> {
    const own = {
      from: this.processIdsOnFrom,
      to: [this.#to.processId, this.#opening.processId],
    };
    try {
      // what does not end by itself is ended
      await this[Symbol.asyncDispose]().catch(() => {});
      return await undoSwitch(this.route, { own, onWritable });
    } catch (error) {
      if (
        error instanceof OtherCommandError &&
        // the error is reported in any case
        await isTakenOver(this.route, own.from).catch(() => false)
      ) {
        throw error;
      }
      const isReadOnly = this.#sessions?.isClosing === true;
      return [
        `${this.name} was not restored${
          isReadOnly ? ", new sessions may still be read-only by default" : ""
        }: ${errorMessage(error)}`,
      ];
    }
  }

  /** Closes all sessions, which ends the barrier. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sessions?.[Symbol.asyncDispose]();
    await Promise.all(
      [
        this.#barrier,
        this.#from,
        this.#to,
        this.#opening,
        this.#monitor,
        this.#openingMonitor,
        this.largeObjects,
      ].map((each) => each[Symbol.asyncDispose]()),
    );
  }
}

function writtenAfterTokens(
  { side, database }: Endpoint,
  late: readonly TripwireFinding[],
): ReplicatorError {
  return new ReplicatorError(
    "a session that turned read-only mode off has written to the side while it was being closed; writers continue there",
    {
      side,
      object: `database ${database}`,
      details: [describeLateChanges(late)],
      remedy: "stop that client, and run the same command again",
    },
  );
}

/** Whether this tool applies the changes of any of the streams. */
async function hasClients(session: Session, streams: readonly string[]): Promise<boolean> {
  for (const name of streams) {
    await using applier = await openApplier(session, { name });
    if (applier.kind === "client") return true;
  }
  return false;
}
