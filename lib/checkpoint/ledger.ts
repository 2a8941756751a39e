/**
 * The account of an unfinished copy in its target database, kept in the transactions that it
 * accounts for.
 *
 * @module
 */
import {
  type EventSink,
  ExitCode,
  ignoreEvents,
  InterruptedError,
  ledgerSchema,
  plural,
  quoteQualified,
  ReplicatorError,
  retryEvent,
  tableKey,
  type TableName,
} from "../core/internal.ts";
import {
  ConnectionError,
  type Endpoint,
  isTransient,
  openSession,
  pause,
  retry,
  type RetryOptions,
  type Session,
  textArray,
  withoutEventTriggers,
} from "../postgres/internal.ts";
import type { DumpStatement, SetAsideObject, StatementRecord } from "../schema/internal.ts";
import { readContents } from "../catalog/internal.ts";
import { isRecorded, statementDigest } from "./digest.ts";
import {
  asciiJson,
  createLedgerStatements,
  isPartRecordedQuery,
  ledgerFormat,
  partConstraint,
  type RecordedPart,
  recordPartStatement,
  recordStatementsStatement,
} from "./ledger_sql.ts";
import type { LedgerRun, LedgerState, SnapshotGeneration, TableRecord } from "./model.ts";
import { readLedger, readLedgerRun } from "./read_ledger.ts";
import { changedMeanwhile } from "./changed_meanwhile.ts";
import { letSessionsWork, takeRunLock, workLock } from "./run_lock.ts";

/** How {@linkcode Ledger.open} goes about it. */
export interface OpenLedgerOptions {
  readonly signal: AbortSignal;
  /** What a new ledger is begun with. */
  readonly run: LedgerRun;
  /**
   * What the plan found. Another run may have come in between: then nothing is written. Default:
   * either will do.
   */
  readonly expects?: "none" | "unfinished" | undefined;
  /**
   * Told of things worth knowing: sessions of an earlier run that were ended, a connection that is
   * tried again.
   */
  readonly events?: EventSink;
  /** The ledger that an earlier attempt of this process had open, closed since. */
  readonly earlier?: Ledger | undefined;
}

/** How parts of an epoch are recorded, as texts that go along with their rows. */
export interface PartAccount {
  /** Records that a part is in. */
  readonly statement: (part: RecordedPart) => string;
  /** Gives a row when it is. */
  readonly isRecorded: (part: RecordedPart) => string;
  /** The constraint that recording a part twice violates. */
  readonly constraint: string;
}

const heartbeatMs = 15_000;

/** How long the last notes may take. */
const disposeMs = 2_000;

/**
 * The ledger of one target database, and the right to write there.
 *
 * States: open (its session holds the run's lock; a session that breaks is opened and locked again)
 * → taken over (another run has the lock; {@linkcode lost} aborts, and no session of this run can
 * commit anything any more) or closed.
 *
 * Requires `--allow-net` for the target.
 */
export class Ledger implements AsyncDisposable {
  /**
   * The database, for the sessions of this run: each holds the lock that the next run waits for.
   */
  readonly target: Endpoint;
  readonly #options: OpenLedgerOptions;
  readonly #holder = crypto.randomUUID();
  readonly #lost = new AbortController();
  /** Ends attempts to open the session again. */
  readonly #closing = new AbortController();
  readonly #done = new Set<string>();
  /** Parts that this run was told are committed. */
  readonly #parts = new Set<string>();
  /** How often the session has broken: with every crash of the server, if not oftener. */
  #breaks = 0;
  #session: Session;
  #state: LedgerState;
  #notes: { readonly part: RecordedPart; readonly rows: number; readonly bytes: number }[] = [];
  #turn: Promise<unknown> = Promise.resolve();
  #timer: ReturnType<typeof setInterval> | undefined;

  private constructor(target: Endpoint, session: Session, options: OpenLedgerOptions) {
    this.target = { ...target, sharedLock: workLock };
    this.#session = session;
    this.#options = options;
    this.#state = emptyState(options.run);
  }

  /**
   * Takes the lock, makes the ledger or reads the one that is there.
   *
   * @throws ReplicatorError when another run is at work, or the ledger is of another version of the
   * tool
   */
  static async open(target: Endpoint, options: OpenLedgerOptions): Promise<Ledger> {
    // not ended by the signal: a run that is interrupted still notes what it knows
    const session = await retry(() => openSession(target, { settings: durable }), {
      signal: options.signal,
      onRetry: reportRetries(options.events),
    });
    const ledger = new Ledger(target, session, options);
    try {
      await ledger.#begin();
    } catch (error) {
      await session.close();
      throw error;
    }
    ledger.#timer = setInterval(() => {
      ledger.#inTurn(() => ledger.#session.query("SELECT 1")).catch(() => {}); // #inTurn tells
    }, heartbeatMs);
    return ledger;
  }

  /** The backend that has, or last had, the lock. */
  get processId(): number {
    return this.#session.processId;
  }

  /** What it said when it was opened. */
  get state(): LedgerState {
    return this.#state;
  }

  /** Aborts when another run has taken over, or the target is gone for good. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** For `copyTables`: how parts of an epoch are recorded. */
  partRecord(epoch: number): PartAccount {
    const holder = this.#holder;
    return {
      statement: (part: RecordedPart): string => recordPartStatement(part, { epoch, holder }),
      isRecorded: (part: RecordedPart): string => isPartRecordedQuery(part),
      constraint: partConstraint,
    };
  }

  /** For `applyStatements`: how statements are recorded. */
  readonly statementRecord: StatementRecord = {
    statement: (statements) =>
      recordStatementsStatement(
        [...new Set(statements.filter(isRecorded).map(statementDigest))],
        this.#holder,
      ),
    onRecorded: (statements) => {
      for (const statement of statements) {
        if (isRecorded(statement)) this.#done.add(statementDigest(statement));
      }
    },
  };

  /** Whether a statement is committed. */
  isDone(statement: DumpStatement): boolean {
    return isRecorded(statement) && this.#done.has(statementDigest(statement));
  }

  /**
   * Looks again at what is committed: after a connection broke, a statement may be that was not
   * known to be.
   */
  async refresh(session: Session): Promise<void> {
    const rows = await session.query<{ digest: string }>(
      `SELECT digest FROM ${ledgerSchema}.statement_done`,
    );
    for (const { digest } of rows) this.#done.add(digest);
  }

  /**
   * Remembers the statements of the dump, so that a later attempt sees whether the source's
   * structure has changed.
   */
  async recordStructure(
    statements: readonly { readonly digest: string; readonly object: string }[],
  ): Promise<void> {
    for (let from = 0; from < statements.length; from += 1_000) {
      const some = statements.slice(from, from + 1_000);
      await this.#inTurn((session) =>
        session.query(
          `INSERT INTO ${ledgerSchema}.structure (digest, object)
           SELECT digest, object FROM unnest($1::pg_catalog.text[], $2::pg_catalog.text[]) AS new (digest, object)
               ON CONFLICT DO NOTHING`,
          [
            textArray(some.map(({ digest }) => digest)),
            textArray(some.map(({ object }) => asciiJson(object))),
          ],
        )
      );
    }
  }

  /**
   * Begins an epoch, and empties tables that an earlier one has left half copied: they are copied
   * as a whole in this one. One transaction.
   */
  async beginEpoch(
    { epoch, startedAt: _, ...document }: SnapshotGeneration,
    toBeEmptied: readonly TableName[],
  ): Promise<void> {
    await this.#inTurn((session) =>
      session.transaction(async () => {
        await session.query(
          `INSERT INTO ${ledgerSchema}.epoch (epoch, document) VALUES ($1, $2)
               ON CONFLICT (epoch) DO UPDATE SET document = excluded.document`,
          [epoch, asciiJson(document)],
        );
        if (toBeEmptied.length === 0) return;
        const names = toBeEmptied.map(({ schema, name }) => `ONLY ${quoteQualified(schema, name)}`);
        // nothing refers to them yet: foreign keys come when all rows are in
        await session.execute(`TRUNCATE ${names.join(", ")}`);
        for (const kind of ["planned_part", "part_done"]) {
          await session.query(
            `DELETE FROM ${ledgerSchema}.${kind}
              USING unnest($1::pg_catalog.text[], $2::pg_catalog.text[]) AS emptied (schema_name, table_name)
              WHERE ${kind}.schema_name = emptied.schema_name
                AND ${kind}.table_name = emptied.table_name`,
            [
              textArray(toBeEmptied.map(({ schema }) => schema)),
              textArray(toBeEmptied.map(({ name }) => name)),
            ],
          );
        }
      })
    );
  }

  /**
   * Keeps how tables are cut into parts: their size, which ranges come from, will be another one in
   * a later attempt.
   */
  async recordPlan(tables: readonly TableRecord[]): Promise<void> {
    const parts = tables.flatMap(({ schema, name, epoch, parts }) =>
      parts.map((part) => ({ schema, name, epoch, ...part }))
    );
    const numbers = (values: readonly (number | undefined)[]) =>
      `{${values.map((value) => value ?? "NULL").join(",")}}`;
    const texts = (values: readonly (string | undefined)[]) =>
      `{${
        values.map((value) => value === undefined ? "NULL" : textArray([value]).slice(1, -1)).join(
          ",",
        )
      }}`;
    // all of it or nothing: half of a plan would look like a whole one of fewer parts
    await this.#inTurn((session) =>
      session.transaction(async () => {
        for (let from = 0; from < parts.length; from += 1_000) {
          const some = parts.slice(from, from + 1_000);
          await session.query(
            `INSERT INTO ${ledgerSchema}.planned_part
                    (schema_name, table_name, part, parts, epoch, from_block, to_block,
                     key_column, key_type, from_key, to_key)
             SELECT * FROM unnest($1::pg_catalog.text[], $2::pg_catalog.text[], $3::int[], $4::int[], $5::int[],
                                  $6::bigint[], $7::bigint[],
                                  $8::pg_catalog.text[], $9::pg_catalog.text[], $10::pg_catalog.text[], $11::pg_catalog.text[])
                 ON CONFLICT DO NOTHING`,
            [
              textArray(some.map(({ schema }) => schema)),
              textArray(some.map(({ name }) => name)),
              numbers(some.map(({ part }) => part)),
              numbers(some.map(({ parts }) => parts)),
              numbers(some.map(({ epoch }) => epoch)),
              numbers(some.map(({ from }) => from)),
              numbers(some.map(({ to }) => to)),
              texts(some.map(({ key }) => key?.column)),
              texts(some.map(({ key }) => key?.type)),
              texts(some.map(({ key }) => key?.from)),
              texts(some.map(({ key }) => key?.to)),
            ],
          );
        }
      })
    );
  }

  /** Notes for a later report how much a part was. Its being done does not depend on it. */
  notePart(
    part: RecordedPart,
    { rows, bytes }: { readonly rows: number; readonly bytes: number },
  ): void {
    this.#parts.add(partKey(part.table, part.part));
    this.#notes.push({ part, rows, bytes });
    if (this.#notes.length > 1) return; // the one before takes all that have come until its turn
    this.#inTurn((session) => this.#writeNotes(session)).catch(() => {}); // a figure of a report
  }

  /**
   * Makes everything durable that was committed until now, and sees whether it is all still there.
   *
   * Rows and indexes are committed with synchronous_commit = off: a crash of the target takes back
   * what was committed last. The ledger forgets it with the rows, this process does not. One commit
   * that waits for the disk makes all before it last.
   *
   * @throws ConnectionError (transient) when a crash has taken something back: to be gone on with
   * from what the ledger says
   */
  async settle(): Promise<void> {
    // indexes are still being built: what is committed from now on may come too late for the look
    const [parts, done] = [[...this.#parts], [...this.#done]];
    await this.#inTurn((session) =>
      session.query(`UPDATE ${ledgerSchema}.run SET holder = holder WHERE holder = $1`, [
        this.#holder,
      ])
    );
    if (this.#breaks === 0) return;
    const { statements, tables } = await this.#inTurn((session) => readLedger(session));
    const there = new Set(
      tables.flatMap((table) =>
        table.parts.filter(({ done }) => done).map(({ part }) => partKey(table, part))
      ),
    );
    const lost = parts.filter((part) => !there.has(part)).length +
      done.filter((digest) => !statements.has(digest)).length;
    if (lost === 0) return;
    throw new ConnectionError(
      `the target has crashed and taken back what was committed last (${
        plural(lost, "part or statement", "parts or statements")
      })`,
      { endpoint: this.#endpoint, transient: true },
    );
  }

  /** Takes back what statements made, and that they are done. One transaction. */
  async undo(sql: string, statements: readonly DumpStatement[]): Promise<void> {
    const digests = statements.filter(isRecorded).map(statementDigest);
    await this.#inTurn((session) =>
      session.transaction(async () => {
        await session.execute(sql);
        await session.query(
          `DELETE FROM ${ledgerSchema}.statement_done
            WHERE digest OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text[])`,
          [textArray(digests)],
        );
      })
    );
    for (const digest of digests) this.#done.delete(digest);
  }

  /** Everything of this database is done, but for what the target refused. One transaction. */
  async complete(setAside: readonly SetAsideObject[] = []): Promise<void> {
    await this.#inTurn((session) =>
      session.transaction(async () => {
        await session.query(`DELETE FROM ${ledgerSchema}.set_aside`);
        for (const [place, object] of setAside.entries()) {
          await session.query(
            `INSERT INTO ${ledgerSchema}.set_aside (place, document) VALUES ($1, $2)`,
            [place, asciiJson(object)],
          );
        }
        await session.query(
          `UPDATE ${ledgerSchema}.run SET complete = true WHERE holder = $1`,
          [this.#holder],
        );
      })
    );
  }

  /** Ends the session, and with it the lock. Never throws. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    const patience = new AbortController();
    const noted = this.#notes.length > 0
      ? this.#inTurn((session) => this.#writeNotes(session))
      : this.#turn;
    await Promise.race([
      noted.catch(() => {}), // figures for a report
      pause(disposeMs, patience.signal).catch(() => {}),
    ]);
    patience.abort();
    await this.#session.close();
    this.#closing.abort(new InterruptedError("the ledger is closed"));
  }

  /**
   * The lock, then the name of this run's process in the ledger, and only then a look: nobody else
   * can change it any more.
   */
  async #begin(): Promise<void> {
    const { run, signal, events, earlier } = this.#options;
    await takeRunLock(this.#session, {
      signal,
      ownEarlier: earlier?.processId,
      ...(events === undefined ? {} : { onEnded: (message) => events({ kind: "info", message }) }),
    });
    const existing = await readLedgerRun(this.#session);
    const { expects } = this.#options;
    const { database } = this.target;
    if (expects === "none" && existing !== undefined) {
      throw changedMeanwhile(database, "another run has begun to copy into this database");
    }
    if (expects === "unfinished" && existing === undefined) {
      throw changedMeanwhile(database, "another run has finished the copy in this database");
    }
    if (expects === "none") {
      const { empty, description } = await readContents(this.#session);
      if (!empty) {
        throw changedMeanwhile(database, `${description} came into this database`);
      }
    }
    if (existing === undefined) {
      await withoutEventTriggers(this.#session, async () => {
        await this.#session.execute(createLedgerStatements);
        await this.#session.query(
          `INSERT INTO ${ledgerSchema}.run (format, holder, document) VALUES ($1, $2, $3)`,
          [ledgerFormat, this.#holder, asciiJson(run)],
        );
      });
    } else {
      await this.#session.query(`UPDATE ${ledgerSchema}.run SET holder = $1`, [this.#holder]);
    }
    await letSessionsWork(this.#session);
    this.#state = await readLedger(this.#session);
    for (const digest of this.#state.statements) this.#done.add(digest);
  }

  async #writeNotes(session: Session): Promise<void> {
    const notes = this.#notes;
    this.#notes = [];
    await session.query(
      `UPDATE ${ledgerSchema}.part_done AS p SET rows = new.rows, bytes = new.bytes
         FROM unnest($1::pg_catalog.text[], $2::pg_catalog.text[], $3::int[], $4::bigint[], $5::bigint[])
              AS new (schema_name, table_name, part, rows, bytes)
        WHERE p.schema_name = new.schema_name AND p.table_name = new.table_name
          AND p.part = new.part`,
      [
        textArray(notes.map(({ part }) => part.table.schema)),
        textArray(notes.map(({ part }) => part.table.name)),
        `{${notes.map(({ part }) => part.part).join(",")}}`,
        `{${notes.map(({ rows }) => rows).join(",")}}`,
        `{${notes.map(({ bytes }) => bytes).join(",")}}`,
      ],
    );
  }

  /** One after the other in the one session; when that broke, once more in a new one. */
  #inTurn<Result>(work: (session: Session) => Promise<Result>): Promise<Result> {
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
      await this.#seeThatItIsOurs();
    } catch (error) {
      this.#lost.abort(error);
      throw error;
    }
  }

  async #seeThatItIsOurs(): Promise<void> {
    const ours = await this.#session.query(
      `SELECT holder FROM ${ledgerSchema}.run WHERE holder = $1`,
      [this.#holder],
    );
    if (ours.length > 0) return;
    throw new ReplicatorError("another run has taken over the copy into this database", {
      side: "target",
      object: `database ${this.target.database}`,
      details: ["This run's session there had broken, and the other one began before it was back."],
      remedy: "let the other run finish",
      exitCode: ExitCode.prerequisite,
    });
  }

  get #endpoint(): Endpoint {
    const { sharedLock: _, ...endpoint } = this.target;
    return endpoint;
  }
}

/**
 * Removes the ledger of a database whose run has everything. Requires `--allow-net` for the target.
 */
export async function dropLedger(
  target: Endpoint,
  { run, signal }: { readonly run: string; readonly signal: AbortSignal },
): Promise<void> {
  await using session = await retry(() => openSession(target, { signal }), { signal });
  const head = await readLedgerRun(session);
  if (head?.run !== run || !head.complete) return;
  await withoutEventTriggers(
    session,
    () => session.execute(`DROP SCHEMA ${ledgerSchema} CASCADE`),
  );
}

/** What the ledger says stays said. */
const durable = { synchronous_commit: "on" };

function partKey(table: TableName, part: number): string {
  return `${tableKey(table)} ${part}`;
}

function emptyState(run: LedgerRun): LedgerState {
  return {
    ...run,
    startedAt: "",
    epochs: [],
    tables: [],
    statements: new Set(),
    structure: new Map(),
    complete: false,
    setAside: [],
  };
}

function reportRetries(events: EventSink = ignoreEvents): NonNullable<RetryOptions["onRetry"]> {
  return (error, attempt, delayMs) =>
    events(retryEvent({ what: "the session of the ledger", error, attempt, delayMs }));
}
