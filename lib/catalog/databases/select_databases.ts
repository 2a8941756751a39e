/**
 * Selects the databases to copy and their names on the target. Pure.
 *
 * @module
 */
import { type Problem, suggest } from "../../core/internal.ts";
import type { Database } from "./databases.ts";
import { parseNamePattern } from "./name_pattern.ts";
import { isProviderDatabase } from "../server/provider_names.ts";

/** The user's selection of databases. */
export interface DatabaseSelectors {
  /** Patterns; empty: all. */
  readonly include: readonly string[];
  /** Patterns to leave out; cannot be combined with `include`. */
  readonly exclude: readonly string[];
  /** Source name → target name. */
  readonly map: Readonly<Record<string, string>>;
  /** The database in the target's URL, if any. */
  readonly targetUrlDatabase: string | undefined;
}

/** A database of the source and its name on the target. */
export interface SelectedDatabase {
  /** The database as the source's catalog describes it. */
  readonly source: Database;
  /** Database name on the target, unquoted; the same unless mapped. */
  readonly target: string;
}

/** The selected databases, with problems. */
export interface DatabaseChoice {
  /** Databases to copy, with their names on the target. */
  readonly selected: readonly SelectedDatabase[];
  /** Databases that are not copied although no filter excludes them. */
  readonly skipped: readonly { readonly name: string; readonly reason: string }[];
  /** Errors in the selection; the run must not start unless empty. */
  readonly problems: readonly Problem[];
}

/** The default database to connect to, which every server has. */
export const maintenanceDatabase = "postgres";

/** Databases that can contain user data: neither templates nor the provider's own. */
export function offeredDatabases(databases: readonly Database[]): readonly Database[] {
  return databases.filter(({ isTemplate, providerInternal, name }) =>
    !isTemplate && !providerInternal && name !== "template0" && name !== "template1"
  );
}

/**
 * Selects databases. The maintenance database `postgres` is included only when it is not empty or
 * is named explicitly.
 *
 * @param databases all databases of the source
 */
export function selectDatabases(
  databases: readonly Database[],
  { selectors, maintenanceIsEmpty }: {
    readonly selectors: DatabaseSelectors;
    readonly maintenanceIsEmpty: boolean;
  },
): DatabaseChoice {
  const problems: Problem[] = [];
  const offered = offeredDatabases(databases);
  if (selectors.include.length > 0 && selectors.exclude.length > 0) {
    problems.push({
      path: "--exclude-databases",
      message: "cannot be combined with --include-databases; use one of them",
    });
  }
  const include = readFilter(selectors.include, {
    path: "--include-databases",
    databases,
    problems,
  });
  const exclude = readFilter(selectors.exclude, {
    path: "--exclude-databases",
    databases,
    problems,
  });
  const matching = offered.filter(({ name }) =>
    (selectors.include.length === 0 || include.matches(name)) && !exclude.matches(name)
  );

  const skipped: { name: string; reason: string }[] = [];
  const chosen = matching.filter((database) => {
    const named = include.named.has(database.name);
    const reason = whyUnusable(database);
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

  const selected = nameTargets(chosen, selectors);
  problems.push(...mapProblems(chosen, databases, selectors.map), ...targetProblems(selected));
  if (selected.length === 0 && problems.length === 0) {
    problems.push({
      path: "--include-databases",
      message: "no database to copy" +
        listing(skipped.map(({ name, reason }) => `"${name}" ${reason}`)),
    });
  }
  return { selected, skipped, problems };
}

function whyUnusable(database: Database): string | undefined {
  if (database.isInvalid) return "is invalid: a DROP DATABASE was interrupted; drop it";
  if (!database.allowConnections) return "does not allow connections";
  if (!database.canConnect) return "does not allow this role to connect (it lacks CONNECT)";
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
  name: string,
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
  const near = suggest(name.replaceAll("*", ""), offered);
  if (near.length > 0) return `matches no database; did you mean ${near.join(" or ")}?`;
  return `matches no database of the source; it has ${offered.join(", ") || "none"}`;
}

function nameTargets(
  chosen: readonly Database[],
  { map, targetUrlDatabase }: DatabaseSelectors,
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
        ? `"${name}" is not one of the selected databases`
        : `"${name}" is not a database of the source` +
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
      ? "the target name is empty"
      : target.includes("\0")
      ? "the target name contains a NUL character"
      : bytes > 63
      ? `target name "${target}" has ${bytes} bytes; PostgreSQL limits names to 63`
      : target === "template0" || target === "template1"
      ? `target name "${target}" is a template`
      : isProviderDatabase(target)
      ? `target name "${target}" is reserved by providers`
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
