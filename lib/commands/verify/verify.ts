/**
 * `verify`: checks whether source and target are equal, and shows where they differ.
 *
 * @module
 */
import { listProviderSchemasOfTarget } from "../../catalog/internal.ts";
import {
  compareLsn,
  connectionDelaysMs,
  ExitCode,
  formatLsn,
  parseLsn,
  plural,
  type Problem,
  ReplicatorError,
  type Side,
  UsageError,
} from "../../core/internal.ts";
import { type Endpoint, openSession, type Session, withDatabase } from "../../postgres/internal.ts";
import {
  type ComparedRows,
  compareRows,
  compareStructures,
  findMissingStatistics,
  nameSetAside,
  nameUnfilled,
  type NotChecked,
  noteStaleViews,
  type StructureComparison,
  type VerifiedDatabase,
  type VerifiedSection,
  worst,
} from "../../verify/internal.ts";
import {
  type ApplierReading,
  describeApplyError,
  describeScope,
  readAppliers,
  readDatabaseRef,
  readSlots,
} from "../../replication/internal.ts";
import { consequencesOf, decideTables, noTableRules } from "../../rules/internal.ts";
import { observeSide } from "../../cutover/own_schema.ts";
import { readOutstanding } from "../../checkpoint/internal.ts";
import type { SetAsideObject } from "../../schema/internal.ts";
import { openServerPair, summarize } from "../shared/server_pair.ts";
import { prepareEndpoints } from "../shared/prepare_endpoints.ts";
import {
  type PlannedDatabase,
  planReadOnly,
  refuseSameDatabases,
} from "../shared/database_plan.ts";
import { Recorder } from "../shared/recorder.ts";
import type { VerifyReport } from "../shared/verify_report.ts";
import type { RunContext, VerifyOptions } from "../shared/run.ts";
import { type DatabaseScope, resolveScopes } from "../shared/table_scope.ts";

/**
 * Compares databases: rows by digests that both servers compute, everything else by the catalogs.
 *
 * Read-only unless {@linkcode VerifyOptions.repair} requests changes. If something cannot be
 * compared, the report says so and the verdict is not `equal`.
 *
 * Requires `--allow-net` for both hosts.
 *
 * @throws ReplicatorError when no comparison is possible, for example because of invalid rules or
 * an unreachable server
 */
export async function executeVerify(given: VerifyOptions, run: RunContext): Promise<VerifyReport> {
  const options = prepareEndpoints(given, run.events);
  const start = performance.now();
  const startedAt = options.now();
  const recorder = new Recorder(run.events);
  const context = { events: recorder.events, signal: run.signal };
  await using sides = await openServerPair(
    { ...options, retryDelaysMs: connectionDelaysMs },
    context,
  );
  const planning = await planReadOnly(sides, { selected: options, signal: run.signal });
  throwIfAny(planning.problems);
  refuseSameDatabases(planning);
  const scopes = await resolveScopes({
    source: sides.source,
    databases: planning.databases.map(({ source }) => source.name),
    rules: options.rules,
    signal: run.signal,
  });
  const databases: VerifiedDatabase[] = [];
  const repairs: ComparedRows["repaired"][] = [];
  const notChecked: NotChecked[] = planning.skipped.map(({ name, reason }) => ({
    database: name,
    what: "the whole database",
    reason,
    failed: false,
  }));
  for (const [index, planned] of planning.databases.entries()) {
    const outcome = await verifyDatabase({
      options,
      planned,
      scope: scopes[index]!,
      recorder,
      signal: run.signal,
    });
    databases.push(outcome.database);
    repairs.push(outcome.repaired);
    for (const each of outcome.notChecked) {
      notChecked.push({ database: planned.source.name, ...each });
    }
  }
  const tables = databases.flatMap((database) => database.tables);
  return {
    source: await summarize(sides.source),
    target: await summarize(sides.target),
    verdict: worst([
      ...tables.map(({ verdict }) => verdict),
      ...databases.flatMap(({ sections }) => sections.map(({ verdict }) => verdict)),
      ...notChecked.map(({ failed }) => failed ? "unchecked" as const : "equal" as const),
    ]),
    startedAt: startedAt.toISOString(),
    finishedAt: options.now().toISOString(),
    databases,
    notChecked,
    warnings: recorder.warnings,
    steps: recorder.steps,
    ...(options.repair === "no" ? {} : {
      repair: {
        applied: options.repair === "follow",
        rows: repairs.reduce((sum, { rows }) => sum + rows, 0),
        statements: repairs.flatMap(({ statements }) => statements),
      },
    }),
    rows: tables.reduce((sum, { sourceRows = 0 }) => sum + sourceRows, 0),
    bytes: tables.reduce((sum, { bytes }) => sum + bytes, 0),
    ms: performance.now() - start,
  };
}

function throwIfAny(problems: readonly Problem[]): void {
  if (problems.length > 0) throw new UsageError(problems);
}

interface DatabaseWork {
  readonly options: VerifyOptions;
  readonly planned: PlannedDatabase;
  readonly scope: DatabaseScope;
  readonly recorder: Recorder;
  readonly signal: AbortSignal;
}

interface DatabaseOutcome {
  readonly database: VerifiedDatabase;
  readonly notChecked: readonly Omit<NotChecked, "database">[];
  readonly repaired: ComparedRows["repaired"];
}

async function verifyDatabase(work: DatabaseWork): Promise<DatabaseOutcome> {
  const { options, planned, recorder, signal } = work;
  const start = performance.now();
  if (planned.existing === undefined) return missingDatabase(planned);
  const source = withDatabase(options.source, planned.source.name);
  const target = withDatabase(options.target, planned.target);
  await checkReachable(target, signal);
  if (options.repair === "follow") await refuseWaitingChanges({ source, target }, signal);
  const scope = await withStoredWindows(work, { source, target });
  const structure = await recorder.step(
    () => compareDatabaseStructure({ source, target }, { ...work, scope }),
    {
      step: "structure",
      database: planned.source.name,
      summarize: ({ sections }) =>
        plural(sections.reduce((sum, { compared }) => sum + compared, 0), "object"),
    },
  );
  const rows = await recorder.step(
    () =>
      compareRows({
        source,
        target,
        scope: scope.scope,
        consequences: scope.consequences,
        jobs: options.jobs,
        maxDiffs: options.maxDiffs,
        showValues: options.showValues,
        repair: options.repair,
        journal: options.repair === "no" ? options.journal : undefined,
        signal,
        events: recorder.events,
      }),
    {
      step: "compare-rows",
      database: planned.source.name,
      summarize: ({ tables }) => plural(tables.length, "table"),
    },
  );
  const noted = noteStaleViews(nameUnfilled(rows.tables, structure.setAside));
  return {
    database: {
      source: planned.source.name,
      target: planned.target,
      live: rows.live,
      ...asOf(rows),
      tables: noted.tables,
      sections: [...structure.sections, ...structure.statistics, ...rows.sections],
      ms: performance.now() - start,
    },
    notChecked: [
      ...rows.notChecked,
      ...noted.notChecked,
      ...structure.notChecked,
    ],
    repaired: rows.repaired,
  };
}

async function compareDatabaseStructure(
  endpoints: { readonly source: Endpoint; readonly target: Endpoint },
  { scope, signal }: DatabaseWork,
): Promise<
  StructureComparison & {
    readonly setAside: readonly SetAsideObject[];
    /** A note about missing statistics, if there are any. */
    readonly statistics: readonly VerifiedSection[];
  }
> {
  await using source = await openSession(endpoints.source, { signal });
  await using target = await openSession(endpoints.target, { signal });
  const compared = await compareStructures({ source, target }, {
    consequences: scope.consequences,
    awaitsCutover: await hasOwnSubscription(source, target),
    closedSides: await findClosedSides([source, target]),
    reservedSchemas: await listProviderSchemasOfTarget({ source, target }),
  });
  const setAside = await readOutstanding(target);
  const statistics = await findMissingStatistics({ source, target });
  return {
    ...compared,
    sections: nameSetAside(compared.sections, setAside),
    statistics: statistics === undefined ? [] : [statistics],
    setAside,
  };
}

/** The sides that a cutover has closed, as far as their records can be read and are trusted. */
async function findClosedSides(sessions: readonly Session[]): Promise<readonly Side[]> {
  const closed: Side[] = [];
  for (const session of sessions) {
    if ((await observeSide(session)).record?.isOpen === false) closed.push(session.side);
  }
  return closed;
}

/** Whether an enabled subscription owned by the tool reads a slot of the source's database. */
async function hasOwnSubscription(source: Session, target: Session): Promise<boolean> {
  return (await readOwnStreams(source, target)).some(({ enabled }) => enabled);
}

/** The tool's appliers that read a slot of the source's database. */
async function readOwnStreams(
  source: Session,
  target: Session,
): Promise<readonly ApplierReading[]> {
  const own = (await readAppliers(target)).filter(({ scopeComment }) => scopeComment !== undefined);
  const { name: database } = await source.queryOne<{ name: string }>(
    "SELECT pg_catalog.current_database() AS name",
  );
  const slots = await readSlots(source, own.flatMap(({ slotName }) => slotName ?? []));
  const names = new Set(slots.filter((slot) => slot.database === database).map(({ name }) => name));
  return own.filter(({ slotName }) => slotName !== undefined && names.has(slotName));
}

/**
 * @throws ReplicatorError (prerequisite) if a stream is stopped: a repair brings rows as they are
 * now, and the changes that wait in its slot would fail at them
 */
async function refuseWaitingChanges(
  endpoints: { readonly source: Endpoint; readonly target: Endpoint },
  signal: AbortSignal,
): Promise<void> {
  await using source = await openSession(endpoints.source, { signal });
  await using target = await openSession(endpoints.target, { signal });
  const stopped = (await readOwnStreams(source, target)).filter(({ enabled }) => !enabled);
  if (stopped.length === 0) return;
  throw new ReplicatorError(
    `${
      plural(stopped.length, "stream is", "streams are")
    } stopped, and the changes that wait would fail at rows that a repair brings; nothing was changed`,
    {
      side: "target",
      object: `database ${target.endpoint.database}`,
      details: stopped.map(({ name, error }) =>
        error === undefined ? name : `${name}: ${describeApplyError(error)}`
      ),
      remedy:
        "run sync first, with --retry or --skip-lsn if a change has stopped it; or remove replication with cleanup",
      exitCode: ExitCode.prerequisite,
    },
  );
}

/** The lowest of the tables' WAL positions. */
function asOf({ live, tables }: ComparedRows): Pick<VerifiedDatabase, "asOf"> {
  const positions = tables.flatMap((table) => table.asOf === undefined ? [] : parseLsn(table.asOf));
  if (!live || positions.length === 0) return {};
  return { asOf: formatLsn(positions.toSorted(compareLsn)[0]!) };
}

/**
 * Time windows reach back from the time of the copy, which the tool's subscription records. Without
 * one they reach back from the present: rows that have aged out since are compared on neither side,
 * which the report mentions.
 */
async function withStoredWindows(
  { options: { rules = noTableRules }, scope, signal }: DatabaseWork,
  endpoints: { readonly source: Endpoint; readonly target: Endpoint },
): Promise<DatabaseScope> {
  const hasWindows = scope.scope.tables.some(({ decision }) =>
    decision.outcome === "filtered" && decision.windowColumns.length > 0
  );
  if (!hasWindows) return scope;
  await using source = await openSession(endpoints.source, { signal });
  await using target = await openSession(endpoints.target, { signal });
  const databases = {
    source: await readDatabaseRef(source),
    target: await readDatabaseRef(target),
  };
  const { hash } = await describeScope({ ...databases, rules }, {
    epoch: 1,
    createdAt: "",
    changedIdentities: [],
  });
  const stored = (await readAppliers(target))
    .flatMap(({ scopeComment }) => scopeComment?.hash === hash ? scopeComment.rulesNow : []);
  const [now] = stored;
  if (now === undefined) return scope;
  const decided = decideTables({ ...rules, now }, scope.source);
  return { ...scope, scope: decided, consequences: consequencesOf(decided, scope.source) };
}

/** Fails early, and on behalf of the target, if its database cannot be opened. */
async function checkReachable(target: Endpoint, signal: AbortSignal): Promise<void> {
  await using _session = await openSession(target, { signal });
}

function missingDatabase({ source, target }: PlannedDatabase): DatabaseOutcome {
  return {
    database: {
      source: source.name,
      target,
      live: false,
      tables: [],
      sections: [{
        section: "database",
        verdict: "different",
        compared: 1,
        differences: [{
          object: `database ${target}`,
          message: "is missing on the target",
          remedy: "copy it with init",
        }],
        notes: [],
      }],
      ms: 0,
    },
    notChecked: [],
    repaired: { rows: 0, statements: [] },
  };
}
