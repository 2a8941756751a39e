/**
 * Which databases are copied, their names on the target, and what happens to existing databases.
 *
 * @module
 */
import {
  type Database,
  type DatabaseChoice,
  type DatabaseContents,
  listDatabases,
  maintenanceDatabase,
  readClusterFacts,
  readContents,
  sameDatabase,
  selectDatabases,
  type ServerRelation,
} from "../../catalog/internal.ts";
import {
  findLiveRun,
  type LedgerHead,
  type LedgerSource,
  readKnownLedgerRun,
  readLedgerRun,
} from "../../checkpoint/internal.ts";
import { ExitCode, type Problem, ReplicatorError } from "../../core/internal.ts";
import {
  ConnectionError,
  type Endpoint,
  openSession,
  ServerError,
  type Session,
  SqlState,
  withDatabase,
} from "../../postgres/internal.ts";
import type { DatabaseSelection } from "./run.ts";

/** One database of the source and its place on the target. */
export interface PlannedDatabase {
  readonly source: Database;
  /** Its name on the target. */
  readonly target: string;
  /** The database of that name on the target. */
  readonly existing: Database | undefined;
  /** Its contents; undefined if it does not exist or cannot be opened. */
  readonly contents: DatabaseContents | undefined;
  readonly action: DatabaseAction;
  /** The unfinished copy of an earlier run. */
  readonly unfinished: LedgerHead | undefined;
  /** Why the action is `refuse`; undefined if {@linkcode overwritten} says so. */
  readonly refusal: Refusal | undefined;
  /** What dropping it destroys, in words; only for `drop-and-create`. */
  readonly willBeLost: string | undefined;
}

/** Why a database is refused. */
export interface Refusal {
  readonly finding: string;
  readonly fix: string;
}

/** What happens to the database on the target. */
export type DatabaseAction = "create" | "fill-empty" | "drop-and-create" | "resume" | "refuse";

/**
 * The outcome of planning. Nothing may be written if there are problems or an action is `refuse`.
 */
export interface DatabasePlanning {
  readonly databases: readonly PlannedDatabase[];
  readonly skipped: DatabaseChoice["skipped"];
  /** Problems of the selection. */
  readonly problems: readonly Problem[];
  /** Whether the two servers are the same. */
  readonly relation: ServerRelation;
  /** All databases of the target. */
  readonly onTarget: readonly Database[];
}

/** What planning starts from. */
export interface PlanningInput {
  readonly source: Session;
  readonly target: Session;
  readonly selection: DatabaseSelection;
  readonly dropExisting: boolean;
  /** Whether an unfinished copy is resumed; false drops it and starts over. */
  readonly resume: boolean;
  /** The database that the target's URL names, if any. The session may be in another one. */
  readonly targetUrlDatabase: string | undefined;
  /**
   * Called with the names of the selected databases on the target before they are inspected.
   */
  readonly claim: (targets: readonly string[]) => Promise<void>;
  /** How long to wait for a run that is copying into a selected database, before refusing it. */
  readonly runGraceMs: number;
  /** Whether to read the sizes of the source's databases. */
  readonly withSizes: boolean;
  readonly signal: AbortSignal;
}

/** The servers, and which databases a command works with. */
export interface PlannedSelection {
  readonly target: Endpoint;
  readonly databases: DatabaseSelection;
}

/**
 * {@linkcode planDatabases} for a command that changes no database: nothing to claim, and
 * unfinished copies are left alone.
 */
export function planReadOnly(
  { source, target }: Pick<PlanningInput, "source" | "target">,
  { selected, signal }: { readonly selected: PlannedSelection; readonly signal: AbortSignal },
): Promise<DatabasePlanning> {
  return planDatabases({
    source,
    target,
    selection: selected.databases,
    dropExisting: false,
    resume: true,
    targetUrlDatabase: urlDatabase(selected.target),
    claim: () => Promise.resolve(),
    runGraceMs: 0,
    withSizes: false,
    signal,
  });
}

/** The database that an endpoint's URL names, if any. */
export function urlDatabase({ database, databaseGiven }: Endpoint): string | undefined {
  return databaseGiven ? database : undefined;
}

/**
 * Reads both servers and plans. The contents of each target database are read in that database.
 */
export async function planDatabases(input: PlanningInput): Promise<DatabasePlanning> {
  const { source, target, selection, runGraceMs, signal } = input;
  const onSource = await listDatabases(source, { withSizes: input.withSizes });
  const select = (maintenanceIsEmpty: boolean) =>
    selectDatabases(onSource, {
      selectors: { ...selection, targetUrlDatabase: input.targetUrlDatabase },
      maintenanceIsEmpty,
    });
  const [relation, choice] = await Promise.all([
    sameDatabase(source, target),
    selectIfFilled(select, () => isMaintenanceEmpty(source, onSource, signal)),
  ]);
  await input.claim(choice.selected.map((selected) => selected.target));
  // only after the claim: another run may have created or dropped some until then
  const onTarget = await listDatabases(target, { withSizes: false });
  const { systemIdentifier } = await readClusterFacts(source);
  const sources = new Set(choice.selected.map((selected) => selected.source.name));
  const databases: PlannedDatabase[] = [];
  for (const selected of choice.selected) {
    const existing = onTarget.find(({ name }) => name === selected.target);
    const inside = existing === undefined || !canOpen(existing)
      ? undefined
      : await inspectSide(existing.name, target, {
        signal,
        unknownLedgers: !input.resume,
        runGraceMs,
      });
    const { contents, ledger: unfinished, liveRun } = inside ?? {};
    databases.push({
      ...selected,
      existing,
      contents,
      unfinished,
      ...decideAction({
        liveRun,
        unfinished,
        isOfSource: unfinished !== undefined &&
          isOfSource(unfinished.source, selected.source, systemIdentifier),
        resume: input.resume,
        source: selected.source,
        target: selected.target,
        existing,
        contents,
        dropExisting: input.dropExisting,
        alone: choice.selected.length === 1,
        overwritesSource: relation !== "different" && sources.has(selected.target),
      }),
    });
  }
  return {
    databases,
    skipped: choice.skipped,
    problems: choice.problems,
    relation,
    onTarget,
  };
}

/** Databases that are both copied from and copied to: source and target are the same server. */
export function overwritten(
  { relation, databases }: Pick<DatabasePlanning, "relation" | "databases">,
): readonly string[] {
  if (relation === "different") return [];
  const sources = new Set(databases.map(({ source }) => source.name));
  return databases.filter(({ target }) => sources.has(target)).map(({ target }) => target);
}

/**
 * For commands that compare or connect the two sides.
 *
 * @throws ReplicatorError (prerequisite) if a database would be both
 */
export function refuseSameDatabases(planning: DatabasePlanning): void {
  const names = overwritten(planning);
  if (names.length === 0) return;
  throw new ReplicatorError(
    `source and target are the same ${names.length === 1 ? "database" : "databases"}: ${
      names.join(", ")
    }`,
    {
      remedy: "check --source and --target, or map the database to another name with --map",
      exitCode: ExitCode.prerequisite,
    },
  );
}

/** What the decision about one database depends on. */
export interface ActionFacts {
  readonly source: Database;
  readonly target: string;
  readonly existing: Database | undefined;
  readonly contents: DatabaseContents | undefined;
  /** The error that names the run that is copying into it, if any. */
  readonly liveRun: ReplicatorError | undefined;
  /** The unfinished copy of an earlier run. */
  readonly unfinished: LedgerHead | undefined;
  /** Whether that is a copy of this database. */
  readonly isOfSource: boolean;
  readonly resume: boolean;
  readonly dropExisting: boolean;
  /** Whether the run has no other database. */
  readonly alone: boolean;
  /** Whether the target database is one of those that are copied. */
  readonly overwritesSource: boolean;
}

/** Decides what happens to one database. */
export function decideAction(
  facts: ActionFacts,
): Pick<PlannedDatabase, "action" | "refusal" | "willBeLost"> {
  const { source, target, existing, contents, dropExisting, overwritesSource, liveRun } = facts;
  const otherName = `choose another name: --map ${source.name}=NEW_NAME`;
  const refuse = (finding: string, fix = otherName) =>
    ({ action: "refuse", refusal: { finding, fix }, willBeLost: undefined }) as const;
  const notEmpty =
    "if an earlier init copied it, it is complete: continue with status, sync and verify; otherwise choose another name " +
    `with --map ${source.name}=NEW_NAME, or drop its contents with --drop-existing`;
  if (overwritesSource) return { action: "refuse", refusal: undefined, willBeLost: undefined };
  if (liveRun !== undefined) return refuse(liveRun.message, liveRun.remedy);
  if (existing === undefined) {
    return { action: "create", refusal: undefined, willBeLost: undefined };
  }
  if (existing.isTemplate) return refuse(`"${target}" is a template database`);
  const drop = (willBeLost: string) =>
    ({ action: "drop-and-create", refusal: undefined, willBeLost }) as const;
  if (facts.unfinished !== undefined) {
    const { startedAt, source: { database }, setAside, complete } = facts.unfinished;
    const copy = setAside.length > 0
      ? `the copy of ${database} that was started at ${startedAt}, complete except for objects that were set aside`
      : `the ${
        complete ? "complete" : "unfinished"
      } copy of ${database} that was started at ${startedAt}`;
    // a complete copy may be in use already, while others of its run failed: it is kept, and those
    // are started over
    const kept = complete && !dropExisting && !(facts.alone && setAside.length > 0);
    if (facts.isOfSource && (kept || facts.resume)) {
      return { action: "resume", refusal: undefined, willBeLost: undefined };
    }
    if (setAside.length > 0 && !dropExisting) {
      return refuse(`database "${target}" contains ${copy}`, notEmpty);
    }
    if (facts.isOfSource || dropExisting) {
      return drop(`${copy} and nothing else: the database was empty before`);
    }
    return refuse(`database "${target}" contains ${copy}, from another server`, notEmpty);
  }
  if (contents === undefined) {
    if (existing.isInvalid && dropExisting) {
      return drop("an invalid database, left by a DROP DATABASE that was interrupted");
    }
    return refuse(`the contents of "${target}" cannot be read: ${whyClosed(existing)}`);
  }
  if (!contents.empty) {
    return dropExisting ? drop(contents.description) : refuse(
      `database "${target}" is not empty: it has ${contents.description}`,
      notEmpty,
    );
  }
  const differences = differingProperties(source, existing);
  if (differences.length > 0 && dropExisting) {
    return drop(`an empty database with another ${differences.join(", ")}`);
  }
  return { action: "fill-empty", refusal: undefined, willBeLost: undefined };
}

/** The differing properties, in words, that can be set only by CREATE DATABASE. */
export function differingProperties(source: Database, existing: Database): readonly string[] {
  const property = (name: string, differs: boolean) => differs ? [name] : [];
  return [
    ...property("encoding", source.encoding !== existing.encoding),
    ...property("locale provider", source.localeProvider !== existing.localeProvider),
    ...property("collation", source.collate !== existing.collate),
    ...property("character type", source.ctype !== existing.ctype),
    ...property(
      "locale",
      source.localeProvider === existing.localeProvider && source.locale !== existing.locale,
    ),
  ];
}

/**
 * Whether a ledger belongs to this database: names and addresses can change, identifiers cannot.
 */
function isOfSource(
  ledger: LedgerSource,
  source: Database,
  systemIdentifier: string | undefined,
): boolean {
  const sameServer = ledger.systemIdentifier === undefined || systemIdentifier === undefined ||
    ledger.systemIdentifier === systemIdentifier;
  return sameServer && ledger.database === source.name && ledger.databaseOid === source.oid;
}

function canOpen({ allowConnections, canConnect, isInvalid }: Database): boolean {
  return allowConnections && canConnect && !isInvalid;
}

function whyClosed({ isInvalid, allowConnections, canConnect }: Database): string {
  if (isInvalid) return "a DROP DATABASE was interrupted";
  if (!allowConnections) return "it does not allow connections";
  return canConnect ? "the server refuses the connection" : "the role has no CONNECT privilege";
}

/** The maintenance database is read only if its contents decide whether it is copied. */
async function selectIfFilled(
  select: (maintenanceIsEmpty: boolean) => DatabaseChoice,
  isEmpty: () => Promise<boolean>,
): Promise<DatabaseChoice> {
  const choice = select(true);
  const isSkipped = choice.skipped.some(({ name }) => name === maintenanceDatabase);
  return isSkipped && !await isEmpty() ? select(false) : choice;
}

async function isMaintenanceEmpty(
  source: Session,
  databases: readonly Database[],
  signal: AbortSignal,
): Promise<boolean> {
  const maintenance = databases.find(({ name }) => name === maintenanceDatabase);
  if (maintenance === undefined || !canOpen(maintenance)) return true;
  // one that cannot be inspected counts as non-empty, so that its own check reports it
  const inside = await inspectSide(maintenanceDatabase, source, {
    signal,
    unknownLedgers: true,
    runGraceMs: 0,
  });
  return inside?.contents?.empty ?? false;
}

/** The current contents of a database of the target; undefined if it does not exist. */
export async function inspectDatabase(
  target: Endpoint,
  signal: AbortSignal,
): Promise<
  | {
    readonly ledger: LedgerHead | undefined;
    readonly contents: DatabaseContents;
  }
  | undefined
> {
  try {
    await using session = await openSession(target, { signal });
    return { contents: await readContents(session), ledger: await readLedgerRun(session) };
  } catch (error) {
    if (error instanceof ConnectionError && error.sqlState === SqlState.invalidCatalogName) {
      return undefined;
    }
    throw error;
  }
}

interface Inside {
  /** Undefined while a run is copying. */
  readonly contents: DatabaseContents | undefined;
  readonly ledger: LedgerHead | undefined;
  /** The error that names the run that is copying into the database. */
  readonly liveRun: ReplicatorError | undefined;
}

/** The contents of a database of the session's server; undefined if the server refuses access. */
async function inspectSide(
  database: string,
  session: Session,
  { signal, unknownLedgers, runGraceMs }: {
    readonly signal: AbortSignal;
    /** Whether ledgers of another version of the tool are ignored. */
    readonly unknownLedgers: boolean;
    /** How long to wait for a run that is copying. */
    readonly runGraceMs: number;
  },
): Promise<Inside | undefined> {
  const read = async (from: Session): Promise<Inside> => {
    // before anything that would wait for the locks of that run
    const liveRun = await findLiveRun(from, { graceMs: runGraceMs, signal });
    if (liveRun !== undefined) return { contents: undefined, ledger: undefined, liveRun };
    return {
      contents: await readUnlocked(from, () => readContents(from)),
      ledger: await readUnlocked(
        from,
        () => unknownLedgers ? readKnownLedgerRun(from) : readLedgerRun(from),
      ),
      liveRun,
    };
  };
  if (session.endpoint.database === database) return await read(session);
  const opened = await openSession(withDatabase(session.endpoint, database), { signal })
    .catch((error) => {
      if (error instanceof ConnectionError && (!error.transient || isUnknownToPooler(error))) {
        return undefined;
      }
      throw error;
    });
  if (opened === undefined) return undefined;
  await using other = opened;
  return await read(other);
}

/** Whether PgBouncer refuses a login because its configuration does not have the database. */
function isUnknownToPooler({ sqlState }: ConnectionError): boolean {
  return sqlState === SqlState.protocolViolation;
}

/** How long a check waits for a lock of another session. */
const checkLockSeconds = 10;

/**
 * Reads what waits for locks of other sessions, but not for long: a check must not wait for a
 * transaction of hours.
 */
async function readUnlocked<Result>(
  session: Session,
  read: () => Promise<Result>,
): Promise<Result> {
  await session.execute(`SET lock_timeout = '${checkLockSeconds}s'`);
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof ServerError) || error.sqlState !== SqlState.lockNotAvailable) {
      throw error;
    }
    throw (await findLiveRun(session)) ??
      new ReplicatorError(
        `another session has held a lock on one of its tables for ${checkLockSeconds} s, so its contents cannot be read`,
        {
          side: session.endpoint.side,
          object: `database ${session.endpoint.database}`,
          remedy: "let that session finish, or end it; then run the same command again",
          exitCode: ExitCode.prerequisite,
          cause: error,
        },
      );
  } finally {
    await session.execute("SET lock_timeout = 0");
  }
}
