/**
 * One connection of an applier to each side, from the recorded position until one of them ends.
 *
 * @module
 */
import {
  errorMessage,
  ExitCode,
  formatLsn,
  type Lsn,
  parseLsn,
  parseOptionalLsn,
  poll,
  quoteIdentifier,
  quoteLiteral,
  ReplicatorError,
  retry,
  tableKey,
  type TableName,
} from "../core/internal.ts";
import {
  actAsReplica,
  catalogResultBytes,
  ConnectionError,
  durableSettings,
  encodeQuery,
  type ExchangeConnection,
  openSession,
  receiveWal,
  ServerError,
  type Session,
  SqlState,
  terminatePreviousBackend,
  type WalFeed,
} from "../postgres/internal.ts";
import {
  applyLockKey,
  type ApplyRecord,
  applySetting,
  describeApplyProcess,
  describeIntruder,
  hasActingObjects,
  hasApplySchema,
  holdObjects,
  readApplyRecords,
  resnapshotRemedy,
  useApplyOrigin,
} from "../replication/internal.ts";
import type { ApplyChangesOptions } from "./options.ts";
import { type Batch, BatchReader } from "./batch.ts";
import type { Item } from "./collect.ts";
import { KeyChecks } from "./deferrable_keys.ts";
import { type EncodedSteps, StepEncoder } from "./encode.ts";
import {
  ChangeRefusedError,
  explainRefusal,
  isTransientRefusal,
  refusedBy,
  refusedStream,
  type SentStep,
  type StepFailure,
} from "./explain.ts";
import { Pipeline, type PipelineAnswer } from "./pipeline.ts";
import { advanceStatement, readAppliedNames, recordApplyError } from "./record.ts";
import { RowFilter } from "./row_filter.ts";
import { planCommit, plannerSettings, planSteps, type Step } from "./statements.ts";
import { readTableKeys, readTargetTables } from "./applied_tables.ts";

/** Why a run has ended without an error. */
export type StreamEnd =
  /** Another session has stopped the stream. */
  | { readonly kind: "stopped" }
  /** Combined changes failed: those up to this commit have to be applied one by one. */
  | { readonly kind: "failed"; readonly strictUntil: Lsn }
  /** Changes have arrived on which triggers or foreign keys would act; none of them is applied. */
  | { readonly kind: "unheld" }
  /** The tables of the target, as they were read, cannot take a change of this commit. */
  | { readonly kind: "outdated"; readonly commitLsn: Lsn };

/** What {@linkcode runStream} takes. */
export interface StreamRunOptions extends ApplyChangesOptions {
  /** Transactions up to this commit are applied change by change. */
  readonly strictUntil: Lsn;
  /** The commit for which the tables of the target are read again: if they lack more, it ends. */
  readonly rereadFor: Lsn | undefined;
  /**
   * Whether triggers and foreign keys that would act on changes are held, where the role may not
   * set `session_replication_role`. Not before the first change: a cutover that starts a stream
   * keeps the tables locked until it is past its point of no return.
   */
  readonly holds: boolean;
  /**
   * The backend that this process used before, which may not have noticed that its connection is
   * gone.
   */
  readonly previousBackend: number | undefined;
  /** Called with the backend of the session that holds the stream's lock. */
  readonly onStarted: (processId: number) => void;
}

/**
 * Applies changes until the stream is stopped or a combined statement fails.
 *
 * @throws ChangeRefusedError if a change cannot be applied on its own
 * @throws ConnectionError or ServerError if one of the connections ends
 */
export async function runStream(options: StreamRunOptions): Promise<StreamEnd> {
  const { name, signal } = options;
  await using target = await openSession(options.target, {
    signal,
    settings: { ...durableSettings, ...plannerSettings },
  });
  await acquireLock(target, options);
  options.onStarted(target.processId);
  const record = await readRecord(target, name);
  if (record?.enabled !== true) return { kind: "stopped" };
  const names = await readAppliedNames(target, name);
  const isUnheld = await actsOnChanges(target, { names, options });
  await target.execute(`SET ${applySetting} = ${quoteLiteral(name)}`);
  await useApplyOrigin(target, options);
  await using source = await openSession(options.source, { signal, replication: true });
  await source.execute(keepPatience);
  const publishedAt = await refuseGap(source, record).catch(async (error: unknown) => {
    if (error instanceof ChangeRefusedError) {
      await recordRefusal(options, { refusal: error, from: record.endLsn });
    }
    throw error;
  });
  const hasEncoding = await matchEncodings(source, target);
  const tables = await readTargetTables(target, names);
  const reader = new BatchReader({
    after: record.endLsn,
    strictUntil: options.strictUntil,
    skip: record.skipLsn,
    applied: new Set(names.map((table) => tableKey(table))),
    tables,
    existing: await readTableKeys(target),
    // after the list: a table leaves the publication first
    published: await readPublishedOids(source, name),
    publishedAt,
    rowFilters: new Map(
      names.flatMap((table) =>
        table.row_filter === null ? [] : [[tableKey(table), table.row_filter]]
      ),
    ),
  });
  await using filter = new RowFilter({ target: options.target, signal, hasEncoding });
  const run = new StreamRun({
    ...{ options, reader, record, session: target, filter, isUnheld },
    commitSteps: planCommit(tables.values()),
  });
  const receiving = receiveWal(source, {
    command: startCommand(record),
    onMessage: (message) => reader.read(message),
    onKeepalive: (walEnd) => run.keepalive(walEnd),
    pace: () => run.pace(),
    durable: () => run.durable,
  }, (feed) => run.start(feed));
  const received = receiving.catch((error: unknown): never => {
    throw withoutPublication(error, { name, source });
  });
  const applied = target.exclusive(
    (connection) => run.apply(connection),
    () => run.awaitsTarget,
  );
  received.catch(() => {});
  applied.catch(() => {});
  // not in the exchange, which does not end if the connection does
  const timer = setInterval(() => run.wake(), heartbeatMs);
  try {
    return await Promise.race([applied, received]);
  } catch (error) {
    if (!(error instanceof ChangeRefusedError) || signal.aborted) throw error;
    // this session still has the stream's lock, unless it has ended
    if (await recordRefusal(options, { refusal: error, from: run.committed })) throw error;
    return { kind: "failed", strictUntil: options.strictUntil };
  } finally {
    clearInterval(timer);
    run.end();
  }
}

const gapStatement = `
  SELECT s.slot_name AS found, s.confirmed_flush_lsn::pg_catalog.text AS lsn,
         w.decodable::pg_catalog.text AS decodable,
         greatest(w.decodable, w.received)::pg_catalog.text AS wal_end
    FROM (SELECT CASE WHEN r.is_standby THEN pg_catalog.pg_last_wal_replay_lsn()
                      ELSE pg_catalog.pg_current_wal_flush_lsn() END AS decodable,
                 CASE WHEN r.is_standby THEN pg_catalog.pg_last_wal_receive_lsn() END AS received
            FROM (SELECT pg_catalog.pg_is_in_recovery() AS is_standby) AS r) AS w
    LEFT JOIN pg_catalog.pg_replication_slots AS s ON s.slot_name = $1`;

/**
 * Writes into the record why a change cannot be applied.
 *
 * @returns false if another process has applied it, or has stopped the stream
 */
async function recordRefusal(
  { target, name, signal, events }: StreamRunOptions,
  { refusal, from }: { readonly refusal: ChangeRefusedError; readonly from: Lsn },
): Promise<boolean> {
  const { recorded: error, conflict } = refusal;
  try {
    return await retry(async () => {
      await using session = await openSession(target, { signal });
      return await recordApplyError(session, name, { error, conflict, from });
    }, { signal });
  } catch (failure) {
    events({
      kind: "warning",
      side: "target",
      object: `stream ${name}`,
      message: `its record does not say why it has stopped: ${errorMessage(failure)}`,
      remedy: "the error follows; the next sync reports it again",
    });
    return true;
  }
}

/**
 * A slot is never acknowledged beyond the record. If it is ahead nevertheless, the target was
 * restored to an earlier state, or the slot was created again: changes in between are lost.
 *
 * A source whose WAL ends before the record has lost what the target has. It would not send what it
 * writes up to that position.
 *
 * @returns the end of the source's WAL that can be decoded
 */
async function refuseGap(source: Session, { name, slotName, endLsn }: ApplyRecord): Promise<Lsn> {
  const slot = slotName ?? name;
  const row = await source.queryOne<{
    readonly found: string | null;
    readonly lsn: string | null;
    readonly decodable: string;
    readonly wal_end: string;
  }>(gapStatement, [slot]);
  const { found } = row;
  const position = parseOptionalLsn(row.lsn);
  const walEnd = parseLsn(row.wal_end);
  const object = `database ${source.endpoint.database}`;
  if (found === null || position !== undefined && position > endLsn) {
    throw new ReplicatorError(
      found === null
        ? `the slot ${slot} no longer exists: changes made since it was dropped are lost`
        : `the slot ${slot} is at ${
          formatLsn(position ?? 0n)
        }, but the target has only what precedes ${
          formatLsn(endLsn)
        }: it was restored to an earlier state, or the slot was created again`,
      {
        side: found === null ? "source" : "target",
        object,
        remedy: resnapshotRemedy,
        exitCode: ExitCode.unhealthy,
      },
    );
  }
  if (walEnd >= endLsn) return parseLsn(row.decodable);
  throw refusedStream(
    `the source ends at ${formatLsn(walEnd)}, but the target has what it wrote up to ${
      formatLsn(endLsn)
    }: it was restored to an earlier state, or is a standby that was promoted without its last changes`,
    [
      "the target has changes that the source has lost, and would miss those that it writes up to that position",
    ],
  );
}

/** The tables that a publication has now, by OID: a renamed table keeps its own. */
async function readPublishedOids(
  source: Session,
  publication: string,
): Promise<ReadonlySet<number>> {
  const rows = await source.query<{ readonly oid: number }>(
    `SELECT c.oid
       FROM pg_catalog.pg_publication_tables AS p
       JOIN pg_catalog.pg_namespace AS n ON n.nspname = p.schemaname
       JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.tablename
      WHERE p.pubname = $1`,
    [publication],
    { resultBytes: catalogResultBytes },
  );
  return new Set(rows.map(({ oid }) => oid));
}

/** The source reads the publication only when it decodes a change, as it was at that time. */
function withoutPublication(
  error: unknown,
  { name, source }: { readonly name: string; readonly source: Session },
): unknown {
  const isMissing = error instanceof ServerError && error.sqlState === SqlState.undefinedObject;
  if (!isMissing) return error;
  return new ReplicatorError(
    `the publication ${name} did not exist when the next changes were written: it was dropped on the source, which cannot send them`,
    {
      side: "source",
      object: `database ${source.endpoint.database}`,
      details: [error.message],
      remedy: "copy its tables again with sync --resnapshot TABLES (or '*')",
      exitCode: ExitCode.unhealthy,
      cause: error,
    },
  );
}

/** How long to wait for the lock: a process that has lost its connection holds it for a while. */
const lockTimeoutMs = 20_000;

const lockIntervalMs = 250;

/** After this many attempts, what is waited for is reported. */
const patientAttempts = 4;

/** Another process applies the changes of the stream. */
export class StreamInUseError extends ReplicatorError {
  override readonly name = "StreamInUseError";
}

async function acquireLock(
  session: Session,
  { name, signal, events, previousBackend }: StreamRunOptions,
): Promise<void> {
  const key = applyLockKey(name);
  if (previousBackend !== undefined) await terminatePreviousBackend(session, previousBackend);
  const acquired = await poll(async (failures) => {
    if (failures === patientAttempts) {
      const holder = await describeApplyProcess(session, name);
      if (holder !== undefined) {
        events({
          kind: "info",
          message:
            `${session.endpoint.database}: waiting for the process that applies ${name}: ${holder}`,
        });
      }
    }
    const { locked } = await session.queryOne<{ readonly locked: boolean }>(
      "SELECT pg_catalog.pg_try_advisory_lock($1, $2) AS locked",
      [...key],
    );
    return locked || undefined;
  }, {
    intervalMs: lockIntervalMs,
    timeoutMs: previousBackend === undefined ? lockTimeoutMs : Infinity,
    signal,
  });
  if (acquired) return;
  const holder = await describeApplyProcess(session, name);
  const intruder = holder === undefined ? await describeIntruder(session, name) : undefined;
  if (intruder !== undefined) throw lockedByOther(session, { name, intruder });
  throw new StreamInUseError(`another process applies the changes of the stream ${name}`, {
    side: "target",
    object: `database ${session.endpoint.database}`,
    ...(holder === undefined ? {} : { details: [`it has the ${holder}`] }),
    remedy: "let it continue; or stop it, and run the same command again",
    exitCode: ExitCode.prerequisite,
  });
}

function lockedByOther(
  { endpoint }: Session,
  { name, intruder }: { readonly name: string; readonly intruder: string },
): StreamInUseError {
  return new StreamInUseError(
    `the advisory lock of the stream ${name} is held by ${intruder}, which may not apply its changes`,
    {
      side: "target",
      object: `database ${endpoint.database}`,
      remedy: "end that session on the target with pg_terminate_backend, and find out what it is",
      exitCode: ExitCode.prerequisite,
    },
  );
}

/** Undefined if it was removed. */
async function readRecord(session: Session, name: string): Promise<ApplyRecord | undefined> {
  if (!await hasApplySchema(session)) return undefined;
  const [record] = await readApplyRecords(session, [name]);
  if (record === undefined || record.slotName !== undefined) return record;
  throw new ReplicatorError(`the stream ${name} is detached from its slot`, {
    side: "target",
    object: `database ${session.endpoint.database}`,
    remedy: "remove it with cleanup, then start over with init --enable-sync",
    exitCode: ExitCode.prerequisite,
  });
}

/** Whether triggers or foreign keys of the tables still act on changes that are applied. */
async function actsOnChanges(
  target: Session,
  { names, options }: { readonly names: readonly TableName[]; readonly options: StreamRunOptions },
): Promise<boolean> {
  if (await actAsReplica(target, "SESSION")) return false;
  if (!options.holds) return await hasActingObjects(target, names);
  await holdActingObjects(target, { names, options });
  return false;
}

async function holdActingObjects(
  target: Session,
  { names, options }: { readonly names: readonly TableName[]; readonly options: StreamRunOptions },
): Promise<void> {
  const held = await holdObjects(target, names);
  if (held.length === 0) return;
  const effects = Map.groupBy(held, ({ effect }) => effect);
  options.events({
    kind: "info",
    message: `${target.endpoint.database}: the role ${target.endpoint.user} may not set ` +
      "session_replication_role; until the stream is stopped by cutover or cleanup: " +
      [...effects].map(([effect, objects]) =>
        `${effect}: ${objects.map(({ object }) => object).join(", ")}`
      ).join("; "),
  });
}

/**
 * Bytes of a database without an encoding pass unchanged; all others are converted as UTF-8.
 *
 * @returns whether values are UTF-8
 */
async function matchEncodings(source: Session, target: Session): Promise<boolean> {
  const { encoding } = await source.queryOne<{ readonly encoding: string }>(
    "SELECT pg_catalog.current_setting('server_encoding') AS encoding",
  );
  if (encoding !== "SQL_ASCII") return true;
  for (const session of [source, target]) {
    await session.execute("SET client_encoding = 'SQL_ASCII'");
  }
  return false;
}

/**
 * Keepalives are not read while the target is busy with what was received. A source with a short
 * `wal_sender_timeout` would end a large transaction again and again.
 */
const keepPatience = `
  SELECT pg_catalog.set_config('wal_sender_timeout', '60s', false) FROM pg_catalog.pg_settings AS s
   WHERE s.name = 'wal_sender_timeout' AND s.setting::pg_catalog.int4 BETWEEN 1 AND 59999`;

/** Source: PostgreSQL documentation, "54.5. Logical Streaming Replication Protocol". */
function startCommand({ name, slotName, endLsn }: ApplyRecord): string {
  return `START_REPLICATION SLOT ${quoteIdentifier(slotName ?? name)} LOGICAL ${
    formatLsn(endLsn)
  } (proto_version '1', publication_names ${quoteLiteral(quoteIdentifier(name))})`;
}

/** Batches read ahead. */
const maxWaiting = 1;

/** Batches sent ahead: the target has work while the answer to one is on its way. */
const maxFlights = 4;

/** Batches of whole transactions in one transaction of the target. */
const maxGroupedBatches = 16;

/** The record is written at least this often, which also finds that the stream was stopped. */
const heartbeatMs = 10_000;

/** The position of an idle stream is written at most this often, when it has advanced. */
const idleAdvanceMs = 100;

/** A run whose sessions are open. */
interface OpenedStream {
  readonly options: StreamRunOptions;
  readonly reader: BatchReader;
  readonly record: ApplyRecord;
  /** Acquired by {@linkcode StreamRun.apply}. */
  readonly session: Session;
  readonly filter: RowFilter;
  /** See {@linkcode StreamEnd}. */
  readonly isUnheld: boolean;
  /** Precede each COMMIT of changes. */
  readonly commitSteps: readonly Step[];
}

/** Statements that were sent. */
interface Flight {
  readonly steps: readonly SentStep[];
  readonly answer: Promise<PipelineAnswer>;
  /** Undefined if it only writes the record. */
  readonly batch: Pick<Batch, "isStrict" | "lastCommitLsn"> | undefined;
}

/**
 * Applies batches in order, without waiting for the target: statements are sent while earlier ones
 * run. At most one transaction is open on the target. Its COMMIT is sent once all its statements
 * are known to have succeeded, and the statements of the next follow at once.
 */
class StreamRun {
  readonly #options: StreamRunOptions;
  readonly #reader: BatchReader;
  readonly #record: ApplyRecord;
  readonly #session: Session;
  readonly #filter: RowFilter;
  readonly #isUnheld: boolean;
  readonly #commitSteps: readonly Step[];
  readonly #encoder = new StepEncoder();
  readonly #keyChecks = new KeyChecks();
  readonly #ended = Promise.withResolvers<StreamEnd>();
  #feed: WalFeed | undefined;
  #pipeline: Pipeline | undefined;
  #woken = Promise.withResolvers<void>();
  #room: PromiseWithResolvers<void> | undefined;
  /** The position in the record, once all that was sent has succeeded. */
  #recorded: Lsn;
  /**
   * Everything before it has been received, and has been sent to the target or does not concern it.
   * Ahead of the record while a stream is idle.
   */
  #position: Lsn;
  #recordedAtMs = -Infinity;
  #soon: ReturnType<typeof setTimeout> | undefined;
  /** Resolves when everything sent has succeeded. */
  #checked: Promise<void> = Promise.resolve();
  /** Resolves when the COMMIT of the last transaction has been sent. */
  #closing: Promise<void> = Promise.resolve();
  /** Whether that COMMIT has not been sent yet. */
  #isClosing = false;
  /** Transactions whose end is not known to have succeeded. */
  #uncommitted = 0;
  /** For each batch sent ahead, resolves when it has succeeded. */
  readonly #flights: Promise<void>[] = [];
  /** Whether a transaction is open on the target, which is not complete. */
  #isOpen = false;
  /** Batches in it. */
  #grouped = 0;
  /** Since the last COMMIT. */
  #counts = { transactions: 0, changes: 0 };
  /** The position in the record, as of the last COMMIT whose answer has come. */
  committed: Lsn;
  /**
   * Everything before it is durable on the target, or does not concern it. Unknown until a COMMIT
   * is answered: what the record showed at first may not be on a synchronous standby yet.
   */
  durable: Lsn = 0n;

  constructor(opened: OpenedStream) {
    const { options, reader, record, session, filter, isUnheld, commitSteps } = opened;
    this.#commitSteps = commitSteps;
    this.#filter = filter;
    this.#isUnheld = isUnheld;
    this.#options = options;
    this.#reader = reader;
    this.#record = record;
    this.#session = session;
    this.#recorded = record.endLsn;
    this.#position = record.endLsn;
    this.committed = record.endLsn;
  }

  get awaitsTarget(): boolean {
    return this.#pipeline?.awaitsAnswer ?? false;
  }

  start(feed: WalFeed): void {
    this.#feed = feed;
  }

  /** Makes the loop look for a batch, or write the record if that is due. */
  wake(): void {
    this.#woken.resolve();
  }

  /** Its position may be acknowledged only once everything received is durable. */
  keepalive(walEnd: Lsn): void {
    if (!this.#reader.isEmpty || walEnd <= this.#position) return;
    this.#position = walEnd;
    this.wake();
  }

  /** Ends what would run on its own. */
  end(): void {
    clearTimeout(this.#soon);
  }

  #settle(lsn: Lsn): void {
    this.committed = lsn;
    this.durable = lsn;
    this.#feed?.acknowledge();
  }

  /** Called when something was received; the promise resolves when more can be. */
  pace(): Promise<void> | undefined {
    this.wake();
    if (this.#reader.waiting < maxWaiting) return undefined;
    this.#room ??= Promise.withResolvers();
    return this.#room.promise;
  }

  async apply(connection: ExchangeConnection): Promise<StreamEnd> {
    this.#pipeline = new Pipeline(this.#session, connection);
    return await Promise.race([this.#applyAll(), this.#ended.promise]);
  }

  async #applyAll(): Promise<never> {
    // the record names the session before it writes anything: a fence lets only that one pass
    this.#beat();
    await this.#closing;
    await this.#checked;
    for (;;) {
      const batch = await this.#next();
      if (batch === undefined) this.#beat();
      else await this.#apply(batch);
    }
  }

  /** The next batch; undefined if the record is to be written meanwhile. */
  async #next(): Promise<Batch | undefined> {
    for (;;) {
      this.#woken = Promise.withResolvers();
      // what arrives before the COMMIT is sent is applied together
      const batch = this.#reader.take({ mayGrow: !this.#isClosing });
      if (batch !== undefined) {
        // a chunk of the network may have more than one batch
        if (this.#reader.waiting < maxWaiting) {
          this.#room?.resolve();
          this.#room = undefined;
        }
        return batch;
      }
      if (!this.#isOpen && this.#uncommitted === 0) {
        const recordedMs = performance.now() - this.#recordedAtMs;
        const dueMs = this.#position > this.#recorded ? idleAdvanceMs : heartbeatMs;
        if (recordedMs >= dueMs) return undefined;
        if (dueMs === idleAdvanceMs) {
          clearTimeout(this.#soon);
          this.#soon = setTimeout(() => this.wake(), idleAdvanceMs);
        }
      }
      await this.#woken.promise;
    }
  }

  async #apply(batch: Batch): Promise<void> {
    const { endLsn } = batch;
    if (batch.refusal !== undefined) return await this.#reread(batch.refusal, batch);
    if (this.#isUnheld && this.#reader.changesTables) return await this.#end({ kind: "unheld" });
    this.#counts.transactions += batch.transactions;
    this.#counts.changes += batch.changes;
    const items = await this.#filtered(batch);
    const isComplete = endLsn !== undefined;
    const changes = [...planSteps(items), ...this.#keyChecks.plan(items, { isComplete })];
    const skips = this.#record.skipLsn !== undefined;
    if (changes.length === 0 && !this.#isOpen && !skips && endLsn !== undefined) {
      // the transactions did not concern the tables; a later COMMIT counts them
      if (endLsn > this.#position) this.#position = endLsn;
      return;
    }
    const steps = [...this.#forgetting(), ...this.#opening(), ...changes];
    const isLast = endLsn !== undefined && !this.#mayGroup(batch);
    if (isLast) steps.push(...this.#commitSteps, this.#advanceStep(endLsn));
    this.#grouped++;
    if (steps.length === 0) return; // a filter has left nothing: no answer would come
    const encoded = this.#encoder.encode(steps);
    await this.#closing;
    while (this.#flights.length >= maxFlights) await this.#flights.shift();
    this.#flights.push(this.#fly(steps, encoded, batch));
    if (isLast) this.#close(endLsn, batch);
  }

  /** Whether the next batch can be applied in the same transaction. */
  #mayGroup({ isStrict }: Batch): boolean {
    const { next } = this.#reader;
    return !isStrict && next !== undefined && !next.isStrict && next.endLsn !== undefined &&
      this.#grouped + 1 < maxGroupedBatches;
  }

  async #filtered(batch: Batch): Promise<readonly Item[]> {
    try {
      return await this.#filter.apply(batch.collector.items, batch);
    } catch (error) {
      if (
        error instanceof ServerError || error instanceof ConnectionError ||
        !(error instanceof ReplicatorError)
      ) throw error;
      return await this.#refuse(error, batch);
    }
  }

  /** The target may have been altered since its tables were read. */
  async #reread(error: ReplicatorError, batch: Batch): Promise<never> {
    const commitLsn = batch.lastCommitLsn;
    if (this.#options.rereadFor === commitLsn) return await this.#refuse(error, batch);
    await this.#closing;
    await this.#checked;
    return await this.#end({ kind: "outdated", commitLsn });
  }

  /**
   * Stops after what came before, which is recorded: only then is the transaction the next one, and
   * known. So it has to be alone in its batch.
   */
  async #refuse(
    error: ReplicatorError,
    { isStrict, lastCommitLsn }: Pick<Batch, "isStrict" | "lastCommitLsn">,
  ): Promise<never> {
    await this.#closing;
    await this.#checked;
    if (!isStrict) return await this.#end({ kind: "failed", strictUntil: lastCommitLsn });
    if (!this.#isOpen && this.#position > this.#recorded) {
      this.#beat();
      await this.#closing;
      await this.#checked;
    }
    throw refusedBy(error, lastCommitLsn);
  }

  /** Writes the position of an idle stream into the record. */
  #beat(): void {
    const lsn = this.#position;
    const steps = [...this.#opening(), this.#advanceStep(lsn)];
    void this.#fly(steps, this.#encoder.encode(steps), undefined);
    this.#close(lsn, { isStrict: true, lastCommitLsn: lsn });
  }

  #opening(): Step[] {
    if (this.#isOpen) return [];
    this.#isOpen = true;
    return [command("BEGIN")];
  }

  #advanceStep(to: Lsn): Step {
    return {
      kind: "query",
      sql: advanceStatement(this.#options.name, { from: this.#recorded, to, ...this.#counts }),
      object: recordObject,
      rows: 1,
      change: undefined,
    };
  }

  /** A large transaction may use any number of different statements. */
  #forgetting(): readonly Step[] {
    if (!this.#encoder.isFull) return [];
    this.#encoder.forget();
    return [command("DEALLOCATE ALL")];
  }

  #send(messages: Pick<EncodedSteps, "answers"> & { readonly bytes: Uint8Array }) {
    if (this.#pipeline === undefined) throw new Error("the applier has not started");
    const answer = this.#pipeline.send(messages);
    answer.catch(() => {}); // awaited in order, which may be never if an earlier one fails
    return answer;
  }

  /**
   * Sends statements.
   *
   * @returns resolves when they and all before them have succeeded
   */
  #fly(
    steps: readonly Step[],
    encoded: EncodedSteps,
    batch: Flight["batch"],
  ): Promise<void> {
    const answer = this.#send(encoded);
    const flight = { steps: steps.map(withoutValues), answer, batch };
    return this.#after(async () => {
      await this.#check(flight);
      this.#encoder.release(encoded);
    });
  }

  /** Adds to what is checked, in order; a failure ends the run. */
  #after(check: () => Promise<void>): Promise<void> {
    this.#checked = this.#checked.then(check);
    this.#checked.catch((error) => this.#ended.reject(error));
    return this.#checked;
  }

  /** Does not resolve if the run ends. */
  async #check({ steps, answer, batch }: Flight): Promise<void> {
    const failure = findFailure(steps, await answer, batch?.lastCommitLsn ?? this.#recorded);
    if (failure === undefined) return;
    await this.#end(await this.#fail(batch, failure));
  }

  /** Does not resolve: nothing more may be sent. */
  async #end(end: StreamEnd): Promise<never> {
    this.#ended.resolve(end);
    return await new Promise<never>(() => {});
  }

  /**
   * Ends the transaction.
   *
   * @param batch the last one
   */
  #close(lsn: Lsn, batch: Pick<Batch, "isStrict" | "lastCommitLsn">): void {
    const counts = this.#counts;
    this.#counts = { transactions: 0, changes: 0 };
    this.#isOpen = false;
    this.#grouped = 0;
    this.#recorded = lsn;
    if (lsn > this.#position) this.#position = lsn;
    this.#isClosing = true;
    this.#uncommitted++;
    this.#closing = this.#checked.then(() => {
      this.#isClosing = false;
      this.#recordedAtMs = performance.now();
      const answer = this.#send({ bytes: encodeQuery("COMMIT"), answers: 1 });
      void this.#after(async () => {
        await this.#checkCommit(await answer, { lsn, batch });
        this.#uncommitted--;
        this.#settle(lsn);
        if (counts.transactions > 0) this.#options.onProgress?.({ endLsn: lsn, ...counts });
        this.wake();
      });
      this.wake();
    });
    this.#closing.catch(() => {}); // reported by what failed
  }

  /** Does not resolve if the run ends. */
  async #checkCommit(
    answer: PipelineAnswer,
    { lsn, batch: { isStrict, lastCommitLsn } }: {
      readonly lsn: Lsn;
      readonly batch: Pick<Batch, "isStrict" | "lastCommitLsn">;
    },
  ): Promise<void> {
    const commit = withoutValues(command("COMMIT"));
    const failure = findFailure([commit], answer, lsn) ??
      (answer.tags[0] === "COMMIT" ? undefined : {
        step: commit,
        message: undefined,
        tag: answer.tags[0],
        commitLsn: lsn,
      });
    // a deferred constraint or trigger of the target
    if (failure?.message !== undefined && !isTransientRefusal(failure, this.#session)) {
      // of several transactions, any may be the one that is refused
      if (!isStrict) return await this.#end({ kind: "failed", strictUntil: lastCommitLsn });
      throw refusedBy(new ReplicatorError(failure.message.message), lastCommitLsn);
    }
    if (failure !== undefined) throw this.#errorOf(failure);
  }

  async #fail(batch: Flight["batch"], failure: StepFailure): Promise<StreamEnd> {
    const { target, signal } = this.#options;
    if (isStopped(failure)) return { kind: "stopped" };
    if (batch === undefined || isTransientRefusal(failure, this.#session)) {
      throw this.#errorOf(failure);
    }
    if (!batch.isStrict) return { kind: "failed", strictUntil: batch.lastCommitLsn };
    await using session = await openSession(target, { signal, settings: explainingSettings });
    throw await explainRefusal(session, failure);
  }

  #errorOf({ message, step, tag }: StepFailure): Error {
    const { side, endpoint } = this.#session;
    return message === undefined
      ? new ReplicatorError(
        `a statement of the applier was completed with the unexpected command tag ${
          tag ?? "(none)"
        }`,
        {
          side,
          object: step.object,
          details: step.statement === undefined ? [] : [step.statement],
          remedy:
            "nothing is lost: run the same command again; if it recurs, report it with the server's version",
        },
      )
      : new ServerError(message, { side, object: endpoint.database });
  }
}

/**
 * The row is searched by its printed key, which no index supports, and the transaction that failed
 * may still lock its table.
 */
const explainingSettings: Readonly<Record<string, string>> = {
  lock_timeout: "2s",
  statement_timeout: "10s",
};

const recordObject = "record of the stream";

/** Whether the record was no longer as this process had left it: the stream was stopped. */
function isStopped({ step, message }: StepFailure): boolean {
  return step.object === recordObject && message === undefined;
}

function command(sql: string): Step {
  return { kind: "query", sql, object: "transaction", rows: undefined, change: undefined };
}

/** The values would take memory until the answer arrives. */
function withoutValues(step: Step): SentStep {
  const { object, rows, change, otherwise } = step;
  return {
    object,
    rows,
    change,
    otherwise,
    statement: step.kind === "query" ? step.sql : undefined,
  };
}

/** The first statement that failed, or affected another number of rows than expected. */
function findFailure(
  steps: readonly SentStep[],
  { tags, error }: PipelineAnswer,
  commitLsn: Lsn,
): StepFailure | undefined {
  for (const [index, step] of steps.entries()) {
    const tag = tags[index];
    if (tag === undefined) return { step, message: error, tag, commitLsn };
    if (step.rows !== undefined && Number(tag.split(" ").at(-1)) !== step.rows) {
      return { step, message: undefined, tag, commitLsn };
    }
  }
  return error === undefined ? undefined : {
    step: steps.at(-1) ?? withoutValues(command("BEGIN")),
    message: error,
    tag: undefined,
    commitLsn,
  };
}
