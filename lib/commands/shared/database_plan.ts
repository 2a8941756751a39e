/**
 * Which databases are copied, what they are called on the target, and what happens to what is
 * there.
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
  type LedgerHead,
  type LedgerSource,
  readKnownLedgerRun,
  readLedgerRun,
} from "../../checkpoint/internal.ts";
import type { Problem } from "../../core/internal.ts";
import {
  ConnectionError,
  type Endpoint,
  openSession,
  type Session,
  SqlState,
  withDatabase,
} from "../../postgres/internal.ts";
import type { DatabaseSelection, ResumeMode } from "./run.ts";

/** One database of the source and its place on the target. */
export interface PlannedDatabase {
  readonly source: Database;
  /** Its name on the target. */
  readonly target: string;
  /** What the target has under that name. */
  readonly existing: Database | undefined;
  /** What is in there; undefined when there is none or it cannot be opened. */
  readonly contents: DatabaseContents | undefined;
  readonly action: DatabaseAction;
  /** The copy that an earlier run has begun there and not finished. */
  readonly unfinished?: LedgerHead | undefined;
  /** Why the action is `refuse`. */
  readonly refusal: string | undefined;
  /** What dropping it destroys, in words; there for `drop-and-create` only. */
  readonly willBeLost: string | undefined;
}

/** What happens to the database on the target. */
export type DatabaseAction = "create" | "fill-empty" | "drop-and-create" | "resume" | "refuse";

/**
 * The outcome of planning. Nothing may be written while there are problems or an action is
 * `refuse`.
 */
export interface DatabasePlanning {
  readonly databases: readonly PlannedDatabase[];
  readonly skipped: DatabaseChoice["skipped"];
  /** What is wrong with the selection. */
  readonly problems: readonly Problem[];
  /** How the two servers relate. */
  readonly relation: ServerRelation;
  /** All databases of the target. */
  readonly onTarget: readonly Database[];
}

/** Plans for a command that changes no database: nothing to claim, and copies are left alone. */
export const readOnlyPlanning = {
  dropExisting: false,
  resume: "yes",
  claim: () => Promise.resolve(),
} as const satisfies Partial<PlanningInput>;

/** What planning starts from. */
export interface PlanningInput {
  readonly source: Session;
  readonly target: Session;
  readonly selection: DatabaseSelection;
  readonly dropExisting: boolean;
  readonly resume: ResumeMode;
  /** The database that the target's URL names, if it does. The session may be on another one. */
  readonly targetUrlDatabase: string | undefined;
  /**
   * Called with the selected databases' names on the target before anything in them is looked at.
   */
  readonly claim: (targets: readonly string[]) => Promise<void>;
  readonly signal: AbortSignal;
}

/**
 * Reads both servers and plans. What each target database holds is looked up in that very database.
 */
export async function planDatabases(input: PlanningInput): Promise<DatabasePlanning> {
  const { source, target, selection, signal } = input;
  const onSource = await listDatabases(source);
  const [relation, maintenanceIsEmpty] = await Promise.all([
    sameDatabase(source, target),
    isMaintenanceEmpty(source, onSource, signal),
  ]);
  const choice = selectDatabases(onSource, {
    selectors: { ...selection, targetUrlDatabase: input.targetUrlDatabase },
    maintenanceIsEmpty,
  });
  await input.claim(choice.selected.map((selected) => selected.target));
  // only now: the run that had them may have made or dropped some
  const onTarget = await listDatabases(target);
  const { systemIdentifier } = await readClusterFacts(source);
  const sources = new Set(choice.selected.map((selected) => selected.source.name));
  const databases: PlannedDatabase[] = [];
  for (const selected of choice.selected) {
    const existing = onTarget.find(({ name }) => name === selected.target);
    const inside = existing === undefined || !canOpen(existing)
      ? undefined
      : await inspectSide(existing.name, target, { signal, unknownLedgers: input.resume === "no" });
    const { contents, ledger: unfinished } = inside ?? {};
    databases.push({
      ...selected,
      existing,
      contents,
      unfinished,
      ...decideAction({
        unfinished,
        isOfSource: unfinished !== undefined &&
          isOfSource(unfinished.source, selected.source, systemIdentifier),
        resume: input.resume === "yes",
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

/** What the decision about one database depends on. */
export interface ActionFacts {
  readonly source: Database;
  readonly target: string;
  readonly existing: Database | undefined;
  readonly contents: DatabaseContents | undefined;
  /** The copy that an earlier run has begun there and not finished. */
  readonly unfinished?: LedgerHead | undefined;
  /** Whether that is a copy of this very database. */
  readonly isOfSource?: boolean;
  readonly resume?: boolean | undefined;
  readonly dropExisting: boolean;
  /** Whether the run has no other database. */
  readonly alone?: boolean;
  /** Whether the target database is one of those that are to be read. */
  readonly overwritesSource: boolean;
}

/** Decides what happens to one database. */
export function decideAction(
  facts: ActionFacts,
): Pick<PlannedDatabase, "action" | "refusal" | "willBeLost"> {
  const { source, target, existing, contents, dropExisting, overwritesSource } = facts;
  const refuse = (refusal: string) =>
    ({ action: "refuse", refusal, willBeLost: undefined }) as const;
  if (overwritesSource) {
    return refuse(
      `source and target are one server, and "${target}" is a database that is to be copied`,
    );
  }
  if (existing === undefined) {
    return { action: "create", refusal: undefined, willBeLost: undefined };
  }
  if (existing.isTemplate) return refuse(`"${target}" is a template database`);
  const drop = (willBeLost: string) =>
    ({ action: "drop-and-create", refusal: undefined, willBeLost }) as const;
  if (facts.unfinished !== undefined) {
    const { startedAt, source: { database }, setAside, complete } = facts.unfinished;
    const copy = setAside.length > 0
      ? `the copy of ${database} that was begun at ${startedAt}, complete except for objects that were set aside`
      : `the ${
        complete ? "complete" : "unfinished"
      } copy of ${database} that was begun at ${startedAt}`;
    // a complete one may be in use by now, while other databases of its run failed: it is kept and
    // they are begun anew
    const kept = complete && !dropExisting && !(facts.alone && setAside.length > 0);
    if (facts.isOfSource && (kept || (facts.resume ?? true))) {
      return { action: "resume", refusal: undefined, willBeLost: undefined };
    }
    if (setAside.length > 0 && !dropExisting) return refuse(`database "${target}" holds ${copy}`);
    if (facts.isOfSource || dropExisting) {
      return drop(`${copy}; nothing else was in it, for it was begun empty`);
    }
    return refuse(`database "${target}" holds ${copy}, from another server`);
  }
  if (contents === undefined) {
    if (existing.isInvalid && dropExisting) {
      return drop("an invalid database, left by a DROP DATABASE that was interrupted");
    }
    return refuse(`what is in "${target}" cannot be seen: ${whyClosed(existing)}`);
  }
  if (!contents.empty) {
    return dropExisting ? drop(contents.description) : refuse(
      `database "${target}" is not empty: it has ${contents.description}`,
    );
  }
  const differences = differingProperties(source, existing);
  if (differences.length > 0 && dropExisting) {
    return drop(`an empty database with another ${differences.join(", ")}`);
  }
  return { action: "fill-empty", refusal: undefined, willBeLost: undefined };
}

/** Which of the properties that CREATE DATABASE fixes for good differ, in words. */
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
 * Whether a ledger is of this database: names and addresses may have changed, identifiers do not.
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
  return canConnect ? "the server refuses the connection" : "our role has no CONNECT privilege";
}

async function isMaintenanceEmpty(
  source: Session,
  databases: readonly Database[],
  signal: AbortSignal,
): Promise<boolean> {
  const maintenance = databases.find(({ name }) => name === maintenanceDatabase);
  if (maintenance === undefined || !canOpen(maintenance)) return true;
  // one that cannot be looked into comes along, so that its own check tells
  const inside = await inspectSide(maintenanceDatabase, source, { signal, unknownLedgers: true });
  return inside?.contents.empty ?? false;
}

/** What a database of the target holds by now; undefined when there is none. */
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
  readonly contents: DatabaseContents;
  readonly ledger: LedgerHead | undefined;
}

/** What a database of the session's server holds; undefined when the server does not let us in. */
async function inspectSide(
  database: string,
  session: Session,
  { signal, unknownLedgers }: {
    readonly signal: AbortSignal;
    /** Whether one of another version of the tool is passed over. */
    readonly unknownLedgers: boolean;
  },
): Promise<Inside | undefined> {
  const look = async (from: Session): Promise<Inside> => ({
    contents: await readContents(from),
    ledger: await (unknownLedgers ? readKnownLedgerRun(from) : readLedgerRun(from)),
  });
  if (session.endpoint.database === database) return await look(session);
  const opened = await openSession(withDatabase(session.endpoint, database), { signal })
    .catch((error) => {
      if (error instanceof ConnectionError && !error.transient) return undefined;
      throw error;
    });
  if (opened === undefined) return undefined;
  await using other = opened;
  return await look(other);
}
