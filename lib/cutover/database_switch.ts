/**
 * Moving one database from the side in use to the other: each step, and how it is undone.
 *
 * @module
 */
import {
  errorMessage,
  ExitCode,
  pause,
  poll,
  quoteIdentifier,
  ReplicatorError,
  retry,
  type TableName,
} from "../core/internal.ts";
import {
  durableSettings,
  type Endpoint,
  openSession,
  ServerError,
  type Session,
  silenceEventTriggers,
  SqlState,
  textArray,
} from "../postgres/internal.ts";
import { openApplier } from "../replication/internal.ts";
import {
  attemptBarrier,
  type BarrierAttempt,
  barrierTimeoutMs,
  type BarrierWaiters,
  readBarrierWaiters,
} from "./barrier.ts";
import { disableFence, enableFence } from "./fence.ts";
import type { CloseEvidence, SideRecord, TokenEvidence } from "./model.ts";
import { readSide, recordSideStatement } from "./own_schema.ts";
import { planSequences, readSequences, setSequenceStatements } from "./sequences.ts";
import { advanceOrigin, advanceSlot } from "./back_stream.ts";
import { lockCutover } from "./lock.ts";
import { awaitTokens, deleteOldTokens, sendToken } from "./token.ts";

/** One database and its direction. */
export interface DatabaseRoute {
  /** The database in use, which will be closed. */
  readonly from: Endpoint;
  /** The database that will be opened. */
  readonly to: Endpoint;
  /** Streams from `from` to `to`. */
  readonly out: readonly string[];
  /** Streams from `to` to `from`; empty without a way back. */
  readonly back: readonly string[];
  /** Tables with a fence on both sides. */
  readonly tables: readonly TableName[];
  /** The record of the side in use. */
  readonly fromRecord: SideRecord;
  /** The record of the side that will be opened. */
  readonly toRecord: SideRecord;
}

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
 * {@linkcode release} leads from held, drained and reversed back to connected.
 */
export class DatabaseSwitch implements AsyncDisposable {
  readonly route: DatabaseRoute;
  readonly #barrier: Session;
  readonly #from: Session;
  readonly #to: Session;
  readonly #opening: Session;
  readonly #monitor: Session;
  readonly #signal: AbortSignal;
  readonly #timeoutMs: number;
  #isHeld = false;
  #isOpening = false;
  #isReversed = false;

  private constructor(
    route: DatabaseRoute,
    sessions: {
      readonly barrier: Session;
      readonly from: Session;
      readonly to: Session;
      readonly opening: Session;
      readonly monitor: Session;
    },
    { signal, timeoutMs }: { readonly signal: AbortSignal; readonly timeoutMs: number },
  ) {
    this.route = route;
    this.#barrier = sessions.barrier;
    this.#from = sessions.from;
    this.#to = sessions.to;
    this.#opening = sessions.opening;
    this.#monitor = sessions.monitor;
    this.#signal = signal;
    this.#timeoutMs = timeoutMs;
  }

  /** Opens the sessions, before anything waits for them. */
  static async open(route: DatabaseRoute, signal: AbortSignal): Promise<DatabaseSwitch> {
    await using stack = new AsyncDisposableStack();
    const open = async (endpoint: Endpoint) =>
      stack.use(
        await retry(() => openSession(endpoint, { signal, settings: durableSettings }), { signal }),
      );
    const sessions = {
      barrier: await open(route.from),
      from: await open(route.from),
      to: await open(route.to),
      opening: await open(route.to),
      monitor: await open(route.from),
    };
    // held by the sessions that commit: who has the lock and reads the records knows the phase
    await lockCutover(sessions.barrier);
    await lockCutover(sessions.opening);
    await refuseStale(route, { from: sessions.from, to: sessions.to });
    if (route.toRecord.details.isTurning) {
      await restoreStreams(route);
      await sessions.to.execute(recordSideStatement(withTurning(route.toRecord, false)));
    }
    // ALTER TABLE must not run the user's event triggers in the middle of the pause
    await silenceEventTriggers(sessions.barrier);
    await silenceEventTriggers(sessions.opening);
    const timeoutMs = await barrierTimeoutMs(sessions.barrier);
    stack.move();
    return new DatabaseSwitch(route, sessions, { signal, timeoutMs });
  }

  /** The database's name on the side in use. */
  get name(): string {
    return this.route.from.database;
  }

  /** Process ID of the backend that holds the barrier. */
  get barrierPid(): number {
    return this.#barrier.processId;
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
  async tryBarrier(maxSilenceMs: number): Promise<BarrierAttempt> {
    const attempt = await attemptBarrier({
      session: this.#barrier,
      observer: this.#monitor,
      tables: this.route.tables,
      timeoutMs: this.#timeoutMs,
      maxSilenceMs,
      signal: this.#signal,
    });
    this.#isHeld = attempt.isHeld;
    return attempt;
  }

  /** How the barrier is felt. */
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
    const { tables } = this.route;
    for (let from = 0; from < tables.length; from += batchSize) {
      await this.#barrier.execute(
        tables.slice(from, from + batchSize).map(enableFence).join(";\n"),
      );
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
    this.#isReversed = true;
    await this.#to.execute(recordSideStatement(withTurning(this.route.toRecord, true)));
    return evidence;
  }

  /** How long opening the other side takes: it is rolled back. */
  async measureOpening(): Promise<number> {
    const start = performance.now();
    try {
      await this.prepareOpening();
      return performance.now() - start;
    } finally {
      await this.release();
    }
  }

  /** Carries the sequences over; can be repeated. Returns how many, and those without a margin. */
  async carrySequences(
    margin: number,
  ): Promise<{ readonly count: number; readonly notes: readonly string[] }> {
    const [from, to] = await Promise.all([readSequences(this.#from), readSequences(this.#to)]);
    const settings = planSequences({ from, to, margin });
    for (const statement of setSequenceStatements(settings)) await this.#to.queryAll(statement);
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
    await this.#stop(this.#to, this.route.out, this.#from);
    for (const name of this.route.back) {
      const lsn = await advanceSlot(this.#to, name);
      await advanceOrigin(this.#from, { subscription: name, lsn });
      await using applier = openApplier(this.#from, { name, signal: this.#signal });
      await applier.start();
    }
    const tokens = await Promise.all(this.route.back.map((stream) => sendToken(this.#to, stream)));
    if (tokens.length === 0) return [];
    return await awaitTokens(this.#from, { tokens, deadlineMs, signal: this.#signal });
  }

  /** Takes the locks on `to` and opens its fence there, to be committed by `openOther`. */
  async prepareOpening(): Promise<void> {
    this.#isOpening = true;
    await beginOpening(this.#opening, {
      tables: this.route.tables,
      record: this.#openedRecord(),
      timeoutMs: this.#timeoutMs,
    });
  }

  #openedRecord(): SideRecord {
    return opened(this.route.toRecord);
  }

  /**
   * The point of no return: commits the fence and the record that this side is closed.
   *
   * @throws CommitUnknownError if the server cannot be asked whether it was committed; any other
   * error means that it was not
   */
  async close(evidence: CloseEvidence): Promise<void> {
    const generation = this.#nextGeneration;
    const { fromRecord, from } = this.route;
    await this.#barrier.execute(recordSideStatement({
      ...fromRecord,
      isOpen: false,
      generation,
      details: { ...fromRecord.details, evidence },
    }));
    await trySetReadOnly(this.#barrier, { database: from.database, timeoutMs: this.#timeoutMs });
    try {
      await this.#barrier.execute("COMMIT");
    } catch (error) {
      const pid = this.#barrier.processId;
      let isClosed: boolean;
      try {
        isClosed = await isClosedAt(from, { generation, pid });
      } catch (cause) {
        throw new CommitUnknownError(from, cause);
      }
      if (!isClosed) throw error;
    }
    this.#isHeld = false;
  }

  get #nextGeneration(): number {
    return Math.max(this.route.fromRecord.generation, this.route.toRecord.generation) + 1;
  }

  /**
   * Commits the opening of `to`.
   *
   * @throws if that fails: another command may already be working on the databases, so that only
   * {@linkcode completeSwitch}, which reads the records again, may repeat it
   */
  async openOther(): Promise<void> {
    await this.#opening.execute("COMMIT");
    this.#isOpening = false;
  }

  /**
   * Lets writers continue on `from`, then restores the streams. Never throws: the barrier's locks
   * end with its session at the latest.
   *
   * @returns what could not be restored
   */
  async release(): Promise<readonly string[]> {
    if (this.#isHeld) {
      this.#isHeld = false;
      await this.#barrier.execute("ROLLBACK").catch(() => this.#barrier.close());
    }
    if (this.#isOpening) {
      this.#isOpening = false;
      await this.#opening.execute("ROLLBACK").catch(() => this.#opening.close());
    }
    if (!this.#isReversed) return [];
    this.#isReversed = false;
    try {
      await restoreStreams(this.route);
      await using session = await retry(() =>
        openSession(this.route.to, { settings: durableSettings })
      );
      await session.execute(recordSideStatement(withTurning(this.route.toRecord, false)));
      return [];
    } catch (error) {
      return [`replication of ${this.name} was not restored: ${errorMessage(error)}`];
    }
  }

  /** Stops appliers. A token wakes those that wait for changes: before 16 they do not notice. */
  async #stop(session: Session, streams: readonly string[], sender: Session): Promise<void> {
    await Promise.all(streams.map(async (name) => {
      await using applier = openApplier(session, { name, signal: this.#signal });
      const stopped = applier.stop();
      const waking = wake(sender, name, stopped);
      await stopped;
      await waking;
    }));
  }

  /** Closes all sessions, which ends the barrier. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      [this.#barrier, this.#from, this.#to, this.#opening, this.#monitor].map((session) =>
        session.close()
      ),
    );
  }
}

/** Statements in one message. */
const batchSize = 200;

const wakePauseMs = 20;

async function wake(sender: Session, stream: string, until: Promise<void>): Promise<void> {
  let isOver = false;
  const over = () => {
    isOver = true;
  };
  until.then(over, over);
  while (!isOver) {
    await pause(wakePauseMs);
    if (!isOver && sender.isOpen) await sendToken(sender, stream).catch(over);
  }
}

interface OpeningOptions {
  readonly tables: readonly TableName[];
  readonly record: SideRecord;
}

/** A client that is gone must not hold the locks of the side that should be opened. */
const maxSilenceMs = 60_000;

/** Begins the transaction that opens a side, up to its commit. */
async function beginOpening(
  session: Session,
  { tables, record, timeoutMs }: OpeningOptions & { readonly timeoutMs: number },
): Promise<void> {
  // autovacuum of a large table may hold a lock: then the cutover is abandoned in time
  await session.execute(
    `BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = ${timeoutMs};
     SET LOCAL idle_in_transaction_session_timeout = ${maxSilenceMs}`,
  );
  for (let from = 0; from < tables.length; from += batchSize) {
    await session.execute(tables.slice(from, from + batchSize).map(disableFence).join(";\n"));
  }
  // waits for another ALTER DATABASE of the database
  await resetReadOnly(session, session.endpoint.database);
  await session.execute("SET LOCAL lock_timeout = 0");
  await session.execute(recordSideStatement(record));
}

const openingTimeoutMs = 10_000;

const openingDelaysMs: readonly number[] = [200, 500, 1_000, 2_000, 5_000, 10_000, 10_000, 10_000];

/**
 * Completes an interrupted switch of a closed database: turns replication around if that is not so
 * yet, then opens the other side. Nothing can have been written on either side since. Holds the
 * lock of both sides in the meantime, so that no other command opens the side that was in use.
 *
 * @throws ReplicatorError if another command has opened a side
 */
export async function completeSwitch(given: DatabaseRoute): Promise<void> {
  await retry(async () => {
    await using onFrom = await openSession(given.from, { settings: durableSettings });
    await using onTo = await openSession(given.to, { settings: durableSettings });
    await lockCutover(onFrom);
    await lockCutover(onTo);
    const route = await refresh(given, { from: onFrom, to: onTo });
    if (route.fromRecord.isOpen) throw overtaken(given);
    if (route.toRecord.isOpen) return; // the answer to its COMMIT was lost
    await turnAround(route, { onFrom, onTo });
    await silenceEventTriggers(onTo);
    await beginOpening(onTo, {
      tables: route.tables,
      record: opened(route.toRecord),
      timeoutMs: openingTimeoutMs,
    });
    await onTo.execute("COMMIT");
  }, { delaysMs: openingDelaysMs });
}

async function turnAround(
  { out, back }: DatabaseRoute,
  { onFrom, onTo }: { readonly onFrom: Session; readonly onTo: Session },
): Promise<void> {
  for (const name of out) {
    await using applier = openApplier(onTo, { name });
    if (await applier.state() === "running") await applier.stop();
  }
  for (const name of back) {
    await using applier = openApplier(onFrom, { name });
    if (await applier.state() !== "stopped") continue;
    const lsn = await advanceSlot(onTo, name);
    await advanceOrigin(onFrom, { subscription: name, lsn });
    await applier.start();
  }
}

/** The route with the records as they are now. */
async function refresh(
  route: DatabaseRoute,
  { from, to }: { readonly from: Session; readonly to: Session },
): Promise<DatabaseRoute> {
  const [fromRecord, toRecord] = [await readSide(from), await readSide(to)];
  if (fromRecord?.id !== route.fromRecord.id || toRecord?.id !== route.toRecord.id) {
    throw overtaken(route);
  }
  return { ...route, fromRecord, toRecord };
}

/** @throws ReplicatorError if another command has changed the phase since the route was read */
async function refuseStale(
  route: DatabaseRoute,
  sessions: { readonly from: Session; readonly to: Session },
): Promise<void> {
  const { fromRecord, toRecord } = await refresh(route, sessions);
  const isSame = (a: SideRecord, b: SideRecord) =>
    a.isOpen === b.isOpen && a.generation === b.generation &&
    a.details.isPrepared === b.details.isPrepared &&
    a.details.isFinished === b.details.isFinished &&
    a.details.isTurning === b.details.isTurning;
  if (!isSame(fromRecord, route.fromRecord) || !isSame(toRecord, route.toRecord)) {
    throw overtaken(route);
  }
}

function overtaken({ from }: DatabaseRoute): ReplicatorError {
  return new ReplicatorError("another command has changed the state of the cutover", {
    side: from.side,
    object: `database ${from.database}`,
    remedy: "see cutover status, then decide again",
    exitCode: ExitCode.prerequisite,
  });
}

/** The record of a side that has just been opened. */
function opened(record: SideRecord): SideRecord {
  return {
    ...record,
    isOpen: true,
    details: { ...record.details, isTurning: false, isSettled: false },
  };
}

function withTurning(record: SideRecord, isTurning: boolean): SideRecord {
  return { ...record, details: { ...record.details, isTurning } };
}

/**
 * Stops the way back and starts the streams to `to`: how replication stands while `from` is open.
 */
export async function restoreStreams({ from, to, back, out }: DatabaseRoute): Promise<void> {
  await using onFrom = await retry(() => openSession(from));
  await using onTo = await retry(() => openSession(to));
  for (const name of back) {
    await using applier = openApplier(onFrom, { name });
    if (await applier.state() === "running") await applier.stop();
  }
  for (const name of out) {
    await using applier = openApplier(onTo, { name });
    if (await applier.state() === "stopped") await applier.start();
  }
}

/**
 * Restores the streams if an earlier attempt died while it was turning them around.
 *
 * @returns the route with the records as they are now
 * @throws ReplicatorError if another command is working on the databases
 */
export async function restoreIfTurning(given: DatabaseRoute): Promise<DatabaseRoute> {
  if (!given.toRecord.details.isTurning) return given;
  await using onFrom = await retry(() => openSession(given.from));
  await using onTo = await retry(() => openSession(given.to, { settings: durableSettings }));
  await lockCutover(onFrom);
  await lockCutover(onTo);
  const route = await refresh(given, { from: onFrom, to: onTo });
  if (!route.fromRecord.isOpen) throw overtaken(route);
  if (!route.toRecord.details.isTurning) return route;
  await restoreStreams(route);
  const toRecord = withTurning(route.toRecord, false);
  await onTo.execute(recordSideStatement(toRecord));
  return { ...route, toRecord };
}

/**
 * New sessions are read-only unless they ask otherwise: clients find out before their first write,
 * and `target_session_attrs=read-write` moves on to the other host. The fence is what refuses
 * writes; without the database's ownership this is left out.
 */
async function trySetReadOnly(
  session: Session,
  { database, timeoutMs }: { readonly database: string; readonly timeoutMs: number },
): Promise<void> {
  // a second ALTER DATABASE waits until the transaction of the first has ended
  await session.execute(`SAVEPOINT seren_read_only; SET LOCAL lock_timeout = ${timeoutMs}`);
  try {
    await session.execute(
      `ALTER DATABASE ${quoteIdentifier(database)} SET default_transaction_read_only = on`,
    );
    await session.execute("SET LOCAL lock_timeout = 0");
  } catch (error) {
    if (
      !(error instanceof ServerError) ||
      error.sqlState !== SqlState.insufficientPrivilege &&
        error.sqlState !== SqlState.lockNotAvailable
    ) throw error;
    await session.execute("ROLLBACK TO SAVEPOINT seren_read_only");
  }
}

async function resetReadOnly(session: Session, database: string): Promise<void> {
  const { isSet } = await session.queryOne<{ readonly isSet: boolean }>(`
    SELECT EXISTS (SELECT FROM pg_catalog.pg_db_role_setting AS s
                     JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
                    CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c (entry)
                    WHERE s.setrole = 0 AND d.datname = pg_catalog.current_database()
                      AND c.entry LIKE 'default_transaction_read_only=%') AS "isSet"`);
  if (!isSet) return;
  await session.execute(
    `ALTER DATABASE ${quoteIdentifier(database)} RESET default_transaction_read_only`,
  );
}

/**
 * Whether a COMMIT whose answer was lost has closed the side. Waits until its backend has ended, as
 * it may still be committing.
 */
async function isClosedAt(
  endpoint: Endpoint,
  { generation, pid }: { readonly generation: number; readonly pid: number },
): Promise<boolean> {
  return await retry(async () => {
    await using session = await openSession(endpoint);
    await session.query("SELECT pg_catalog.pg_terminate_backend($1)", [pid]).catch(() => []);
    await poll(async () => {
      const { alive } = await session.queryOne<{ readonly alive: boolean }>(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE pid = $1) AS alive",
        [pid],
      );
      return alive ? undefined : true;
    }, { intervalMs: 50 });
    const record = await readSide(session);
    return record !== undefined && !record.isOpen && record.generation >= generation;
  }, { delaysMs: [200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000] });
}

/** Ends the client sessions of a closed database. */
export async function endClientSessions(
  endpoint: Endpoint,
): Promise<{ readonly ended: number; readonly refused: number }> {
  await using session = await retry(() => openSession(endpoint));
  const pids = await session.query<{ readonly pid: number }>(
    `SELECT pid FROM pg_catalog.pg_stat_activity
      WHERE datname = pg_catalog.current_database() AND backend_type = 'client backend'
        AND pid <> pg_catalog.pg_backend_pid()`,
  );
  let ended = 0;
  let refused = 0;
  for (const { pid } of pids) {
    try {
      await session.query("SELECT pg_catalog.pg_terminate_backend($1)", [pid]);
      ended++;
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      refused++;
    }
  }
  return { ended, refused };
}

/** Whether the point of no return was passed is not known. */
export class CommitUnknownError extends ReplicatorError {
  /** Class name, for `error.name`. */
  override readonly name = "CommitUnknownError";

  /** Names the side that does not answer. */
  constructor(endpoint: Endpoint, cause: unknown) {
    super(
      "the connection was lost while the database was being closed, and the server does not answer",
      {
        side: endpoint.side,
        object: `database ${endpoint.database}`,
        details: [errorMessage(cause)],
        cause,
      },
    );
  }
}

/** For messages: why a step cannot be done in time. */
export function pauseExceeded(maxPauseMs: number): ReplicatorError {
  return new ReplicatorError(
    `the pause would have exceeded --max-pause (${maxPauseMs} ms); writers continue on the side in use`,
    { remedy: "run cutover rehearse to see what takes the time, or allow a longer pause" },
  );
}
