/**
 * Which databases are copied, what they are called on the target, and what happens to what is there.
 *
 * @module
 */
import {
  type Database,
  type DatabaseChoice,
  type DatabaseContents,
  listDatabases,
  maintenanceDatabase,
  readContents,
  type Relation,
  sameDatabase,
  selectDatabases,
} from "../catalog/mod.ts";
import type { Problem } from "../core/mod.ts";
import { ConnectionError, openSession, type Session, withDatabase } from "../postgres/mod.ts";
import type { DatabaseSelection } from "./run.ts";

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
  /** Why the action is `refuse`. */
  readonly refusal: string | undefined;
  /** What dropping it destroys, in words; there for `drop-and-create` only. */
  readonly willBeLost: string | undefined;
}

/** What happens to the database on the target. */
export type DatabaseAction = "create" | "fill-empty" | "drop-and-create" | "refuse";

/** The outcome of planning. Nothing may be written while there are problems or an action is `refuse`. */
export interface DatabasePlanning {
  readonly databases: readonly PlannedDatabase[];
  readonly skipped: DatabaseChoice["skipped"];
  /** What is wrong with the selection. */
  readonly problems: readonly Problem[];
  /** How the two servers relate. */
  readonly relation: Relation;
  /** All databases of the target. */
  readonly onTarget: readonly Database[];
}

/** What planning starts from. */
export interface PlanningInput {
  readonly source: Session;
  readonly target: Session;
  readonly selection: DatabaseSelection;
  readonly dropExisting: boolean;
  /** The database that the target's URL names, if it does. The session may be on another one. */
  readonly targetUrlDatabase: string | undefined;
  readonly signal: AbortSignal;
}

/** Reads both servers and plans. What each target database holds is looked up in that very database. */
export async function planDatabases(input: PlanningInput): Promise<DatabasePlanning> {
  const { source, target, selection, signal } = input;
  const [onSource, onTarget] = await Promise.all([listDatabases(source), listDatabases(target)]);
  const [relation, maintenanceIsEmpty] = await Promise.all([
    sameDatabase(source, target),
    isMaintenanceEmpty(source, onSource, signal),
  ]);
  const choice = selectDatabases(onSource, {
    wishes: { ...selection, targetUrlDatabase: input.targetUrlDatabase },
    maintenanceIsEmpty,
  });
  const sources = new Set(choice.selected.map((selected) => selected.source.name));
  const databases: PlannedDatabase[] = [];
  for (const selected of choice.selected) {
    const existing = onTarget.find(({ name }) => name === selected.target);
    const contents = existing === undefined || !canOpen(existing)
      ? undefined
      : await contentsOf(existing.name, target, signal);
    databases.push({
      ...selected,
      existing,
      contents,
      ...decideAction({
        source: selected.source,
        target: selected.target,
        existing,
        contents,
        dropExisting: input.dropExisting,
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
  readonly dropExisting: boolean;
  /** Whether the target database is one of those that are to be read. */
  readonly overwritesSource: boolean;
}

/** Decides what happens to one database. */
export function decideAction(
  { source, target, existing, contents, dropExisting, overwritesSource }: ActionFacts,
): Pick<PlannedDatabase, "action" | "refusal" | "willBeLost"> {
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
  return (await contentsOf(maintenanceDatabase, source, signal))?.empty ?? false;
}

/** What a database of the session's server holds; undefined when the server does not let us in. */
async function contentsOf(
  database: string,
  session: Session,
  signal: AbortSignal,
): Promise<DatabaseContents | undefined> {
  if (session.endpoint.database === database) return await readContents(session);
  try {
    await using other = await openSession(withDatabase(session.endpoint, database), { signal });
    return await readContents(other);
  } catch (error) {
    if (error instanceof ConnectionError && !error.transient) return undefined;
    throw error;
  }
}
