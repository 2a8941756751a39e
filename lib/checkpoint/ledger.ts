/**
 * The record of an unfinished copy in its target database, written in the same transactions as the
 * data.
 *
 * @module
 */
import { LedgerSession } from "./ledger_session.ts";
import {
  type EventSink,
  ledgerSchema,
  pause,
  plural,
  quoteQualified,
  tableKey,
  type TableName,
} from "../core/internal.ts";
import { revokeDefaultPrivileges } from "./ledger_trust.ts";
import {
  ConnectionError,
  type Endpoint,
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
import { letSessionsWork, workLock } from "./run_lock.ts";

/** Options of {@linkcode Ledger.open}. */
export interface OpenLedgerOptions {
  readonly signal: AbortSignal;
  /** The head of a new ledger. */
  readonly run: LedgerRun;
  /**
   * What the plan found. If another run has changed that since, nothing is written. Undefined
   * accepts both.
   */
  readonly expects: "none" | "unfinished" | undefined;
  /**
   * Receives notices: terminated sessions of an earlier run, retried connections.
   */
  readonly events: EventSink;
  /** The closed ledger of an earlier attempt of this process. */
  readonly earlier: Ledger | undefined;
}

/** SQL that records parts of a snapshot generation together with their rows. */
export interface PartAccount {
  /** Records that a part is copied. */
  readonly statement: (part: RecordedPart) => string;
  /** Returns a row if it is. */
  readonly isRecorded: (part: RecordedPart) => string;
  /** The constraint violated by recording a part twice. */
  readonly constraint: string;
}

/** Limit for writing the last notes. */
const disposeMs = 2_000;

/**
 * The ledger of one target database, and the right to write to that database.
 *
 * States: open → taken over (another run holds the lock; {@linkcode lost} aborts, and no session of
 * this run can commit) or closed; see {@linkcode LedgerSession}. The ledger is durable in the
 * target.
 *
 * Requires `--allow-net` for the target.
 */
export class Ledger implements AsyncDisposable {
  /**
   * Endpoint for the sessions of this run: each holds the lock that the next run waits for.
   */
  readonly target: Endpoint;
  readonly #holder: string;
  readonly #done: Set<string>;
  /** Parts that this run knows to be committed. */
  readonly #parts = new Set<string>();
  readonly #session: LedgerSession;
  readonly #state: LedgerState;
  #notes: { readonly part: RecordedPart; readonly rows: number; readonly bytes: number }[] = [];

  private constructor(
    target: Endpoint,
    { session, holder, state }: {
      readonly session: LedgerSession;
      readonly holder: string;
      readonly state: LedgerState;
    },
  ) {
    this.target = { ...target, sharedLock: workLock };
    this.#session = session;
    this.#holder = holder;
    this.#state = state;
    this.#done = new Set(state.statements);
  }

  /**
   * Takes the lock, and creates the ledger or reads the existing one.
   *
   * @throws ReplicatorError when another run is active, or the ledger is from another version of
   * the tool
   */
  static async open(target: Endpoint, options: OpenLedgerOptions): Promise<Ledger> {
    const { signal, events, earlier } = options;
    const holder = crypto.randomUUID();
    const { session, found } = await LedgerSession.open(
      { ...target, sharedLock: undefined },
      { holder, signal, events, ownEarlier: earlier?.processId },
      (opened) => beginLedger(opened, { ...options, holder }),
    );
    return new Ledger(target, { session, holder, state: found });
  }

  /** The backend that holds, or last held, the lock. */
  get processId(): number {
    return this.#session.processId;
  }

  /** The contents when it was opened. */
  get state(): LedgerState {
    return this.#state;
  }

  /** Aborts when another run has taken over, or the target is permanently unreachable. */
  get lost(): AbortSignal {
    return this.#session.lost;
  }

  /** For `copyTables`: records parts of a snapshot generation. */
  partRecord(generation: number): PartAccount {
    const holder = this.#holder;
    return {
      statement: (part: RecordedPart): string => recordPartStatement(part, { generation, holder }),
      isRecorded: (part: RecordedPart): string => isPartRecordedQuery(part),
      constraint: partConstraint,
    };
  }

  /** For `applyStatements`: records statements. */
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
   * Reads the committed statements again: after a connection failure a statement may be committed
   * without this run knowing.
   */
  async refresh(session: Session): Promise<void> {
    const rows = await session.query<{ digest: string }>(
      `SELECT digest FROM ${ledgerSchema}.statement_done`,
    );
    for (const { digest } of rows) this.#done.add(digest);
  }

  /**
   * Records the statements of the dump, so that a later attempt can detect changes of the source's
   * structure.
   */
  async recordStructure(
    statements: readonly { readonly digest: string; readonly object: string }[],
  ): Promise<void> {
    for (let from = 0; from < statements.length; from += 1_000) {
      const some = statements.slice(from, from + 1_000);
      await this.#session.inTurn((session) =>
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
   * Begins a snapshot generation, and empties tables that an earlier one left partly copied, in one
   * transaction.
   */
  async beginGeneration(
    { number, startedAt: _, ...document }: SnapshotGeneration,
    toBeEmptied: readonly TableName[],
  ): Promise<void> {
    await this.#session.inTurn((session) =>
      session.transaction(async () => {
        await session.query(
          `INSERT INTO ${ledgerSchema}.epoch (epoch, document) VALUES ($1, $2)
               ON CONFLICT (epoch) DO UPDATE SET document = excluded.document`,
          [number, asciiJson(document)],
        );
        if (toBeEmptied.length === 0) return;
        const names = toBeEmptied.map(({ schema, name }) => `ONLY ${quoteQualified(schema, name)}`);
        // nothing references them yet: foreign keys are created after all rows are copied
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
   * Records how tables are split into parts: the split depends on their size, which may differ in a
   * later attempt.
   */
  async recordPlan(tables: readonly TableRecord[]): Promise<void> {
    const parts = tables.flatMap(({ schema, name, generation, parts }) =>
      parts.map((part) => ({ schema, name, generation, ...part }))
    );
    const numbers = (values: readonly (number | undefined)[]) =>
      `{${values.map((value) => value ?? "NULL").join(",")}}`;
    const texts = (values: readonly (string | undefined)[]) =>
      `{${
        values.map((value) => value === undefined ? "NULL" : textArray([value]).slice(1, -1)).join(
          ",",
        )
      }}`;
    // in one transaction: part of a plan would look like a plan with fewer parts
    await this.#session.inTurn((session) =>
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
              numbers(some.map(({ generation }) => generation)),
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

  /** Records the size of a part for reports; that the part is done does not depend on it. */
  notePart(
    part: RecordedPart,
    { rows, bytes }: { readonly rows: number; readonly bytes: number },
  ): void {
    this.#parts.add(partKey(part.table, part.part));
    this.#notes.push({ part, rows, bytes });
    if (this.#notes.length > 1) return; // the pending write takes this note too
    // only for reports
    this.#session.inTurn((session) => this.#writeNotes(session)).catch(() => {});
  }

  /**
   * Makes everything committed so far durable, and verifies that it still exists.
   *
   * Rows and indexes are committed with synchronous_commit = off: a crash of the target loses the
   * last commits, in the ledger too, but not in this process. One synchronous commit makes all
   * earlier ones durable.
   *
   * @throws ConnectionError (transient) when a crash has lost commits: resume from the ledger
   */
  async settle(): Promise<void> {
    // indexes are still being built: later commits may not be in what is read below
    const [parts, done] = [[...this.#parts], [...this.#done]];
    await this.#session.inTurn((session) =>
      session.query(`UPDATE ${ledgerSchema}.run SET holder = holder WHERE holder = $1`, [
        this.#holder,
      ])
    );
    if (this.#session.breaks === 0) return;
    const { statements, tables } = await this.#session.inTurn((session) => readLedger(session));
    const recorded = new Set(
      tables.flatMap((table) =>
        table.parts.filter(({ done }) => done).map(({ part }) => partKey(table, part))
      ),
    );
    const lost = parts.filter((part) => !recorded.has(part)).length +
      done.filter((digest) => !statements.has(digest)).length;
    if (lost === 0) return;
    throw new ConnectionError(
      `the target has crashed and lost its last commits (${
        plural(lost, "part or statement", "parts or statements")
      })`,
      { endpoint: this.target, transient: true },
    );
  }

  /** Undoes statements and removes their record, in one transaction. */
  async undo(sql: string, statements: readonly DumpStatement[]): Promise<void> {
    const digests = statements.filter(isRecorded).map(statementDigest);
    await this.#session.inTurn((session) =>
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

  /** Marks the database as complete, except for what was set aside, in one transaction. */
  async complete(setAside: readonly SetAsideObject[] = []): Promise<void> {
    await this.#session.inTurn((session) =>
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

  /** Closes the session, which releases the lock. Never throws. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#session.stopKeepingAlive();
    const deadline = new AbortController();
    const noted = this.#notes.length > 0
      ? this.#session.inTurn((session) => this.#writeNotes(session))
      : this.#session.lastTurn;
    await Promise.race([
      noted.catch(() => {}), // only for reports
      pause(disposeMs, deadline.signal).catch(() => {}),
    ]);
    deadline.abort();
    await this.#session[Symbol.asyncDispose]();
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
}

/**
 * With the lock, writes this process' name into the ledger, and only then reads it: nobody else
 * can change it any more.
 */
async function beginLedger(
  session: Session,
  { run, holder, expects }: OpenLedgerOptions & { readonly holder: string },
): Promise<LedgerState> {
  const existing = await readLedgerRun(session);
  const { database } = session.endpoint;
  if (expects === "none" && existing !== undefined) {
    throw changedMeanwhile(database, "another run has started copying into this database");
  }
  if (expects === "unfinished" && existing === undefined) {
    throw changedMeanwhile(database, "another run has finished the copy in this database");
  }
  if (expects === "none") {
    const { empty, description } = await readContents(session);
    if (!empty) {
      throw changedMeanwhile(database, `${description} appeared in this database`);
    }
  }
  if (existing === undefined) {
    await withoutEventTriggers(session, async () => {
      await session.execute(createLedgerStatements);
      await revokeDefaultPrivileges(session, ledgerSchema);
      await session.query(
        `INSERT INTO ${ledgerSchema}.run (format, holder, document) VALUES ($1, $2, $3)`,
        [ledgerFormat, holder, asciiJson(run)],
      );
    });
  } else {
    await session.query(`UPDATE ${ledgerSchema}.run SET holder = $1`, [holder]);
  }
  await letSessionsWork(session);
  return await readLedger(session);
}

function partKey(table: TableName, part: number): string {
  return `${tableKey(table)} ${part}`;
}
