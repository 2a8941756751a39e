/**
 * One database: made, filled, indexed, and given its properties.
 *
 * @module
 */
import {
  displayName,
  type EventSink,
  formatCount,
  plural,
  quoteIdentifier,
  quoteLiteral,
  tableKey,
} from "../../core/mod.ts";
import {
  type Endpoint,
  openSession,
  retry,
  type Session,
  withDatabase,
} from "../../postgres/mod.ts";
import {
  listSequences,
  readSequenceValues,
  setvalStatements,
  summariseLargeObjects,
  type Table,
} from "../../catalog/mod.ts";
import {
  type Adaptation,
  applyStatements,
  classifyPostData,
  createDatabase,
  databasePropertyStatements,
  dumpSchema,
  type DumpStatement,
  type DumpTool,
  readDatabaseProperties,
  tablesWithStatistics,
} from "../../schema/mod.ts";
import {
  analyzeTables,
  type CopyFormat,
  copyLargeObjects,
  copyTables,
  exportLockedSnapshot,
  Governor,
  IndexBuilder,
  type IndexGroup,
  type LaneRunner,
  type LockedSnapshot,
  type LockOptions,
  readPlanBounds,
} from "../../copy/mod.ts";
import { isComplete, Ledger, type LedgerRun } from "../../checkpoint/mod.ts";
import { describeConsequences, type TableRules } from "../../rules/mod.ts";
import type { PlannedDatabase } from "../database_plan.ts";
import type { DatabaseReport } from "../report.ts";
import type { SnapshotHook } from "../run.ts";
import { readScope } from "../table_scope.ts";
import { addForeignKeys } from "./add_foreign_keys.ts";
import type { DatabaseStream } from "./database_stream.ts";
import { takeOverEarlierSnapshot } from "./earlier_snapshot.ts";
import {
  allStatements,
  earlierTables,
  largeObjectsMark,
  LedgerWork,
  type TableWork,
} from "./ledger_work.ts";
import type { Recorder } from "./recorder.ts";

/** What copying one database needs. */
export interface CopyDatabaseOptions {
  readonly planned: PlannedDatabase;
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** A session on the target in another database than the one to be made. */
  readonly maintenance: Session;
  readonly tool: DumpTool;
  readonly jobs: number;
  readonly indexJobs: number;
  readonly copyFormat: "auto" | CopyFormat;
  readonly copyThreads: number;
  /** Who copies the rows; undefined: this process. */
  readonly lanes: LaneRunner | undefined;
  /** Tables of more bytes are copied in parts. */
  readonly splitBytes: number;
  /** The most that is read, in bytes a second; undefined for as much as there is. */
  readonly maxBytesPerSecond: number | undefined;
  /** Major version of the source. */
  readonly sourceMajor: number;
  readonly rules: TableRules;
  readonly recorder: Recorder;
  readonly signal: AbortSignal;
  readonly whileSnapshotHeld: SnapshotHook;
  /** What follows when the rows are in; undefined: nothing does. */
  readonly stream: DatabaseStream | undefined;
  /** What the ledger is begun with. */
  readonly ledgerRun: LedgerRun;
  readonly allowMixedSnapshots: boolean;
  readonly retryPausesMs: readonly number[] | undefined;
}

/** The parts of a schema, in the order in which they are applied. */
interface SchemaParts {
  readonly preData: readonly DumpStatement[];
  readonly postData: ReturnType<typeof classifyPostData>;
}

/**
 * Copies one database under one snapshot.
 *
 * When it fails the target database is left as it is, with a comment that says so.
 */
export async function copyDatabase(options: CopyDatabaseOptions): Promise<DatabaseReport> {
  const { planned, recorder } = options;
  const start = performance.now();
  const run = new DatabaseCopy(options);
  try {
    const tables = await run.copy(() => options.stream?.handOver() ?? Promise.resolve());
    return {
      source: planned.source.name,
      target: planned.target,
      tables,
      ms: performance.now() - start,
    };
  } catch (error) {
    await options.stream?.giveUp(run.hasRows);
    if (run.targetTouched) {
      recorder.events({
        kind: "warning",
        side: "target",
        object: `database ${planned.target}`,
        message: "the copy of this database is incomplete",
        remedy: "when the cause is removed, run the same command again: what is done is kept",
      });
    }
    throw error;
  }
}

class DatabaseCopy {
  readonly #options: CopyDatabaseOptions;
  readonly #source: Endpoint;
  /** With the ledger's lock, once that is open. */
  #target: Endpoint;
  readonly #events: EventSink;
  /** What moves, as the snapshot sees it; undefined when all of it does. */
  #scope: Awaited<ReturnType<typeof readScope>>;
  /** Tables that have their statistics, by `tableKey`. */
  #analyzed: ReadonlySet<string> = new Set();
  /** Whether objects are left out on purpose. */
  #incomplete = false;
  #work: LedgerWork | undefined;
  /** Whether the database on the target has been changed. */
  targetTouched: boolean;
  /** Whether any rows may be there that a later run can keep. */
  hasRows = false;

  constructor(options: CopyDatabaseOptions) {
    this.#options = options;
    this.#source = withDatabase(options.source, options.planned.source.name);
    this.#target = withDatabase(options.target, options.planned.target);
    this.#events = options.recorder.events;
    this.targetTouched = options.planned.action === "resume";
  }

  get #database(): string {
    return this.#options.planned.source.name;
  }

  /** @param handOver called when everything is on the target, before that is taken for complete */
  async copy(handOver: () => Promise<void>): Promise<DatabaseReport["tables"]> {
    const { planned } = this.#options;
    let ledger = planned.action === "resume" ? await this.#openLedger() : undefined;
    try {
      if (ledger?.state.complete) return earlierTables(ledger.state.tables);
      const locked = await this.#openPoint(ledger);
      await using snapshot = locked.snapshot;
      const parts = await this.#dumpSchema(locked);
      if (ledger === undefined) {
        await this.#makeDatabase();
        ledger = await this.#openLedger();
      }
      const work = new LedgerWork(ledger, {
        events: this.#events,
        database: this.#database,
        allowMixedSnapshots: this.#options.allowMixedSnapshots,
        sync: this.#options.stream !== undefined,
      });
      await work.checkStructure([...parts.preData, ...allStatements(parts.postData)]);
      const progress = await work.decide({
        snapshot,
        tables: locked.tables.filter((table) => this.#scope?.scope.hasRows(table) ?? true),
      });
      this.#work = work;
      this.hasRows = true;
      const copied = await this.#fill(locked, parts, progress);
      if (progress.asOfSnapshot) {
        await this.#options.whileSnapshotHeld({
          database: this.#database,
          target: this.#target.database,
          snapshot: snapshot.identifier,
        });
      }
      await this.#finish(parts);
      await ledger.settle();
      await handOver();
      await ledger.complete();
      return copied;
    } finally {
      await ledger?.[Symbol.asyncDispose]();
    }
  }

  async #openLedger(): Promise<Ledger> {
    const { planned, signal, ledgerRun } = this.#options;
    const ledger = await Ledger.open(withDatabase(this.#options.target, planned.target), {
      signal,
      run: ledgerRun,
      onInfo: (message) => this.#events({ kind: "info", message }),
    });
    this.#target = ledger.target;
    return ledger;
  }

  /** The moment that an earlier attempt read at, while somebody holds it; else a new one. */
  async #openPoint(ledger: Ledger | undefined): Promise<LockedSnapshot> {
    const { signal, rules, stream } = this.#options;
    const wanted: LockOptions = {
      signal,
      select: async (session, tables) => {
        this.#scope = await readScope(session, rules);
        return tables.filter((table) => this.#scope?.scope.isMade(table) ?? true);
      },
    };
    if (stream !== undefined) {
      return await stream.begin(wanted, ledger?.state.tables.filter(isComplete));
    }
    const last = ledger?.state.epochs.at(-1);
    const held = last === undefined
      ? undefined
      : await takeOverEarlierSnapshot(this.#source, last, wanted);
    return held ?? await exportLockedSnapshot(this.#source, wanted);
  }

  /** Reads the schema under the snapshot, before anything is changed on the target. */
  async #dumpSchema({ snapshot }: LockedSnapshot): Promise<SchemaParts> {
    const { tool, signal } = this.#options;
    const dump = (section: "pre-data" | "post-data") =>
      dumpSchema({
        endpoint: this.#source,
        tool,
        section,
        snapshot: snapshot.identifier,
        signal,
        without: this.#scope?.consequences.relations,
      });
    this.#tellWhatIsLeftOut();
    // both at once, and none left running when the other one fails
    const [preData, postData] = await Promise.allSettled([dump("pre-data"), dump("post-data")]);
    if (preData.status === "rejected") throw preData.reason;
    if (postData.status === "rejected") throw postData.reason;
    return { preData: preData.value, postData: classifyPostData(postData.value) };
  }

  #tellWhatIsLeftOut(): void {
    this.#incomplete = (this.#scope?.consequences.relations.length ?? 0) > 0;
    const consequences = this.#scope?.consequences;
    if (consequences === undefined) return;
    // of functions, policies and rules the target tells when it refuses them, of keys that have orphans their validation
    const views = consequences.dependents.filter(({ dependent: { kind } }) =>
      kind === "view" || kind === "materialized view"
    );
    for (
      const message of describeConsequences({
        ...consequences,
        dependents: views,
        doubtfulKeys: [],
      })
    ) this.#events({ kind: "warning", object: `database ${this.#database}`, message });
  }

  async #makeDatabase(): Promise<void> {
    const { planned, maintenance, recorder } = this.#options;
    await recorder.step(async () => {
      this.targetTouched = planned.action !== "create";
      if (planned.action === "drop-and-create") {
        await maintenance.execute(`DROP DATABASE ${quoteIdentifier(planned.target)}`);
      }
      if (planned.action !== "fill-empty") {
        await using session = await this.#open(this.#source);
        const properties = await readDatabaseProperties(session);
        this.#warn(await createDatabase(maintenance, properties, { name: planned.target }));
      }
      this.targetTouched = true;
      await this.#comment(`incomplete copy, made by postgres-seren-replicator`);
    }, { step: "database", database: this.#database, summarise: () => describeAction(planned) });
  }

  /** Structure, rows, indexes and keys. */
  async #fill(
    { snapshot, tables }: LockedSnapshot,
    { preData, postData }: SchemaParts,
    progress: TableWork,
  ): Promise<DatabaseReport["tables"]> {
    const { recorder, jobs, indexJobs, copyFormat, splitBytes } = this.#options;
    const { source } = this.#options.planned;
    const database = this.#database;
    await recorder.step(() => this.#apply(preData), {
      step: "schema",
      database,
      summarise: () => plural(preData.length, "statement"),
    });
    const ended = new AbortController();
    const { ledger } = this.#ledgerWork();
    const signal = AbortSignal.any([this.#options.signal, ended.signal, ledger.lost]);
    const scope = this.#scope?.scope;
    const copied = tables.filter((table) => scope?.hasRows(table) ?? true);
    // what CREATE STATISTICS describes would not be looked at yet
    const later = new Set(tablesWithStatistics(postData.rest).map(tableKey));
    const indexes = new IndexBuilder({
      target: this.#target,
      groups: await this.#indexGroups(postData.perTable),
      analyze: copied.filter((table) => !later.has(tableKey(table))),
      sessionStatements: postData.settings,
      jobs: indexJobs,
      laterJobs: jobs,
      signal,
      events: this.#events,
      database,
      apply: (session, statements) => this.#applyIn(session, statements),
      isDone: (statement) => ledger.isDone(statement),
      onReopened: (session) => ledger.refresh(session),
      delaysMs: this.#options.retryPausesMs,
    });
    indexes.done.catch((error) => ended.abort(error)); // an index that fails ends the copying too
    const withRows = new Set(copied.map((table) => tableKey(table)));
    for (const { table } of postData.perTable) {
      if (!withRows.has(tableKey(table))) indexes.ready(table, 0);
    }
    const isKept = (table: Table) => progress.kept.has(tableKey(table));
    for (const table of copied.filter(isKept)) indexes.ready(table, table.bytes);
    const planning = {
      sourceMajor: this.#options.sourceMajor,
      encoding: source.encoding,
      format: copyFormat,
      splitBytes,
      jobs: jobs * (this.#options.lanes?.processes ?? 1),
      predicateOf: (table: Table) => scope?.predicateOf(table),
      keyBounds: await readPlanBounds(snapshot.session, { tables: copied, splitBytes }),
    };
    try {
      await using governor = new Governor({
        source: this.#source,
        maxBytesPerSecond: this.#options.maxBytesPerSecond,
        signal,
        events: this.#events,
      });
      const parts = await this.#ledgerWork().planParts(
        copied.filter((table) => !isKept(table)),
        { progress, planning },
      );
      const done = await recorder.step(() =>
        copyTables({
          source: this.#source,
          target: this.#target,
          snapshot,
          parts,
          delaysMs: this.#options.retryPausesMs,
          record: ledger.partRecord(progress.epoch),
          onPart: (part, outcome) => ledger.notePart(part, outcome),
          encoding: source.encoding,
          jobs,
          threads: this.#options.copyThreads,
          lanes: this.#options.lanes,
          signal,
          events: this.#events,
          pace: governor.pace,
          onCopied: ({ table }) => indexes.ready(table, table.bytes),
          onIdle: () => indexes.grow(1),
        }), { step: "data", database, summarise: (all) => plural(all.length, "table") });
      await this.#copyLargeObjects(snapshot, signal);
      await ledger.settle();
      await recorder.step(async () => {
        const built = await indexes.finish();
        this.#analyzed = indexes.analyzed;
        await this.#apply([...postData.settings, ...postData.attach]);
        return built;
      }, {
        step: "indexes",
        database,
        summarise: (built) => plural(built, "index or key", "indexes and keys"),
      });
      return [
        ...earlierTables([...progress.kept.values()]),
        ...done.map(({ table, rows, bytes, ms }) => {
          const before = progress.before(table);
          return {
            schema: table.schema,
            name: table.name,
            rows: rows + before.rows,
            bytes: bytes + before.bytes,
            ms,
          };
        }),
      ];
    } catch (error) {
      ended.abort(error);
      await indexes.finish().catch(() => {}); // ended by the very error that is thrown here
      throw error;
    }
  }

  async #indexGroups(
    perTable: SchemaParts["postData"]["perTable"],
  ): Promise<readonly IndexGroup[]> {
    await using session = await this.#open(this.#target);
    const partitioned = await partitionedTables(session);
    return perTable.map((group) => ({
      ...group,
      partitioned: partitioned.has(tableKey(group.table)),
    }));
  }

  async #copyLargeObjects(
    snapshot: LockedSnapshot["snapshot"],
    signal: AbortSignal,
  ): Promise<void> {
    const { recorder } = this.#options;
    // counted under the snapshot: the plan is older, and one that was made since belongs to the copy
    const { count } = await summariseLargeObjects(snapshot.session);
    const { ledger } = this.#ledgerWork();
    if (count === 0 || ledger.isDone(largeObjectsMark)) return;
    await recorder.step(() =>
      copyLargeObjects({
        source: this.#source,
        target: this.#target,
        snapshot,
        count,
        signal,
        events: this.#events,
        onRefused: (message, object) =>
          this.#events({ kind: "warning", side: "target", object, message }),
        mark: ledger.statementRecord.statement([largeObjectsMark]),
      }), {
      step: "large-objects",
      database: this.#database,
      summarise: (done) => plural(done, "large object"),
    });
  }

  /** Everything that must not see half of the rows, and what nothing depends on. */
  async #finish({ postData }: SchemaParts): Promise<void> {
    const { recorder } = this.#options;
    const database = this.#database;
    await recorder.step(() => this.#foreignKeys(postData), {
      step: "foreign-keys",
      database,
      summarise: (count) => plural(count, "foreign key"),
    });
    await recorder.step(() => this.#sequences(), {
      step: "sequences",
      database,
      summarise: (count) => plural(count, "sequence"),
    });
    await recorder.step(async () => {
      await this.#apply([...postData.settings, ...postData.rest, ...postData.eventTriggers]);
      await this.#properties();
    }, { step: "finish-schema", database });
    const { signal, jobs } = this.#options;
    await recorder.step(
      () =>
        analyzeTables({
          target: this.#target,
          jobs,
          signal,
          events: this.#events,
          database,
          done: this.#analyzed,
        }),
      {
        step: "analyze",
        database,
        summarise: (count) =>
          plural(count, "table") +
          (this.#analyzed.size === 0 ? "" : `, ${formatCount(this.#analyzed.size)} before`),
      },
    );
  }

  async #foreignKeys(
    { foreignKeys: statements, settings }: SchemaParts["postData"],
  ): Promise<number> {
    if (statements.length === 0) return 0;
    const { indexJobs, signal } = this.#options;
    await using session = await this.#open(this.#target);
    await this.#applyIn(session, settings);
    const { count, complete } = await addForeignKeys(statements, {
      target: this.#target,
      session,
      apply: (some) => this.#applyIn(session, some),
      partitioned: await partitionedTables(session),
      consequences: this.#scope?.consequences,
      jobs: indexJobs,
      signal,
      events: this.#events,
      database: this.#database,
    });
    this.#incomplete ||= !complete;
    return count;
  }

  /** Sequences are not under the snapshot: read last, they are never behind a row that was copied. */
  async #sequences(): Promise<number> {
    await using stack = new AsyncDisposableStack();
    const list = async (endpoint: Endpoint) => {
      const session = stack.use(await this.#open(endpoint));
      return { session, sequences: await listSequences(session) };
    };
    // far away each session and question takes a while; when both fail the first failure is told
    const [{ session: from, sequences }, { session: to, sequences: onTarget }] = await Promise.all([
      list(this.#source),
      list(this.#target),
    ]);
    const there = new Set(onTarget.map((sequence) => tableKey(sequence)));
    const values = await readSequenceValues(
      from,
      sequences.filter(({ schema, name, readable }) =>
        readable && there.has(tableKey({ schema, name }))
      ),
    );
    for (const { schema, name } of sequences.filter(({ readable }) => !readable)) {
      this.#events({
        kind: "warning",
        side: "source",
        object: `sequence ${displayName({ schema, name })}`,
        message: "its value may not be read and was not copied",
        remedy: "GRANT SELECT on it to the role of --source and run setval() on the target",
      });
    }
    const statements = setvalStatements(values);
    for (let from = 0; from < statements.length; from += 1_000) {
      await to.execute(statements.slice(from, from + 1_000).join(";\n"));
    }
    return values.length;
  }

  /** Owner, privileges, settings and the true comment of the database itself. */
  async #properties(): Promise<void> {
    await using from = await this.#open(this.#source);
    const properties = await readDatabaseProperties(from);
    await this.#comment(undefined);
    // of the database, in another one: any number of times
    this.#warn(
      await applyStatements(
        this.#options.maintenance,
        databasePropertyStatements(properties, { name: this.#target.database }),
        { incomplete: this.#incomplete },
      ),
    );
  }

  async #comment(text: string | undefined): Promise<void> {
    const { maintenance, planned } = this.#options;
    await maintenance.execute(
      `COMMENT ON DATABASE ${quoteIdentifier(planned.target)} IS ${
        text === undefined ? "NULL" : quoteLiteral(text)
      }`,
    );
  }

  async #apply(statements: readonly DumpStatement[]): Promise<void> {
    await using session = await this.#open(this.#target);
    await this.#applyIn(session, statements);
  }

  /** Statements that are done already are passed over, settings are not. */
  async #applyIn(session: Session, statements: readonly DumpStatement[]): Promise<void> {
    const { ledger } = this.#ledgerWork();
    this.#warn(
      await applyStatements(session, statements.filter((each) => !ledger.isDone(each)), {
        incomplete: this.#incomplete,
        record: ledger.statementRecord,
      }),
    );
  }

  #ledgerWork(): LedgerWork {
    if (this.#work === undefined) throw new Error("the ledger is not open");
    return this.#work;
  }

  #warn(adaptations: readonly Adaptation[]): void {
    for (const adaptation of adaptations) this.#events({ kind: "warning", ...adaptation });
  }

  #open(endpoint: Endpoint): Promise<Session> {
    const { signal } = this.#options;
    return retry(() => openSession(endpoint, { signal }), { signal });
  }
}

async function partitionedTables(session: Session): Promise<ReadonlySet<string>> {
  const rows = await session.query<{ readonly schema: string; readonly name: string }>(`
    SELECT n.nspname AS schema, c.relname AS name
      FROM pg_class AS c
      JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind = 'p'`);
  return new Set(rows.map((table) => tableKey(table)));
}

function describeAction({ action, target }: PlannedDatabase): string {
  return {
    "create": `created ${target}`,
    "fill-empty": `filling ${target}`,
    "drop-and-create": `recreated ${target}`,
    "resume": `going on with ${target}`,
    "refuse": "",
  }[
    action
  ];
}
