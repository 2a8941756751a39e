/**
 * One transaction that makes rows of the target equal to those of the source.
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
  type Side,
} from "../../core/internal.ts";
import { actAsReplica, ownExpressionSettings, rowResultBytes } from "../../postgres/internal.ts";
import type { Comparison } from "../plan/plan_comparisons.ts";
import type { DigestMethod } from "../report/report.ts";
import { rowAlias, rowHash, valueDigest, valueText } from "../scan/digest.ts";
import {
  type Image,
  type Images,
  keyCondition,
  queryRows,
  readImages,
} from "../scan/row_images.ts";
import { fromClause, selectList } from "../scan/scan.ts";
import { both, type SessionPair } from "../scan/session_pair.ts";
import { valueLiteral } from "./value_literal.ts";

/** Rows of one table, repaired in one transaction. */
export interface RowsOfTransaction {
  readonly comparison: Comparison;
  readonly method: DigestMethod;
  /** See {@linkcode readImages}. */
  readonly ids: readonly string[];
}

const lockTimeout = "10s";

/** A row of either side: a digest of each value, and for the source the values as SQL literals. */
interface Values {
  readonly digests: readonly (string | null)[];
  readonly literals: readonly string[];
}

/** What a transaction executed, or would execute. */
export interface RepairStatements {
  readonly statements: readonly string[];
  /** Ids of rows that have changed on the source since they were read. */
  readonly changed: readonly string[];
}

/** Makes some rows of one table equal, in one transaction on the target. */
export class RepairTransaction {
  readonly #pair: SessionPair;
  readonly #rows: RowsOfTransaction;
  #before: Images = new Map();
  #values: ReadonlyMap<string, Values> = new Map();

  constructor(pair: SessionPair, rows: RowsOfTransaction) {
    this.#pair = pair;
    this.#rows = rows;
  }

  /** Reads versions first: a row that changes in between is then detected by {@linkcode write}. */
  async readSource(): Promise<void> {
    this.#before = await this.#images("source");
    this.#values = await this.#readValues("source");
  }

  /** The statements that {@linkcode write} would execute; takes no lock. */
  async describe(): Promise<RepairStatements> {
    return await this.#statements();
  }

  /** Locks the table, executes the statements, and verifies the result before the commit. */
  async write(): Promise<RepairStatements> {
    const { target } = this.#pair;
    return await target.transaction(async () => {
      await target.execute(`SET LOCAL lock_timeout = '${lockTimeout}'`);
      // like the apply worker; if the role lacks the privilege, triggers fire
      await actAsReplica(target, "LOCAL");
      await target.execute(
        `LOCK TABLE ${this.#table()} IN SHARE ROW EXCLUSIVE MODE`,
      );
      const written = await this.#statements();
      if (written.statements.length > 0) {
        // generated columns, CHECKs and partition bounds must evaluate as in an ordinary session
        await target.execute(ownExpressionSettings.begin);
        for (const statement of written.statements) await target.query(statement);
        await target.execute(ownExpressionSettings.end);
      }
      await this.#mustBeEqual(written.changed);
      return written;
    });
  }

  async #statements(): Promise<RepairStatements> {
    const [source, target] = await both((side) => this.#images(side));
    const onTarget = await this.#readValues("target");
    const changed: string[] = [];
    const statements = { removing: [] as string[], writing: [] as string[] };
    for (const id of this.#rows.ids) {
      const [one, other] = [source.get(id), target.get(id)];
      if (one?.version !== this.#before.get(id)?.version) changed.push(id);
      else if (one?.hash !== other?.hash || one?.rows !== other?.rows) {
        const { removing, writing } = this.#statementsOf(id, {
          source: one,
          target: other,
          onTarget: onTarget.get(id),
        });
        statements.removing.push(...removing);
        statements.writing.push(...writing);
      }
    }
    // deletions first: they may free keys that insertions need
    return { statements: [...statements.removing, ...statements.writing], changed };
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
    const where = keyCondition(comparison, [id], { place: "target table" });
    if (rows === 1 && others === 1 && values !== undefined && onTarget !== undefined) {
      const update = this.#update(values, onTarget, where);
      if (update !== undefined) return { removing: [], writing: [update] };
    }
    return {
      removing: others > 0 ? [`DELETE FROM ${this.#table()} WHERE ${where}`] : [],
      writing: values === undefined ? [] : [this.#insert(values)],
    };
  }

  /** Sets the columns that differ; undefined when an UPDATE cannot. */
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

  /** The table written to: the partition, or the root table where partitions differ. */
  #table(inserting = false): string {
    const { comparison } = this.#rows;
    const [only] = comparison.target;
    if (comparison.target.length === 1 && only !== undefined) {
      const name = quoteQualified(only.schema, only.name);
      return inserting ? name : `ONLY ${name}`;
    }
    return quoteQualified(comparison.schema, comparison.name);
  }

  /** Reads back what was written: a trigger, rule or generated column may have changed it. */
  async #mustBeEqual(changed: readonly string[]): Promise<void> {
    const now = await this.#images("target");
    const wrong = this.#rows.ids.filter((id) => {
      if (changed.includes(id)) return false;
      const [one, other] = [this.#before.get(id), now.get(id)];
      return one?.hash !== other?.hash || one?.rows !== other?.rows;
    });
    if (wrong.length === 0) return;
    throw new NotRepairedError(
      `${plural(wrong.length, "row")} still differed after the repair, which was rolled back`,
      {
        side: "target",
        object: this.#table(true),
        remedy:
          "check the table for triggers, rules and generated columns that change written rows",
        exitCode: ExitCode.stepFailed,
      },
    );
  }

  async #images(side: Side): Promise<Images> {
    const { comparison, method, ids } = this.#rows;
    return await readImages(this.#pair[side], { comparison, side, method, selection: { ids } });
  }

  async #readValues(side: Side): Promise<ReadonlyMap<string, Values>> {
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

/** The written rows still differed from the source, so the repair was rolled back. */
export class NotRepairedError extends ReplicatorError {
  override readonly name = "NotRepairedError";
}
