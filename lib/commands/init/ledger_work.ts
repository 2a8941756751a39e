/**
 * Decides by the ledger what is left of the copy of one database: structure, tables and parts.
 *
 * @module
 */
import {
  displayName,
  type EventSink,
  ExitCode,
  formatLsn,
  plural,
  ReplicatorError,
  tableKey,
  type TableName,
} from "../../core/internal.ts";
import type { SnapshotHolder } from "../../postgres/internal.ts";
import { summarizeLargeObjects, type Table } from "../../catalog/internal.ts";
import type { ClassifiedPostData, DumpStatement } from "../../schema/internal.ts";
import {
  type CopyPart,
  type CopyPlanOptions,
  type PartRange,
  planCopy,
  planEarlierParts,
} from "../../copy/internal.ts";
import {
  compareDumpStructure,
  decideResume,
  type Ledger,
  MixedSnapshotsError,
  type PlannedPart,
  readSourcePoint,
  structureOf,
  type TableRecord,
} from "../../checkpoint/internal.ts";
import type { Recorder } from "../shared/recorder.ts";
import type { TableReport } from "../shared/init_report.ts";

/** Represents all large objects in the ledger. */
export const largeObjectsMark: DumpStatement = { sql: "large objects", type: "BLOBS" };

/** The tables of a database by progress. */
export interface TableWork {
  /** The snapshot generation in which the rest is copied. */
  readonly generation: number;
  /** Tables that are copied, by `tableKey`. */
  readonly kept: ReadonlyMap<string, TableRecord>;
  /** Tables with copied parts, by `tableKey`. */
  readonly continued: ReadonlyMap<string, TableRecord>;
  /** Whether, in the end, all rows are as the current snapshot sees them. */
  readonly asOfSnapshot: boolean;
  /** What earlier attempts copied of a table. */
  readonly before: (table: TableName) => Counted;
}

/** Rows and COPY bytes, unless the attempt that copied them ended before recording them. */
export type Counted = Pick<TableReport, "rows" | "bytes" | "uncounted">;

/** Options of {@linkcode LedgerWork}. */
export interface LedgerWorkOptions {
  readonly events: EventSink;
  /** As events name it. */
  readonly database: string;
  readonly allowMixedSnapshots: boolean;
  readonly sync: boolean;
}

/** Compares the ledger of a database with the current source. */
export class LedgerWork {
  readonly ledger: Ledger;
  readonly #options: LedgerWorkOptions;

  constructor(ledger: Ledger, options: LedgerWorkOptions) {
    this.ledger = ledger;
    this.#options = options;
  }

  /**
   * Compares the dump with that of the first attempt, and records it.
   *
   * @returns functions and procedures that must be replaced on the target
   * @throws ReplicatorError if any other object that is on the target was dropped or altered
   */
  async checkStructure(statements: readonly DumpStatement[]): Promise<ReadonlySet<string>> {
    const structure = structureOf(statements);
    const { state } = this.ledger;
    const { changed, replaceable } = compareDumpStructure({
      recorded: state.structure,
      now: structure,
      done: state.statements,
    });
    if (changed.length > 0) {
      throw new ReplicatorError(
        "the structure of the source has changed since the copy started, so the copy cannot be resumed",
        {
          side: "source",
          object: `database ${this.#options.database}`,
          details: [
            ...changed.slice(0, 10).map((object) => `altered or dropped: ${object}`),
            ...(changed.length > 10 ? [`and ${changed.length - 10} more`] : []),
            `the copy was started at ${state.startedAt} with ${state.dumpTool}`,
          ],
          remedy: "start over with --no-resume, or revert the changes",
          exitCode: ExitCode.prerequisite,
        },
      );
    }
    await this.ledger.recordStructure(
      structure.filter(({ digest }) => !state.structure.has(digest)),
    );
    for (const object of replaceable) {
      this.#options.events({
        kind: "info",
        message:
          `${object} has changed on the source since the copy started, and is replaced on the target`,
      });
    }
    return replaceable;
  }

  /**
   * Decides what is left, and records the snapshot generation in which it is copied.
   *
   * @throws ReplicatorError if the rest cannot be copied under the same snapshot and mixed
   * snapshots are not allowed
   */
  async decide({ snapshot, tables }: {
    readonly snapshot: SnapshotHolder;
    readonly tables: readonly Table[];
  }): Promise<TableWork> {
    const { events, database, allowMixedSnapshots, sync } = this.#options;
    const { state } = this.ledger;
    const point = await readSourcePoint(snapshot.session);
    const decision = decideResume({
      ledger: state,
      tables,
      point,
      largeObjectsLeft: !this.ledger.isDone(largeObjectsMark) &&
        (await summarizeLargeObjects(snapshot.session)).count > 0,
      allowMixedSnapshots,
      sync,
    });
    if (decision.kind === "refuse") {
      throw new MixedSnapshotsError(decision.reason, {
        side: "source",
        object: `database ${database}`,
        details: decision.details,
        remedy:
          "--allow-mixed-snapshots copies the rest as of now (each table is internally consistent, but the tables are not consistent with each other); --no-resume starts over",
        exitCode: ExitCode.prerequisite,
      });
    }
    const { generation, begins, kept, continued, emptied, asOfSnapshot, moments } = decision;
    if (begins) {
      await this.ledger.beginGeneration({
        number: generation,
        ...(snapshot.lsn === undefined ? {} : { lsn: formatLsn(snapshot.lsn) }),
        snapshot: snapshot.identifier,
        startedAt: "",
        point,
      }, emptied);
    } else if (emptied.length > 0) {
      const last = state.generations.at(-1);
      if (last !== undefined) await this.ledger.beginGeneration(last, emptied);
    }
    if (state.generations.length > 0) {
      events({
        kind: "info",
        message: `${database}: ${plural(kept.length, "table")} of ${tables.length} ` +
          `${kept.length === 1 ? "is" : "are"} already copied` +
          (continued.length === 0 ? "" : `, ${continued.length} more partly`) +
          (emptied.length === 0
            ? ""
            : `; copied again from the start: ${emptied.slice(0, 5).map(displayName).join(", ")}` +
              (emptied.length > 5 ? ", …" : "")),
      });
    }
    if (moments.length > 1 && !sync) {
      events({
        kind: "warning",
        side: "target",
        object: `database ${database}`,
        message:
          `the tables are from ${moments.length} snapshots of the source (--allow-mixed-snapshots): each is internally consistent, but rows may reference rows that do not exist`,
        remedy: "check foreign keys that are NOT VALID; verify shows what differs",
      });
    }
    return {
      generation,
      kept: byKey(kept),
      continued: byKey(continued),
      asOfSnapshot,
      before: (table) => sumOf(byKey(continued).get(tableKey(table))?.parts ?? []),
    };
  }

  /** The parts to copy. The division of tables is recorded before the first part is copied. */
  async planParts(
    tables: readonly Table[],
    { progress, planning }: { readonly progress: TableWork; readonly planning: CopyPlanOptions },
  ): Promise<readonly CopyPart[]> {
    const earlier = tables.flatMap((table) => {
      const parts = progress.continued.get(tableKey(table))?.parts.filter(({ done }) => !done);
      return parts === undefined ? [] : planEarlierParts(
        table,
        parts.map((part) => ({ ...part, range: rangeOf(part) })),
        planning,
      );
    });
    const fresh = planCopy(
      tables.filter((table) => !progress.continued.has(tableKey(table))),
      planning,
    );
    await this.ledger.recordPlan(planned(fresh, progress.generation));
    return [...earlier, ...fresh].sort((a, b) => b.bytes - a.bytes);
  }
}

/** Tables of several parts, for the ledger. */
function planned(parts: readonly CopyPart[], generation: number): readonly TableRecord[] {
  const divided = parts.filter(({ range }) => range !== undefined);
  return [...Map.groupBy(divided, ({ table }) => table)].map(([{ schema, name }, own]) => ({
    schema,
    name,
    generation,
    parts: own.map(({ part, parts, range }): PlannedPart => ({
      part,
      parts,
      ...(range === undefined ? {} : recordedRange(range)),
      done: false,
    })),
  }));
}

function recordedRange(range: PartRange): Pick<PlannedPart, "from" | "to" | "key"> {
  if (!("column" in range)) {
    return { from: range.from, ...(range.to === undefined ? {} : { to: range.to }) };
  }
  const { column, type, fromKey, toKey } = range;
  return {
    key: {
      column,
      type,
      ...(fromKey === undefined ? {} : { from: fromKey }),
      ...(toKey === undefined ? {} : { to: toKey }),
    },
  };
}

function rangeOf({ from = 0, to, key }: PlannedPart): PartRange {
  if (key === undefined) return { from, to };
  return { column: key.column, type: key.type, fromKey: key.from, toKey: key.to };
}

/** Tables that are not copied again, for the report. */
export function keptTables(
  records: readonly TableRecord[],
  { recorder, database }: RunOfDatabase,
): readonly TableReport[] {
  const finished = new Map(
    recorder.tables.filter((each) => each.database === database).map((
      { table, ms },
    ) => [table, ms]),
  );
  return records.map(({ schema, name, parts }): TableReport => {
    const ms = finished.get(displayName({ schema, name }));
    const counted = { schema, name, ...sumOf(parts) };
    return ms === undefined
      ? { ...counted, ms: 0, earlier: true }
      : withBefore({ ...counted, ms }, { recorder, database });
  });
}

/** A table that this run has completed, with what earlier runs had copied of it. */
export function withBefore(
  table: TableReport,
  { recorder, database }: RunOfDatabase,
): TableReport {
  const { schema, name } = table;
  const own = recorder.copiedOf({ database, schema, name }) ?? { rows: 0, bytes: 0 };
  const before = {
    rows: Math.max(0, table.rows - own.rows),
    bytes: Math.max(0, table.bytes - own.bytes),
  };
  return before.rows + before.bytes === 0 ? table : { ...table, before };
}

/** The run, and the database as events name it. */
export interface RunOfDatabase {
  readonly recorder: Recorder;
  readonly database: string;
}

/** All statements of a post-data section. */
export function allStatements(postData: ClassifiedPostData): readonly DumpStatement[] {
  const { perTable, attach, foreignKeys, rest, eventTriggers } = postData;
  return [
    ...perTable.flatMap(({ statements }) => statements),
    ...attach,
    ...foreignKeys,
    ...rest,
    ...eventTriggers,
  ];
}

function sumOf(parts: readonly PlannedPart[]): Counted {
  const done = parts.filter(({ done }) => done);
  const sum = done.reduce(
    (sum, { rows = 0, bytes = 0 }) => ({ rows: sum.rows + rows, bytes: sum.bytes + bytes }),
    { rows: 0, bytes: 0 },
  );
  return done.some(({ rows }) => rows === undefined) ? { ...sum, uncounted: true } : sum;
}

function byKey(records: readonly TableRecord[]): ReadonlyMap<string, TableRecord> {
  return new Map(records.map((record) => [tableKey(record), record]));
}
