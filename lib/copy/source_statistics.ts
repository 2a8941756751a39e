/**
 * Carries planner statistics from the source to the target.
 *
 * @module
 */
import {
  displayName,
  type EventSink,
  ReplicatorError,
  tableKey,
  type TableName,
} from "../core/internal.ts";
import {
  readPlannerStatistics,
  readStatisticsOutlook,
  type StatisticsOutlook,
} from "../catalog/internal.ts";
import {
  type Endpoint,
  importSnapshot,
  openSessionWithRetry,
  type Session,
} from "../postgres/internal.ts";
import type { StatisticsRestorer } from "./analyze.ts";
import { type LeftColumn, restoreStatistics } from "./restore_statistics.ts";
import {
  collectedOf,
  type CollectedTable,
  type CopyExtent,
  type StatisticsSummary,
} from "./statistics_plan.ts";

/** Both sides, and what is copied. */
export interface SourceStatisticsOptions {
  readonly source: Endpoint;
  /** 18 or later. */
  readonly target: Endpoint;
  readonly extent: CopyExtent;
  /** The identifier of the snapshot that the rows are copied under; undefined for the latest. */
  readonly snapshot: string | undefined;
  readonly signal: AbortSignal;
  readonly events: EventSink;
}

/** How much of the source's statistics is in memory at the same time, as stored. */
const maxGroupBytes = 4 * 1024 ** 2;

/**
 * Restores statistics with one session on each side, which are opened when they are needed. What
 * cannot be carried over is left to ANALYZE; a copy never fails because of statistics.
 */
export class SourceStatistics implements StatisticsRestorer, AsyncDisposable {
  readonly #options: SourceStatisticsOptions;
  readonly #collected = new Map<string, CollectedTable>();
  readonly #carried = new Set<string>();
  #source: Session | undefined;
  #target: Session | undefined;
  #outlook: ReadonlyMap<string, StatisticsOutlook> | undefined;
  /** Settles after the restore under way. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Whether the source's statistics can no longer be read. */
  #failed = false;

  constructor(options: SourceStatisticsOptions) {
    this.#options = options;
  }

  /** What was done so far. */
  get summary(): StatisticsSummary {
    return { from: "source", carried: this.#carried.size, analyzed: [...this.#collected.values()] };
  }

  /**
   * Restores the statistics of tables that are complete on the target, one call after the other.
   *
   * @returns the tables to analyze
   * @throws only if the run is aborted
   */
  async restore(tables: readonly TableName[]): Promise<readonly CollectedTable[]> {
    const turn = this.#turn.then(() => this.#restore(tables));
    this.#turn = turn.catch(() => {});
    const collected = await turn;
    for (const table of collected) this.#collected.set(tableKey(table), table);
    const analyzed = new Set(
      collected.filter(({ columns }) => columns === undefined).map(tableKey),
    );
    for (const table of tables) {
      if (!analyzed.has(tableKey(table))) this.#carried.add(tableKey(table));
    }
    return collected;
  }

  async #restore(tables: readonly TableName[]): Promise<readonly CollectedTable[]> {
    if (this.#failed) return tables.map(unreadable);
    let outlooks: ReadonlyMap<string, StatisticsOutlook>;
    try {
      outlooks = this.#outlook ??= await readStatisticsOutlook(await this.#openSource());
    } catch (error) {
      await this.#fail(error);
      return tables.map(unreadable);
    }
    const collected: CollectedTable[] = [];
    const carried: TableName[] = [];
    for (const table of tables) {
      const found = collectedOf(table, outlooks.get(tableKey(table)), this.#options.extent);
      if (found !== undefined) collected.push(found);
      if (found?.columns !== undefined || found === undefined) carried.push(table);
    }
    const left: LeftColumn[] = [];
    for (const group of groupsOf(carried, outlooks)) left.push(...await this.#carry(group));
    return merge(collected, left);
  }

  /** @returns what was not restored */
  async #carry(tables: readonly TableName[]): Promise<readonly LeftColumn[]> {
    if (this.#failed) return tables.map((table) => leftTable(table, "unreadable"));
    try {
      const statistics = await readPlannerStatistics(
        await this.#openSource(),
        tables.map(({ schema, name }) => {
          const { indexes = [] } = this.#outlook?.get(tableKey({ schema, name })) ?? {};
          return { schema, name, indexes };
        }),
      );
      try {
        return await restoreStatistics(await this.#openTarget(), statistics);
      } catch (error) {
        return await this.#afterRefusal(error, tables);
      }
    } catch (error) {
      await this.#fail(error);
      return tables.map((table) => leftTable(table, "unreadable"));
    }
  }

  /** One refused table rolls back those of the same statement. */
  async #afterRefusal(
    error: unknown,
    tables: readonly TableName[],
  ): Promise<readonly LeftColumn[]> {
    const { signal, events } = this.#options;
    signal.throwIfAborted();
    if (!(error instanceof ReplicatorError)) throw error;
    await this.#target?.close();
    this.#target = undefined;
    const [table] = tables;
    if (table === undefined) return [];
    if (tables.length === 1) {
      events({
        kind: "warning",
        side: "target",
        object: displayName(table),
        message: `the source's statistics cannot be restored: ${error.message}`,
        remedy: "nothing to do: ANALYZE collects them",
      });
      return [leftTable(table, "refused")];
    }
    const left: LeftColumn[] = [];
    for (const each of tables) left.push(...await this.#carry([each]));
    return left;
  }

  /** Statistics that cannot be read are collected instead. */
  async #fail(error: unknown): Promise<void> {
    const { source, signal, events } = this.#options;
    signal.throwIfAborted();
    if (!(error instanceof ReplicatorError)) throw error;
    this.#failed = true;
    events({
      kind: "warning",
      side: "source",
      object: `database ${source.database}`,
      message: `planner statistics cannot be read: ${error.message}`,
      remedy: "nothing to do: ANALYZE collects them on the target",
    });
    await this.#source?.close();
    this.#source = undefined;
  }

  async #openSource(): Promise<Session> {
    if (this.#source?.isOpen) return this.#source;
    const { source, snapshot, signal, events } = this.#options;
    const session = await openSessionWithRetry(source, { signal, events });
    this.#source = session; // closed with the others, also if the import fails
    if (snapshot !== undefined) await importSnapshot(session, snapshot);
    return session;
  }

  async #openTarget(): Promise<Session> {
    if (this.#target?.isOpen) return this.#target;
    const { target, signal, events } = this.#options;
    this.#target = await openSessionWithRetry(target, {
      signal,
      events,
      settings: { synchronous_commit: "off" },
    });
    return this.#target;
  }

  /** Closes both sessions. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#turn;
    await this.#source?.close();
    await this.#target?.close();
  }
}

function unreadable({ schema, name }: TableName): CollectedTable {
  return { schema, name, reason: "unreadable" };
}

function leftTable(table: TableName, reason: LeftColumn["reason"]): LeftColumn {
  return { table, column: undefined, reason };
}

/** Groups of tables whose statistics are read and written together. */
function groupsOf(
  tables: readonly TableName[],
  outlooks: ReadonlyMap<string, StatisticsOutlook>,
): readonly (readonly TableName[])[] {
  const groups: TableName[][] = [];
  let free = 0;
  for (const table of tables) {
    const { bytes = 0 } = outlooks.get(tableKey(table)) ?? {};
    if (bytes > free) {
      groups.push([]);
      free = maxGroupBytes;
    }
    (groups.at(-1) ?? groups[groups.push([]) - 1]!).push(table);
    free -= bytes;
  }
  return groups;
}

/** Columns that were known before, and those that the target did not take. */
function merge(
  collected: readonly CollectedTable[],
  left: readonly LeftColumn[],
): readonly CollectedTable[] {
  const byTable = new Map(collected.map((table) => [tableKey(table), table]));
  for (const { table, column, reason } of left) {
    const key = tableKey(table);
    const { schema, name } = table;
    const known = byTable.get(key);
    if (known !== undefined && known.columns === undefined) continue;
    const columns = known?.columns ?? [];
    byTable.set(
      key,
      column === undefined
        ? { schema, name, reason }
        : { schema, name, columns: [...new Set([...columns, column])], reason },
    );
  }
  return [...byTable.values()];
}
