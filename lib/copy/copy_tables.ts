/**
 * The rows of many tables, by several workers at once, all under one snapshot.
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
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** Settings of the sessions on the target, such as those that keep triggers from firing. */
  readonly targetSettings: Readonly<Record<string, string>>;
  readonly snapshot: SnapshotHolder;
  /** In the order in which they are started; see `planCopy`. */
  readonly parts: readonly CopyPart[];
  /** Encoding of the source database. */
  readonly encoding: string;
  readonly settings: CopySettings;
  readonly signal: AbortSignal;
  readonly events: EventSink;
  /** See `RelayOptions.pace`. */
  readonly pace: ((bytes: number) => Promise<void> | undefined) | undefined;
  /**
   * How the target records its parts. Without a record, a connection that breaks while the target
   * commits ends the copy.
   */
  readonly record: PartRecord | undefined;
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

/** How the target keeps account of parts, in the very transaction that commits their rows. */
export interface PartRecord {
  /**
   * Statement that records a part; it goes along with the part's COPY, so it costs no round trip.
   */
  readonly statement: (part: CopyPart) => string;
  /** Query that gives a row when a part is recorded. */
  readonly isRecorded: (part: CopyPart) => string;
  /** The constraint that recording a part twice violates. */
  readonly constraint: string;
}

/** A table whose rows are committed on the target. */
export interface CopiedTable {
  readonly table: Table;
  readonly rows: number;
  /** COPY bytes, framing included. */
  readonly bytes: number;
  readonly ms: number;
}

interface PartJob extends CopyWorkerJob {
  readonly part: CopyPart;
}

/**
 * Copies the rows of all parts.
 *
 * A worker whose connection breaks goes on with a new one, see `runCopyWorker`. The first error
 * that does not pass ends all workers; what was not committed is rolled back and no session stays
 * behind.
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
    lanes: settings.jobs,
    signal: options.signal,
    recordedConstraint: record?.constraint,
    delaysMs: settings.retryDelaysMs,
    pace: options.pace,
    onStarted: ({ part }) => progress.started(part),
    onBytes: ({ part }, bytes) => progress.moved(part, bytes),
    onFinished: ({ part }, outcome, lane) => progress.finished(part, outcome, lane),
    onRetry: (error, { lane, attempt, delayMs }) =>
      options.events(retryEvent({
        what: `copying the tables of ${source.database} (session ${lane})`,
        error,
        attempt,
        delayMs,
      })),
    onIdle: options.progress.onIdle,
  });
  return progress.copied;
}

/** Puts the parts of each table together again, for those who are told. */
class TableProgress {
  readonly copied: CopiedTable[] = [];
  readonly #options: CopyTablesOptions;
  readonly #partStarts = new Map<CopyPart, number>();
  /** When each lane was done with its last part: the next one waited in its queue until then. */
  readonly #laneFreeAt = new Map<number, number>();
  readonly #underWay = new Map<
    Table,
    { readonly start: number; partsLeft: number; rows: number; bytes: number; moved: number }
  >();
  /** Bytes of parts under way. */
  readonly #movedOf = new Map<CopyPart, number>();

  /**
   * Parts of each table that are to be copied: fewer than it has when others were copied before.
   */
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
      sum.moved -= this.#movedOf.get(part) ?? 0; // it is begun again
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
    this.#options.events({ kind: "table-started", ...this.#place(table), bytes: table.bytes });
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

  finished(part: CopyPart, outcome: CopyOutcome, lane: number): void {
    const { table } = part;
    const now = performance.now();
    const startedAtMs = Math.max(
      this.#partStarts.get(part) ?? now,
      this.#laneFreeAt.get(lane) ?? 0,
    );
    this.#partStarts.delete(part);
    this.#movedOf.delete(part);
    this.#laneFreeAt.set(lane, now);
    this.#options.events({
      kind: "work-finished",
      database: this.#options.source.database,
      work: "copy",
      lane,
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
