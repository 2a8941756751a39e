/**
 * Which databases of the source are meant, and what they are called on the target.
 *
 * @module
 */
import { type Problem, suggest } from "../core/internal.ts";
import type { Database } from "./databases.ts";
import { parseNamePattern } from "./name_pattern.ts";
import { isProviderDatabase } from "./provider_names.ts";

/** What the user asked for. */
export interface DatabaseWishes {
  /** Patterns; empty means all. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** Source name → target name. */
  readonly map: Readonly<Record<string, string>>;
  /** The database that the target's URL names, if it does. */
  readonly targetUrlDatabase: string | undefined;
}

/** A database of the source and its name on the target. */
export interface SelectedDatabase {
  readonly source: Database;
  readonly target: string;
}

/** The choice, with what is wrong about it. */
export interface DatabaseChoice {
  readonly selected: readonly SelectedDatabase[];
  /** Databases that `all` would mean and that cannot be or need not be copied. */
  readonly skipped: readonly { readonly name: string; readonly reason: string }[];
  readonly problems: readonly Problem[];
}

/** What every server has as the place to connect to when nothing else is there. */
export const maintenanceDatabase = "postgres";

/** Databases of a server that a user can have put something into. */
export function offeredDatabases(databases: readonly Database[]): readonly Database[] {
  return databases.filter(({ isTemplate, providerInternal, name }) =>
    !isTemplate && !providerInternal && name !== "template0" && name !== "template1"
  );
}

/**
 * Chooses databases. The maintenance database `postgres` comes along only when it holds something
 * or was named in full.
 *
 * @param databases all of the source
 */
export function selectDatabases(
  databases: readonly Database[],
  { wishes, maintenanceIsEmpty }: {
    readonly wishes: DatabaseWishes;
    readonly maintenanceIsEmpty: boolean;
  },
): DatabaseChoice {
  const problems: Problem[] = [];
  const offered = offeredDatabases(databases);
  if (wishes.include.length > 0 && wishes.exclude.length > 0) {
    problems.push({
      path: "--exclude-databases",
      message: "cannot be combined with --include-databases; use one of them",
    });
  }
  const include = readFilter(wishes.include, { path: "--include-databases", databases, problems });
  const exclude = readFilter(wishes.exclude, { path: "--exclude-databases", databases, problems });
  const meant = offered.filter(({ name }) =>
    (wishes.include.length === 0 || include.matches(name)) && !exclude.matches(name)
  );

  const skipped: { name: string; reason: string }[] = [];
  const chosen = meant.filter((database) => {
    const named = include.named.has(database.name);
    const reason = unusable(database);
    if (reason !== undefined) {
      if (named) {
        problems.push({ path: "--include-databases", message: `"${database.name}" ${reason}` });
      } else skipped.push({ name: database.name, reason });
      return false;
    }
    if (database.name === maintenanceDatabase && maintenanceIsEmpty && !named) {
      skipped.push({ name: database.name, reason: "is empty" });
      return false;
    }
    return true;
  });

  const selected = nameTargets(chosen, wishes);
  problems.push(...mapProblems(chosen, databases, wishes.map), ...targetProblems(selected));
  if (selected.length === 0 && problems.length === 0) {
    problems.push({
      path: "--include-databases",
      message: "there is no database to copy" +
        listing(skipped.map(({ name, reason }) => `"${name}" ${reason}`)),
    });
  }
  return { selected, skipped, problems };
}

function unusable(database: Database): string | undefined {
  if (database.isInvalid) return "is invalid: a DROP DATABASE was interrupted; drop it";
  if (!database.allowConnections) return "does not allow connections";
  if (!database.canConnect) return "does not let our role connect (GRANT CONNECT is missing)";
  return undefined;
}

function readFilter(
  texts: readonly string[],
  { path, databases, problems }: {
    readonly path: string;
    readonly databases: readonly Database[];
    readonly problems: Problem[];
  },
) {
  const offered = offeredDatabases(databases).map(({ name }) => name);
  const matchers: ((name: string) => boolean)[] = [];
  const named = new Set<string>();
  for (const text of texts) {
    const pattern = parseNamePattern(text);
    if ("problem" in pattern) {
      problems.push({ path, message: pattern.problem });
      continue;
    }
    const { matches, literal } = pattern;
    matchers.push(matches);
    if (literal !== undefined) named.add(literal);
    if (!offered.some(matches)) {
      problems.push({
        path,
        message: `${text} ${noMatch(literal ?? text, { matches, databases })}`,
      });
    }
  }
  return { named, matches: (name: string) => matchers.some((matches) => matches(name)) };
}

function noMatch(
  word: string,
  { matches, databases }: {
    readonly matches: (name: string) => boolean;
    readonly databases: readonly Database[];
  },
): string {
  const hidden = databases.find(({ name }) => matches(name));
  if (hidden !== undefined) {
    return hidden.providerInternal
      ? "is the provider's own database and is never copied"
      : "is a template and is never copied";
  }
  const offered = offeredDatabases(databases).map(({ name }) => name);
  const near = suggest(word.replaceAll("*", ""), offered);
  if (near.length > 0) return `matches no database; did you mean ${near.join(" or ")}?`;
  return `matches no database of the source; it has ${offered.join(", ") || "none"}`;
}

function nameTargets(
  chosen: readonly Database[],
  { map, targetUrlDatabase }: DatabaseWishes,
): readonly SelectedDatabase[] {
  const renamed = chosen.length === 1 && targetUrlDatabase !== undefined &&
      targetUrlDatabase !== maintenanceDatabase && targetUrlDatabase !== "template1"
    ? targetUrlDatabase
    : undefined;
  return chosen.map((source) => ({
    source,
    target: Object.hasOwn(map, source.name) ? map[source.name]! : renamed ?? source.name,
  }));
}

function mapProblems(
  chosen: readonly Database[],
  databases: readonly Database[],
  map: Readonly<Record<string, string>>,
): readonly Problem[] {
  const names = chosen.map(({ name }) => name);
  return Object.keys(map).filter((name) => !names.includes(name)).map((name) => {
    const near = suggest(name, names);
    const exists = databases.some((database) => database.name === name);
    return {
      path: "--map",
      message: exists
        ? `"${name}" is not among the selected databases`
        : `"${name}" is no database of the source` +
          (near.length > 0 ? `; did you mean ${near.join(" or ")}?` : ""),
    };
  });
}

function targetProblems(selected: readonly SelectedDatabase[]): readonly Problem[] {
  const problems: Problem[] = [];
  const bySource = new Map<string, string>();
  for (const { source, target } of selected) {
    const bytes = new TextEncoder().encode(target).length;
    const problem = target === ""
      ? "an empty target name"
      : target.includes("\0")
      ? "a target name with a NUL character"
      : bytes > 63
      ? `target name "${target}" has ${bytes} bytes; PostgreSQL allows 63`
      : target === "template0" || target === "template1"
      ? `target name "${target}" is a template`
      : isProviderDatabase(target)
      ? `target name "${target}" is kept by providers for themselves`
      : bySource.has(target)
      ? `"${bySource.get(target)}" and "${source.name}" would both become "${target}"`
      : undefined;
    if (problem !== undefined) problems.push({ path: "--map", message: problem });
    bySource.set(target, source.name);
  }
  return problems;
}

function listing(parts: readonly string[]): string {
  return parts.length === 0 ? "" : `: ${parts.join(", ")}`;
}
