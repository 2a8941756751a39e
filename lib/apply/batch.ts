/**
 * Divides the stream of messages into batches: whole transactions, or a part of a large one.
 *
 * @module
 */
import {
  cutoverSchema,
  displayName,
  ExitCode,
  formatLsn,
  type Lsn,
  ReplicatorError,
  tableKey,
} from "../core/internal.ts";
import { ChangeCollector } from "./collect.ts";
import {
  ChangeDecoder,
  type ChangeMessage,
  type FramePlace,
  ProtocolError,
  type Relation,
} from "../postgres/internal.ts";
import { mapTable, type TableMapping } from "./table_mapping.ts";
import type { MappedTable } from "./applied_tables.ts";

/** Changes that are applied together. */
export interface Batch {
  readonly collector: ChangeCollector;
  /** Whether each change is applied on its own, in the order of the source. */
  readonly isStrict: boolean;
  /** Bytes of its messages. */
  readonly bytes: number;
  /** Number of changes to rows. */
  readonly changes: number;
  /** Transactions that end in it. */
  readonly transactions: number;
  /** Where its last transaction ends; undefined while that has not ended. */
  readonly endLsn: Lsn | undefined;
  /** The commit of its last transaction, ended or not. */
  readonly lastCommitLsn: Lsn;
  /** Why its last transaction cannot be applied; nothing is read after it. */
  readonly refusal: ReplicatorError | undefined;
}

/** A batch ends once it has more bytes than that. */
const batchBytes = 512 * 1024;

/** What {@linkcode BatchReader} takes. */
export interface BatchReaderOptions {
  /** Transactions that committed before this position are applied already. */
  readonly after: Lsn;
  /** Transactions up to this commit are applied change by change. */
  readonly strictUntil: Lsn;
  /** The commit of the transaction that is skipped. */
  readonly skip: Lsn | undefined;
  /** Tables whose changes are applied, by {@linkcode tableKey}. */
  readonly applied: ReadonlySet<string>;
  /** All tables of the target, by {@linkcode tableKey}. */
  readonly existing: ReadonlySet<string>;
  /** Those of `applied` that exist on the target. */
  readonly tables: ReadonlyMap<string, MappedTable>;
  /** OIDs of the tables that are published, not those at the time of a change. */
  readonly published: ReadonlySet<number>;
  /** The source's WAL ended here before `published` was read. */
  readonly publishedAt: Lsn;
  /** Row filters that the source does not apply, by {@linkcode tableKey}. */
  readonly rowFilters: ReadonlyMap<string, string>;
}

type ChangeOfRows = ChangeMessage & {
  readonly kind: "insert" | "update" | "delete" | "truncate";
};

interface KnownMapping {
  readonly relation: Relation;
  readonly mapping: TableMapping | undefined;
}

interface ReceivedTransaction {
  readonly commitLsn: Lsn;
  readonly isSkipped: boolean;
}

/** Reads messages; whole batches are taken out in order. */
export class BatchReader {
  readonly #options: BatchReaderOptions;
  readonly #decoder = new ChangeDecoder();
  /** By the relation's OID. */
  readonly #mappings = new Map<number, KnownMapping>();
  readonly #ready: Batch[] = [];
  #transaction: ReceivedTransaction | undefined;
  #isRefused = false;
  #changesTables = false;
  #lastEndLsn: Lsn;
  #current: Mutable<Batch> | undefined;

  constructor(options: BatchReaderOptions) {
    this.#options = options;
    this.#lastEndLsn = options.after;
  }

  /** Batches that are complete. */
  get waiting(): number {
    return this.#ready.length;
  }

  /** Whether everything that was read has been taken. */
  get isEmpty(): boolean {
    return this.#ready.length === 0 && this.#current === undefined &&
      this.#transaction === undefined;
  }

  /** The batch that {@linkcode take} returns next, if it is complete. */
  get next(): Batch | undefined {
    return this.#ready[0];
  }

  /**
   * The next batch.
   *
   * @param options.mayGrow whether to take also one that more transactions could be added to, if
   * its last transaction has ended
   */
  take({ mayGrow }: { readonly mayGrow: boolean }): Batch | undefined {
    const ready = this.#ready.shift();
    if (ready !== undefined) return ready;
    if (!mayGrow || this.#transaction !== undefined) return undefined;
    const current = this.#current;
    this.#current = undefined;
    return current;
  }

  /**
   * @throws ProtocolError if it is not a message that the plugin sends at this point
   */
  read(place: FramePlace): void {
    if (this.#isRefused) return;
    const message = this.#decoder.decodeInPlace(place);
    if (message.kind === "other" || message.kind === "relation" || message.kind === "origin") {
      return;
    }
    if (message.kind === "begin") this.#begin(message.commitLsn);
    else if (message.kind === "commit") this.#commit(message);
    else this.#tryChange(message, place.end - place.start);
  }

  /** A change that the target's tables cannot take is reported when its turn comes. */
  #tryChange(message: ChangeOfRows, bytes: number): void {
    try {
      this.#change(message, bytes);
    } catch (error) {
      if (!(error instanceof ReplicatorError) || this.#current === undefined) throw error;
      this.#current.refusal = error;
      this.#isRefused = true;
      this.#cut();
    }
  }

  #begin(commitLsn: Lsn): void {
    if (this.#transaction !== undefined) throw violation("began a transaction within another");
    const { after, strictUntil, skip } = this.#options;
    // order and repetition are decided by the commit, never by the begin
    const isApplied = commitLsn < after;
    if (commitLsn < this.#lastEndLsn && (!isApplied || this.#current !== undefined)) {
      throw violation(
        `sent a transaction that commits at ${formatLsn(commitLsn)} after ${
          formatLsn(this.#lastEndLsn)
        }`,
      );
    }
    this.#transaction = { commitLsn, isSkipped: isApplied || commitLsn === skip };
    if (isApplied) return;
    const isStrict = commitLsn <= strictUntil;
    if (this.#current !== undefined && (isStrict || this.#current.isStrict)) this.#cut();
    this.#current ??= {
      collector: new ChangeCollector({ isStrict, isRaw: true }),
      isStrict,
      bytes: 0,
      changes: 0,
      transactions: 0,
      endLsn: undefined,
      lastCommitLsn: commitLsn,
      refusal: undefined,
    };
    this.#current.lastCommitLsn = commitLsn;
    this.#current.endLsn = undefined;
  }

  #commit({ commitLsn, endLsn }: ChangeMessage & { readonly kind: "commit" }): void {
    if (this.#transaction?.commitLsn !== commitLsn || endLsn <= commitLsn) {
      throw violation("committed another transaction than it had begun");
    }
    this.#transaction = undefined;
    const current = this.#current;
    if (current === undefined) return;
    this.#lastEndLsn = endLsn;
    current.endLsn = endLsn;
    current.transactions++;
    if (current.bytes >= batchBytes) this.#cut();
  }

  #change(message: ChangeOfRows, bytes: number): void {
    const transaction = this.#transaction;
    if (transaction === undefined) throw violation("sent a change outside a transaction");
    const current = this.#current;
    if (transaction.isSkipped || current === undefined) return;
    if (message.kind === "truncate") {
      const tables = message.relations.flatMap((relation) => this.#mapping(relation)?.table ?? []);
      if (tables.length === 0) return;
      current.collector.addTruncate(tables, message.restartsIdentity);
    } else {
      const mapping = this.#mapping(message.relation);
      if (mapping === undefined) return;
      if (message.kind === "insert") {
        current.collector.add({ kind: "insert", mapping, row: message.row });
      } else if (message.kind === "delete") {
        current.collector.add({ kind: "delete", mapping, before: message.before });
      } else {
        const { row } = message;
        current.collector.add({ kind: "update", mapping, row, before: message.before ?? row });
      }
    }
    current.changes++;
    current.bytes += bytes;
    if (current.bytes >= batchBytes) {
      this.#cut();
      this.#current = continued(current);
    }
  }

  #cut(): void {
    if (this.#current !== undefined) this.#ready.push(this.#current);
    this.#current = undefined;
  }

  /** Whether a change has been read that is not a token of a cutover. */
  get changesTables(): boolean {
    return this.#changesTables;
  }

  /** Undefined if changes of the table are not applied. */
  #mapping(relation: Relation): TableMapping | undefined {
    const known = this.#mappings.get(relation.oid);
    // a table that was altered is described again
    if (known?.relation === relation) return known.mapping;
    const key = tableKey(relation);
    const table = this.#options.tables.get(key);
    const isApplied = this.#options.applied.has(key);
    if (relation.schema !== cutoverSchema) {
      if (!isApplied) return this.#leaveOut(relation);
      if (!this.#options.existing.has(key)) {
        throw new ReplicatorError("the table does not exist on the target", {
          side: "target",
          object: `table ${displayName(relation)}`,
          remedy: "create it there, then run sync --retry",
          exitCode: ExitCode.unhealthy,
        });
      }
    }
    const mapping = isApplied && table !== undefined
      ? mapTable(relation, table, this.#options.rowFilters.get(key))
      : undefined;
    if (mapping !== undefined && relation.schema !== cutoverSchema) this.#changesTables = true;
    this.#mappings.set(relation.oid, { relation, mapping });
    return mapping;
  }

  /**
   * A table that is not listed was left out on purpose only if it has left the publication since
   * the change. Where that is not known, because the change is later, it is found out by reading
   * again.
   */
  #leaveOut(relation: Relation): undefined {
    const { published, publishedAt, existing } = this.#options;
    const commitLsn = this.#transaction?.commitLsn ?? publishedAt;
    if (commitLsn < publishedAt && !published.has(relation.oid)) return undefined;
    const { schema, name } = relation;
    const pattern = displayName({ schema, name });
    throw new ReplicatorError(
      "the table is published, but does not belong to the stream: it was renamed on the source, or added to the publication",
      {
        side: "source",
        object: `table ${pattern}`,
        remedy: existing.has(tableKey(relation))
          ? `copy it with sync --resnapshot ${pattern}, then run sync --retry`
          : `rename it on the target too and copy it with sync --resnapshot ${pattern}, or, if it is new, with sync --add-tables ${pattern}; then run sync --retry`,
        exitCode: ExitCode.unhealthy,
      },
    );
  }
}

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

/** The next part of a large transaction. */
function continued({ isStrict, lastCommitLsn }: Batch): Batch {
  return {
    collector: new ChangeCollector({ isStrict, isRaw: true }),
    isStrict,
    bytes: 0,
    changes: 0,
    transactions: 0,
    endLsn: undefined,
    lastCommitLsn,
    refusal: undefined,
  };
}

function violation(what: string): ProtocolError {
  return new ProtocolError(`it ${what}`);
}
