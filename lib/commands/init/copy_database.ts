/**
 * Copies one database: creates and fills it, builds indexes, and sets its properties.
 *
 * @module
 */
import {
  type EventSink,
  ExitCode,
  exitCodeOf,
  joinAll,
  plural,
  quoteIdentifier,
  retryEvent,
  tableKey,
  type WarningEvent,
} from "../../core/internal.ts";
import { type DatabaseContents, readContents } from "../../catalog/internal.ts";
import {
  type Endpoint,
  openSession,
  openSessionWithRetry,
  ServerError,
  type Session,
  type SnapshotHolder,
  SqlState,
  withDatabase,
} from "../../postgres/internal.ts";
import {
  classifyPostData,
  createDatabase,
  dumpSections,
  matchNewDatabase,
  readDatabaseProperties,
  type SetAsideObject,
} from "../../schema/internal.ts";
import {
  checkRowTypes,
  extentOf,
  restoresStatistics,
  SourceStatistics,
  type StatisticsSummary,
} from "../../copy/internal.ts";
import {
  changedMeanwhile,
  type Ledger,
  readKnownLedgerRun,
  refuseLiveRun,
  replaceRoutines,
} from "../../checkpoint/internal.ts";
import { describeConsequences } from "../../rules/internal.ts";
import type { PlannedDatabase } from "../shared/database_plan.ts";
import type { DatabaseReport } from "../shared/init_report.ts";
import type { ReadScope } from "../shared/table_scope.ts";
import { DumpApplier, reportAdaptations } from "./apply_dump.ts";
import type { CopyDatabaseOptions, SchemaParts } from "./copy_options.ts";
import { createSetAside, onlyObjects, reportSetAside, settingsOf } from "./create_set_aside.ts";
import { dropRedefinedViews } from "./redefined_views.ts";
import { openSnapshot, type ScopedSnapshot } from "./open_snapshot.ts";
import { fillDatabase, readTargetFacts, type TargetFacts } from "./fill_database.ts";
import { commentOnDatabase, copySettings } from "./database_properties.ts";
import { finishDatabase } from "./finish_database.ts";
import { allStatements, keptTables, LedgerWork } from "./ledger_work.ts";

/**
 * Copies one database under one snapshot.
 *
 * After a failure, the target database stays, with a comment that calls it incomplete.
 */
export async function copyDatabase(options: CopyDatabaseOptions): Promise<DatabaseReport> {
  const { planned, recorder, onGivenUp } = options;
  const start = performance.now();
  const run = new DatabaseCopy(options);
  try {
    const { tables, setAside, statistics } = await run.copy(() =>
      options.stream?.handOver() ?? Promise.resolve()
    );
    reportSetAside(setAside, { target: planned.target, events: recorder.events });
    if (setAside.length > 0 && options.stream !== undefined) {
      await run.warnLostIdentities(tables);
    }
    return {
      source: planned.source.name,
      target: planned.target,
      tables,
      ...(setAside.length === 0 ? {} : { setAside }),
      ...(statistics === undefined ? {} : { statistics }),
      ms: performance.now() - start,
    };
  } catch (error) {
    onGivenUp(await run.giveUp());
    throw error;
  }
}

/** The outcome of a copy. */
interface CopiedDatabase {
  readonly tables: DatabaseReport["tables"];
  /** Objects that the target refused, even after all others were created. */
  readonly setAside: readonly SetAsideObject[];
  /** Undefined if an earlier attempt has completed the copy. */
  readonly statistics: StatisticsSummary | undefined;
}

class DatabaseCopy {
  readonly #options: CopyDatabaseOptions;
  readonly #source: Endpoint;
  readonly #target: Endpoint;
  readonly #events: EventSink;
  /** Whether the database on the target was changed. */
  #targetTouched: boolean;
  /** Whether the target may have rows that a later run can keep. */
  #hasRows = false;

  constructor(options: CopyDatabaseOptions) {
    this.#options = options;
    this.#source = withDatabase(options.source, options.planned.source.name);
    this.#target = withDatabase(options.target, options.planned.target);
    this.#events = options.recorder.events;
    this.#targetTouched = options.planned.action === "resume";
  }

  get #database(): string {
    return this.#options.planned.source.name;
  }

  /** Warns about replicated tables whose keys were set aside. */
  async warnLostIdentities(tables: DatabaseReport["tables"]): Promise<void> {
    const { signal } = this.#options;
    const [source, target] = [this.#source, this.#target];
    const { warnLostIdentities } = await import("./warn_lost_identity.ts");
    await warnLostIdentities({ source, target, tables, events: this.#events, signal });
  }

  /**
   * After a failure: releases the stream.
   *
   * @returns warnings that hold unless the run itself tries again: the target may be incomplete
   */
  async giveUp(): Promise<readonly WarningEvent[]> {
    const { planned, stream, signal } = this.#options;
    const warnings = await stream?.giveUp(this.#hasRows) ?? [];
    if (!this.#targetTouched) return warnings;
    return [...warnings, {
      kind: "warning",
      side: "target",
      object: `database ${planned.target}`,
      message: "the copy of this database is incomplete",
      remedy: signal.aborted
        ? "run the same command again, which resumes the copy"
        : "remove the cause, then run the same command again, which resumes the copy; " +
          "if the source has changed in the meantime, that requires --allow-mixed-snapshots, " +
          "and if copied tables were altered, --no-resume",
    }];
  }

  /**
   * @param handOver called when everything is on the target, before the copy is recorded as
   * complete
   */
  async copy(handOver: () => Promise<void>): Promise<CopiedDatabase> {
    const { planned } = this.#options;
    let ledger = planned.action === "resume" ? await this.#openLedger() : undefined;
    try {
      if (ledger?.state.complete) {
        const tables = keptTables(ledger.state.tables, {
          recorder: this.#options.recorder,
          database: this.#database,
        });
        return { tables, setAside: await this.#createSetAside(ledger), statistics: undefined };
      }
      const locked = await this.#openSnapshot(ledger);
      await using snapshot = locked.snapshot;
      const { scope } = locked;
      const dumped = await this.#dumpSchema(locked);
      await this.#options.globalsCopied();
      if (ledger === undefined) {
        await this.#makeDatabase(snapshot.session);
        ledger = await this.#openLedger();
        this.#targetTouched = true;
        await commentOnDatabase(this.#options.maintenance, {
          name: planned.target,
          text: "incomplete copy, made by postgres-seren-replicator",
        });
      }
      const work = new LedgerWork(ledger, {
        events: this.#events,
        database: this.#database,
        allowMixedSnapshots: this.#options.allowMixedSnapshots,
        sync: this.#options.stream !== undefined,
      });
      const routines = await work.checkStructure([
        ...dumped.preData,
        ...allStatements(dumped.postData),
      ]);
      const parts: SchemaParts = {
        preData: replaceRoutines(dumped.preData, routines),
        postData: { ...dumped.postData, rest: replaceRoutines(dumped.postData.rest, routines) },
      };
      const progress = await work.decide({
        snapshot,
        tables: locked.tables.filter((table) => scope?.scope.hasRows(table) ?? true),
      });
      const { target } = ledger;
      const schema = this.#applier(ledger, scope);
      const common = { ...this.#options, ...parts, schema, source: this.#source, target };
      this.#hasRows = true;
      const facts = await this.#createTables(snapshot, common);
      await using carrier = this.#carrier(locked, target);
      const { tables, analyzed } = await fillDatabase({
        ...common,
        locked,
        facts,
        work,
        progress,
        scope: scope?.scope,
        carrier,
      });
      if (progress.asOfSnapshot) {
        await this.#options.whileSnapshotHeld({
          database: this.#database,
          target: this.#target.database,
          snapshot: snapshot.identifier,
        });
      }
      await finishDatabase({ ...common, consequences: scope?.consequences, analyzed, carrier });
      await ledger.settle();
      await handOver();
      const setAside = schema.setAside.objects();
      await ledger.complete(setAside);
      return { tables, setAside, statistics: this.#summary(carrier) };
    } finally {
      await ledger?.[Symbol.asyncDispose]();
    }
  }

  /** Executes what comes before the rows, in a database that matches the source's. */
  async #createTables(
    snapshot: SnapshotHolder,
    parts: SchemaParts & CopyDatabaseOptions & {
      readonly target: Endpoint;
      readonly schema: DumpApplier;
    },
  ): Promise<TargetFacts> {
    const { target, schema, preData, recorder } = parts;
    await using inside = await this.#open(target);
    await recorder.step(async () => {
      await joinAll([
        // before anything else is created there; a repetition changes nothing or is refused
        matchNewDatabase(snapshot.session, inside)
          .then((adaptations) => reportAdaptations(adaptations, this.#events)),
        readDatabaseProperties(snapshot.session)
          .then((properties) => copySettings(parts, properties)),
      ]);
      await schema.apply(preData);
      await schema.retry(settingsOf(preData));
      schema.setAside.refuseMissingTables();
    }, {
      step: "schema",
      database: this.#database,
      summarize: () => plural(preData.length, "statement"),
    });
    await checkRowTypes(snapshot.session, inside);
    return await readTargetFacts(inside, { ...parts, snapshot });
  }

  /** Restores the source's statistics as of the snapshot; undefined if every table is analyzed. */
  #carrier(
    { snapshot, tables, scope }: ScopedSnapshot,
    target: Endpoint,
  ): SourceStatistics | undefined {
    const { targetMajor, statistics, signal } = this.#options;
    if (statistics !== "source" || targetMajor < restoresStatistics) return undefined;
    return new SourceStatistics({
      source: this.#source,
      target,
      snapshot: snapshot.identifier,
      extent: extentOf(tables, scope?.scope),
      signal,
      events: this.#events,
    });
  }

  #summary(carrier: SourceStatistics | undefined): StatisticsSummary {
    if (carrier !== undefined) return carrier.summary;
    const from = this.#options.statistics === "none" ? "none" : "analyze";
    return { from, carried: 0, analyzed: [] };
  }

  /**
   * Creates what an earlier run could not create, as currently defined on the source. Rows and
   * replication are not touched.
   */
  async #createSetAside(ledger: Ledger): Promise<readonly SetAsideObject[]> {
    const { setAside } = ledger.state;
    if (setAside.length === 0) return [];
    const locked = await this.#openSnapshot(ledger);
    await using _snapshot = locked.snapshot;
    const parts = await this.#dumpSchema(locked);
    const schema = this.#applier(ledger, locked.scope);
    const { signal } = this.#options;
    const events = this.#events;
    const redefined = await dropRedefinedViews({
      parts,
      objects: setAside,
      ledger,
      events,
      signal,
    });
    await createSetAside({
      ...this.#options,
      ...onlyObjects(parts, setAside, redefined),
      source: this.#source,
      target: ledger.target,
      consequences: locked.scope?.consequences,
      schema,
      ledger,
    });
    const left = schema.setAside.objects();
    await ledger.complete(left);
    return left;
  }

  #applier(ledger: Ledger, scope: ReadScope | undefined): DumpApplier {
    const { signal } = this.#options;
    return new DumpApplier({
      target: ledger.target,
      sourceMajor: this.#options.sourceMajor,
      ledger,
      incomplete: (scope?.consequences.relations.length ?? 0) > 0,
      events: this.#events,
      signal,
    });
  }

  async #openLedger(): Promise<Ledger> {
    const { planned: { action }, ledgers } = this.#options;
    try {
      return await ledgers.open(this.#target, action === "resume" ? "unfinished" : "none");
    } catch (error) {
      // another run has the database: whether it is complete is for that run to say
      if (exitCodeOf(error) === ExitCode.prerequisite) this.#targetTouched = false;
      throw error;
    }
  }

  #openSnapshot(ledger: Ledger | undefined): Promise<ScopedSnapshot> {
    const { rules, stream, signal } = this.#options;
    return openSnapshot({ source: this.#source, rules, stream, ledger, signal });
  }

  /** Reads the schema under the snapshot, before anything is changed on the target. */
  async #dumpSchema({ snapshot, scope }: ScopedSnapshot): Promise<SchemaParts> {
    const { tool, recorder, signal } = this.#options;
    this.#reportExclusions(scope);
    return await recorder.step(async () => {
      const { preData, postData } = await dumpSections({
        endpoint: this.#source,
        encoding: this.#options.planned.source.encoding,
        tool,
        snapshot: snapshot.identifier,
        signal,
        without: scope?.consequences.relations,
        onRetry: (again) =>
          this.#events(retryEvent({ what: `reading the schema of ${this.#database}`, ...again })),
      });
      return { preData, postData: classifyPostData(postData) };
    }, { step: "dump", database: this.#database, summarize: () => tool.description });
  }

  #reportExclusions(scope: ReadScope | undefined): void {
    if (scope === undefined) return;
    const { consequences } = scope;
    // functions, policies and rules are reported when the target refuses them, foreign keys with
    // orphans when they are validated
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

  async #makeDatabase(source: Session): Promise<void> {
    const { planned, maintenance, recorder } = this.#options;
    await recorder.step(async () => {
      this.#targetTouched = planned.action !== "create";
      if (planned.action === "drop-and-create") {
        await refuseNewContents(this.#target, planned, this.#options.signal);
        await maintenance.execute(`DROP DATABASE ${quoteIdentifier(planned.target)}`);
      }
      if (planned.action !== "fill-empty") {
        const properties = await readDatabaseProperties(source);
        const adaptations = await createDatabase(maintenance, properties, { name: planned.target })
          .catch((error) => {
            throw isDuplicateDatabase(error)
              ? changedMeanwhile(planned.target, "it was created")
              : error;
          });
        reportAdaptations(adaptations, this.#events);
      }
    }, { step: "database", database: this.#database, summarize: () => describeAction(planned) });
  }

  #open(endpoint: Endpoint): Promise<Session> {
    const { signal } = this.#options;
    return openSessionWithRetry(endpoint, { signal, events: this.#events });
  }
}

/** Another session has created the database, or is about to. */
function isDuplicateDatabase(error: unknown): boolean {
  return error instanceof ServerError &&
    (error.sqlState === SqlState.duplicateDatabase || error.sqlState === SqlState.uniqueViolation);
}

/**
 * Makes sure that the database still has what the plan showed, and that no run is copying into it.
 *
 * @throws ReplicatorError (prerequisite)
 */
async function refuseNewContents(
  target: Endpoint,
  { contents, unfinished }: PlannedDatabase,
  signal: AbortSignal,
): Promise<void> {
  // an invalid database can be dropped but not opened
  if (contents === undefined) return;
  await using session = await openSession(target, { signal });
  await refuseLiveRun(session);
  const current = await readContents(session);
  const ledger = await readKnownLedgerRun(session); // the plan ignores the same ones
  if (sameObjects(current, contents) && ledger?.run === unfinished?.run) return;
  throw changedMeanwhile(
    target.database,
    `it has changed (it had ${contents.description}, and now has ${current.description})`,
  );
}

/**
 * Whether two readings list the same objects. Sizes vary, and with them which tables are the
 * largest; the run itself drops the tool's subscriptions.
 */
function sameObjects(one: DatabaseContents, other: DatabaseContents): boolean {
  const objects = ({ kinds, largestTables }: DatabaseContents) => {
    const counts = new Map(kinds.map(({ kind, count }) => [kind, count]));
    counts.delete("subscription");
    const allListed = counts.get("table") === largestTables.length;
    return JSON.stringify([
      [...counts].sort(),
      allListed ? largestTables.map((table) => tableKey(table)).sort() : [],
    ]);
  };
  return objects(one) === objects(other);
}

function describeAction({ action, target }: PlannedDatabase): string {
  return {
    "create": `created ${target}`,
    "fill-empty": `filling ${target}`,
    "drop-and-create": `recreated ${target}`,
    "resume": `resuming ${target}`,
    "refuse": "",
  }[
    action
  ];
}
