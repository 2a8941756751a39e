/**
 * The rows of many tables, copied by several workers under one snapshot.
 *
 * @module
 */
import { displayName, type EventSink, retryEvent } from "../core/internal.ts";
import type { CopyOutcome, Endpoint, SnapshotHolder } from "../postgres/internal.ts";
import type { Table } from "../catalog/internal.ts";
import type { CopyWorkerJob } from "./copy_worker.ts";
import { copyInStatement, copyOutStatement } from "./copy_statements.ts";
import type { CopySettings } from "./copy_settings.ts";
import type { CopyPart } from "./plan.ts";

/** What is copied, from where, and how. */
export interface CopyTablesOptions {
  /** Database that rows are read from. */
  readonly source: Endpoint;
  /** Database that rows are written to. */
  readonly target: Endpoint;
  /** Settings of the sessions on the target, such as those that keep triggers from firing. */
  readonly targetSettings: Readonly<Record<string, string>>;
  /** Exported snapshot of the source that all rows are read under. */
  readonly snapshot: SnapshotHolder;
  /** In the order in which they are started; see `planCopy`. */
  readonly parts: readonly CopyPart[];
  /** Encoding of the source database. */
  readonly encoding: string;
  /** Sessions, format, part size and rate limits. */
  readonly settings: CopySettings;
  /** Aborting it cancels the copy, which rejects with its reason. */
  readonly signal: AbortSignal;
  /** Receives progress, warnings and retries as they happen. */
  readonly events: EventSink;
  /** See `RelayOptions.pace`. */
  readonly pace: ((bytes: number) => Promise<void> | undefined) | undefined;
  /**
   * How the target records its parts. Without a record, a connection that breaks while the target
   * commits ends the copy.
   */
  readonly record: PartRecord | undefined;
  /** Callbacks for finished parts and tables. */
  readonly progress: CopyProgress;
}

/** Callbacks of a copy. */
export interface CopyProgress {
  /** Called when a part is committed on the target. */
  readonly onPart: (part: CopyPart, outcome: CopyOutcome) => void;
  /** Called when all of a table's rows are committed on the target. */
  readonly onCopied: (copied: CopiedTable) => void;
  /** Called when one of the `jobs` has nothing left to copy, or never had: it may do other work. */
  readonly onIdle: () => void;
}

/** For callers that wait for the result. */
export const ignoreCopyProgress: CopyProgress = {
  onPart: () => {},
  onCopied: () => {},
  onIdle: () => {},
};

/** How the target records parts, in the transaction that commits their rows. */
export interface PartRecord {
  /**
   * Statement that records a part; it is sent with the part's COPY and costs no round trip.
   */
  readonly statement: (part: CopyPart) => string;
  /** Query that returns a row once a part is recorded. */
  readonly isRecorded: (part: CopyPart) => string;
  /** The constraint that is violated when a part is recorded twice. */
  readonly constraint: string;
}

/** A table whose rows are committed on the target. */
export interface CopiedTable {
  /** The table, as the source's catalog describes it. */
  readonly table: Table;
  /** Number of rows committed on the target. */
  readonly rows: number;
  /** COPY bytes, framing included. */
  readonly bytes: number;
  /** Time that copying it took, in milliseconds. */
  readonly ms: number;
}

interface PartJob extends CopyWorkerJob {
  readonly part: CopyPart;
}

/**
 * Copies the rows of all parts.
 *
 * A worker whose connection breaks resumes with a new one, see `runCopyWorker`. The first permanent
 * error ends all workers; what was not committed is rolled back, and no session remains.
 *
 * Requires `--allow-net` for both hosts.
 *
 * @throws ServerError with the table, the side and the server's context (line and column),
 * ConnectionError when a server went away
 */
export async function copyTables(options: CopyTablesOptions): Promise<readonly CopiedTable[]> {
  const { source, target, snapshot, encoding, record, settings } = options;
  const queue = options.parts.map((part): PartJob => {
    const copyIn = copyInStatement(part, encoding);
    return {
      part,
      name: part.name,
      copyOut: copyOutStatement(part, encoding),
      copyIn: record === undefined ? copyIn : `${copyIn}; ${record.statement(part)}`,
      expectedBytes: part.bytes,
      ...(record === undefined ? {} : { isRecorded: record.isRecorded(part) }),
    };
  });
  const progress = new TableProgress(options);
  await settings.workers.run<PartJob>({
    source,
    target,
    targetSettings: options.targetSettings,
    snapshot,
    jobs: queue,
    workerCount: settings.jobs,
    signal: options.signal,
    recordedConstraint: record?.constraint,
    retryDelaysMs: settings.retryDelaysMs,
    pace: options.pace,
    onStarted: ({ part }) => progress.started(part),
    onBytes: ({ part }, bytes) => progress.moved(part, bytes),
    onFinished: ({ part }, outcome, worker) => progress.finished(part, outcome, worker),
    onRetry: (error, { worker, attempt, delayMs }) =>
      options.events(retryEvent({
        what: `copying the tables of ${source.database} (session ${worker})`,
        error,
        attempt,
        delayMs,
      })),
    onIdle: options.progress.onIdle,
  });
  return progress.copied;
}

/** Sums up the parts of each table, for events and the result. */
class TableProgress {
  readonly copied: CopiedTable[] = [];
  readonly #options: CopyTablesOptions;
  readonly #partStarts = new Map<CopyPart, number>();
  /** When each worker finished its last part: the next one waited in its queue until then. */
  readonly #workerFreeAt = new Map<number, number>();
  readonly #underWay = new Map<
    Table,
    { readonly start: number; partsLeft: number; rows: number; bytes: number; moved: number }
  >();
  /** Bytes of unfinished parts. */
  readonly #movedOf = new Map<CopyPart, number>();

  /** Parts of each table to copy; fewer than it has if an earlier attempt copied some. */
  readonly #partsOf: ReadonlyMap<Table, number>;

  constructor(options: CopyTablesOptions) {
    this.#options = options;
    const byTable = Map.groupBy(options.parts, ({ table }) => table);
    this.#partsOf = new Map([...byTable].map(([table, parts]) => [table, parts.length]));
  }

  started(part: CopyPart): void {
    const { table } = part;
    const parts = this.#partsOf.get(table) ?? 1;
    this.#partStarts.set(part, performance.now());
    const sum = this.#underWay.get(table);
    if (sum !== undefined) {
      sum.moved -= this.#movedOf.get(part) ?? 0; // it starts over
      this.#movedOf.delete(part);
      return;
    }
    this.#underWay.set(table, {
      start: performance.now(),
      partsLeft: parts,
      rows: 0,
      bytes: 0,
      moved: 0,
    });
    this.#options.events({
      kind: "table-started",
      ...this.#place(table),
      bytes: this.#plannedOf(part),
    });
  }

  /** What this run copies of a table, on disk. */
  #plannedOf({ table, parts }: CopyPart): number {
    const own = this.#options.parts.filter((part) => part.table === table);
    if (own.length === parts) return table.bytes;
    return Math.min(table.bytes, own.reduce((sum, { bytes }) => sum + bytes, 0));
  }

  moved(part: CopyPart, bytes: number): void {
    const sum = this.#underWay.get(part.table);
    if (sum === undefined) return;
    this.#movedOf.set(part, (this.#movedOf.get(part) ?? 0) + bytes);
    sum.moved += bytes;
    this.#options.events({
      kind: "table-progress",
      ...this.#place(part.table),
      bytes: sum.moved,
    });
  }

  finished(part: CopyPart, outcome: CopyOutcome, worker: number): void {
    const { table } = part;
    const now = performance.now();
    const startedAtMs = Math.max(
      this.#partStarts.get(part) ?? now,
      this.#workerFreeAt.get(worker) ?? 0,
    );
    this.#partStarts.delete(part);
    this.#movedOf.delete(part);
    this.#workerFreeAt.set(worker, now);
    this.#options.events({
      kind: "work-finished",
      database: this.#options.source.database,
      work: "copy",
      lane: worker,
      label: part.name,
      startedAtMs,
      ms: now - startedAtMs,
      bytes: outcome.bytes,
    });
    this.#options.progress.onPart(part, outcome);
    const sum = this.#underWay.get(table);
    if (sum === undefined) return;
    sum.rows += outcome.rows;
    sum.bytes += outcome.bytes;
    if (--sum.partsLeft > 0) return;
    this.#underWay.delete(table);
    const { rows, bytes } = sum;
    const ms = part.parts === 1 ? now - startedAtMs : now - sum.start;
    const done = { table, rows, bytes, ms };
    this.copied.push(done);
    this.#options.events({
      kind: "table-finished",
      ...this.#place(table),
      rows,
      bytes,
      ms,
    });
    this.#options.progress.onCopied(done);
  }

  #place(table: Table): { readonly database: string; readonly table: string } {
    return { database: this.#options.source.database, table: displayName(table) };
  }
}
