/**
 * Making the target equal, row by row: it follows the source.
 *
 * @module
 */
import {
  escapedLiteral,
  ExitCode,
  plural,
  quoteIdentifier,
  quoteQualified,
  ReplicatorError,
} from "../core/internal.ts";
import {
  actAsReplica,
  type Endpoint,
  openSession,
  ownExpressionSettings,
  rowResultBytes,
} from "../postgres/internal.ts";
import { rowAlias, rowHash, valueDigest, valueText } from "./digest.ts";
import { type Follower, readInsertPosition } from "./follower.ts";
import { both, type Suspect } from "./narrow.ts";
import type { Comparison } from "./plan.ts";
import type { DigestMethod } from "./report.ts";
import { type Image, type Images, keyCondition, queryRows, readImages } from "./rows.ts";
import { fromClause, planSettings, type ScanSide, selectList } from "./scan.ts";
import type { SessionPair } from "./session_pair.ts";
import { valueLiteral } from "./value_literal.ts";

/** What a {@linkcode Repairer} is made with. */
export interface RepairerOptions {
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** Whether it writes; else it only says what it would write. */
  readonly writes: boolean;
  readonly follower: Follower | undefined;
  readonly signal: AbortSignal;
}

/** Rows of one table to repair. */
export interface RowsToRepair {
  readonly comparison: Comparison;
  readonly method: DigestMethod;
  readonly suspects: readonly Suspect[];
}

/** What came of it. */
export interface RepairOutcome {
  /** Rows that are equal now (or, when nothing is written, would be). */
  readonly repaired: number;
  /** Keys (or hashes) of rows that could not be repaired: they changed whenever it was tried. */
  readonly left: ReadonlySet<string>;
}

const attempts = 5;
/** Rows of one transaction. */
const rowsOfTransaction = 500;
const lockTimeout = "10s";

/**
 * Repairs rows in transactions of their own, fenced against the apply worker.
 *
 * Each transaction: the rows are read on the source, with their versions and then their values; the
 * target applies everything up to there; then the table is locked against every writer, the apply
 * worker included (SHARE ROW EXCLUSIVE), and the rows are read again on both sides. Only rows whose
 * version on the source is still the same are written: all their changes have been applied, and
 * none is on its way. So the worker, when it goes on, can neither bring back an older state nor
 * insert a row that is there already. A row that has changed is left for the next attempt. Before
 * the commit the written rows are hashed once more.
 *
 * States: open → disposed. One repair at a time.
 */
export class Repairer implements AsyncDisposable {
  readonly #options: RepairerOptions;
  #sessions: SessionPair | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  readonly #statements: string[] = [];
  #rows = 0;

  constructor(options: RepairerOptions) {
    this.#options = options;
  }

  /** Whether it writes, or only says what it would write. */
  get writes(): boolean {
    return this.#options.writes;
  }

  /** Rows repaired so far, or that would be. */
  get rows(): number {
    return this.#rows;
  }

  /** What would be written, in its order. */
  get statements(): readonly string[] {
    return this.#statements;
  }

  /**
   * Repairs rows of one table.
   *
   * @throws ServerError when the target refuses a statement; the rows of that transaction are as
   * they were
   */
  async repair(rows: RowsToRepair): Promise<RepairOutcome> {
    const turn = this.#turn.then(() => this.#repair(rows));
    this.#turn = turn.catch(() => {}); // told to whoever asked for it
    return await turn;
  }

  async #repair({ suspects, ...rest }: RowsToRepair): Promise<RepairOutcome> {
    const left = new Set<string>();
    let repaired = 0;
    for (let from = 0; from < suspects.length; from += rowsOfTransaction) {
      const part = suspects.slice(from, from + rowsOfTransaction);
      const outcome = await this.#repairSome({ ...rest, ids: part.map(({ id }) => id) });
      for (const id of outcome) left.add(id);
      repaired += part.length - outcome.size;
    }
    this.#rows += repaired;
    return { repaired, left };
  }

  async #repairSome(
    rows: Omit<RowsToRepair, "suspects"> & { readonly ids: readonly string[] },
  ): Promise<ReadonlySet<string>> {
    const pair = await this.#open();
    let ids = rows.ids;
    for (let attempt = 0; ids.length > 0 && attempt < attempts; attempt++) {
      const work = new Transaction(pair, { ...rows, ids });
      await work.readSource();
      const lsn = await readInsertPosition(pair.source);
      if (lsn !== undefined) await this.#options.follower?.reach(lsn);
      const outcome = this.writes ? await work.write() : await work.describe();
      if (!this.writes) this.#statements.push(...outcome.statements);
      ids = outcome.changed;
    }
    return new Set(ids);
  }

  async #open(): Promise<SessionPair> {
    if (this.#sessions !== undefined) return this.#sessions;
    const { source, target, signal } = this.#options;
    const onSource = await openSession(source, {
      signal,
      settings: { ...planSettings, default_transaction_read_only: "on" },
    });
    const onTarget = await openSession(target, { signal, settings: planSettings });
    return this.#sessions = { source: onSource, target: onTarget };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#turn;
    await this.#sessions?.source.close();
    await this.#sessions?.target.close();
  }
}

/** A row of the source, ready to be written, and of either side what its values are known by. */
interface Values {
  readonly digests: readonly (string | null)[];
  /** SQL literals. */
  readonly literals: readonly string[];
}

interface Written {
  readonly statements: readonly string[];
  /** Keys of rows that changed meanwhile. */
  readonly changed: readonly string[];
}

class Transaction {
  readonly #pair: SessionPair;
  readonly #rows: {
    readonly comparison: Comparison;
    readonly method: DigestMethod;
    readonly ids: readonly string[];
  };
  #before: Images = new Map();
  #values: ReadonlyMap<string, Values> = new Map();

  constructor(
    pair: SessionPair,
    rows: {
      readonly comparison: Comparison;
      readonly method: DigestMethod;
      readonly ids: readonly string[];
    },
  ) {
    this.#pair = pair;
    this.#rows = rows;
  }

  async readSource(): Promise<void> {
    this.#before = await this.#images("source");
    this.#values = await this.#readValues("source");
  }

  /** What would be written, without a lock and without writing. */
  async describe(): Promise<Written> {
    return await this.#statements();
  }

  async write(): Promise<Written> {
    const { target } = this.#pair;
    return await target.transaction(async () => {
      await target.execute(`SET LOCAL lock_timeout = '${lockTimeout}'`);
      // as the apply worker; where the role may not, triggers take part
      await actAsReplica(target, "LOCAL");
      await target.execute(
        `LOCK TABLE ${this.#table()} IN SHARE ROW EXCLUSIVE MODE`,
      );
      const written = await this.#statements();
      if (written.statements.length > 0) {
        // generated columns, checks and partitions see what the database's own sessions see
        await target.execute(ownExpressionSettings.begin);
        for (const statement of written.statements) await target.query(statement);
        await target.execute(ownExpressionSettings.end);
      }
      await this.#mustBeEqual(written.changed);
      return written;
    });
  }

  async #statements(): Promise<Written> {
    const [source, target] = await both((side) => this.#images(side));
    const onTarget = await this.#readValues("target");
    const changed: string[] = [];
    const statements = { first: [] as string[], then: [] as string[] };
    for (const id of this.#rows.ids) {
      const [one, other] = [source.get(id), target.get(id)];
      if (one?.version !== this.#before.get(id)?.version) changed.push(id);
      else if (one?.hash !== other?.hash || one?.rows !== other?.rows) {
        const { removing, writing } = this.#statementsOf(id, {
          source: one,
          target: other,
          onTarget: onTarget.get(id),
        });
        statements.first.push(...removing);
        statements.then.push(...writing);
      }
    }
    // what goes makes room for what comes
    return { statements: [...statements.first, ...statements.then], changed };
  }

  #statementsOf(
    id: string,
    { source, target, onTarget }: {
      readonly source: Image | undefined;
      readonly target: Image | undefined;
      readonly onTarget: Values | undefined;
    },
  ): { readonly removing: readonly string[]; readonly writing: readonly string[] } {
    const { comparison } = this.#rows;
    const values = this.#values.get(id);
    const [rows, others] = [source?.rows ?? 0, target?.rows ?? 0];
    if (comparison.key === undefined) {
      return {
        removing: others > rows ? this.#removeCopies(id, others - rows) : [],
        writing: values === undefined || rows <= others
          ? []
          : Array.from({ length: rows - others }, () => this.#insert(values)),
      };
    }
    const where = keyCondition(comparison, [id], "target table");
    if (rows === 1 && others === 1 && values !== undefined && onTarget !== undefined) {
      const update = this.#update(values, onTarget, where);
      if (update !== undefined) return { removing: [], writing: [update] };
    }
    return {
      removing: others > 0 ? [`DELETE FROM ${this.#table()} WHERE ${where}`] : [],
      writing: values === undefined ? [] : [this.#insert(values)],
    };
  }

  /** Sets what differs; undefined when no UPDATE can. */
  #update(values: Values, onTarget: Values, where: string): string | undefined {
    const { columns, key = [] } = this.#rows.comparison;
    const differing = columns.map((column, index) => ({ column, index }))
      .filter(({ column, index }) =>
        !column.isGenerated && values.digests[index] !== onTarget.digests[index]
      );
    const impossible = differing.some(({ column }) =>
      column.isIdentityAlways || key.includes(column)
    );
    if (differing.length === 0 || impossible) return undefined;
    const set = differing.map(({ column, index }) =>
      `${quoteIdentifier(column.name)} = ${values.literals[index]}`
    );
    return `UPDATE ${this.#table()} SET ${set.join(", ")} WHERE ${where}`;
  }

  #insert(values: Values): string {
    const written = this.#rows.comparison.columns.map((column, index) => ({ column, index }))
      .filter(({ column }) => !column.isGenerated);
    if (written.length === 0) return `INSERT INTO ${this.#table(true)} DEFAULT VALUES`;
    const names = written.map(({ column }) => quoteIdentifier(column.name)).join(", ");
    const literals = written.map(({ index }) => values.literals[index]).join(", ");
    return `INSERT INTO ${
      this.#table(true)
    } (${names}) OVERRIDING SYSTEM VALUE VALUES (${literals})`;
  }

  #removeCopies(hash: string, count: number): readonly string[] {
    const { comparison, method } = this.#rows;
    const table = this.#table();
    const columns = selectList(comparison, "target");
    return [
      `DELETE FROM ${table} WHERE (tableoid, ctid) IN (SELECT seren_table, seren_ctid FROM ` +
      `(SELECT ${
        ["tableoid AS seren_table", "ctid AS seren_ctid", ...columns].join(", ")
      } FROM ${table}) AS ${rowAlias} ` +
      `WHERE ${rowHash(comparison.columns, method)} = ${hash} LIMIT ${count})`,
    ];
  }

  /** The table that is written: the partition, or where partitions differ the table at the top. */
  #table(inserting = false): string {
    const { comparison } = this.#rows;
    const [only] = comparison.target;
    if (comparison.target.length === 1 && only !== undefined) {
      const name = quoteQualified(only.schema, only.name);
      return inserting ? name : `ONLY ${name}`;
    }
    return quoteQualified(comparison.schema, comparison.name);
  }

  /**
   * What was written is read back: a trigger, a rule or a default may have made something else of
   * it.
   */
  async #mustBeEqual(changed: readonly string[]): Promise<void> {
    const now = await this.#images("target");
    const wrong = this.#rows.ids.filter((id) => {
      if (changed.includes(id)) return false;
      const [one, other] = [this.#before.get(id), now.get(id)];
      return one?.hash !== other?.hash || one?.rows !== other?.rows;
    });
    if (wrong.length === 0) return;
    throw new NotRepairedError(
      `${plural(wrong.length, "row")} did not become equal by what was written; it was rolled back`,
      {
        side: "target",
        object: this.#table(true),
        remedy: "look for triggers, rules and generated columns there that change what is written",
        exitCode: ExitCode.stepFailed,
      },
    );
  }

  async #images(side: ScanSide): Promise<Images> {
    const { comparison, method, ids } = this.#rows;
    return await readImages(this.#pair[side], { comparison, side, method, selection: { ids } });
  }

  async #readValues(side: ScanSide): Promise<ReadonlyMap<string, Values>> {
    const { comparison, method, ids } = this.#rows;
    const { columns, key } = comparison;
    const hash = rowHash(columns, method);
    const keyed = key?.map((column) => valueText(column)).join(", ");
    const list = (items: readonly string[]) =>
      `pg_catalog.to_json(ARRAY[${items.join(", ")}]::pg_catalog.text[])`;
    const rows = await queryRows<Values & { readonly key: unknown }>(
      this.#pair[side],
      comparison,
      `
      SELECT ${
        keyed === undefined
          ? `DISTINCT ON (1) pg_catalog.format('%s', ${hash}) AS key`
          : `pg_catalog.to_json(ARRAY[${keyed}]::pg_catalog.text[]) AS key`
      },
             ${list(columns.map(valueDigest))} AS digests,
             ${list(side === "source" ? columns.map(valueLiteral) : [])} AS literals
        FROM ${fromClause(comparison, side)}
       WHERE ${
        keyed === undefined ? `${hash} IN (${ids.join(", ")})` : keyCondition(comparison, ids)
      }`,
      { resultBytes: rowResultBytes },
    );
    return new Map(
      rows.map((row) => [
        typeof row.key === "string" ? row.key : JSON.stringify(row.key),
        { ...row, literals: row.literals.map(escapedLiteral) },
      ]),
    );
  }
}

/** What was written came out as something else and was taken back: the rows differ as before. */
export class NotRepairedError extends ReplicatorError {
  override readonly name = "NotRepairedError";
}
