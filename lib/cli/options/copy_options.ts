import { type Side, UsageError } from "../../core/internal.ts";
import type { DatabaseSelection, ToolSelection } from "../../commands/shared/run.ts";
import { defaultJobs } from "../../config/internal.ts";
import { type Endpoint, resolveEndpoint } from "../../postgres/internal.ts";
import { mergeRules, readRuleFlags, type TableRules } from "../../rules/internal.ts";
import { type Environment, resolveEnvironmentOf } from "./environment.ts";
import type { OptionReader } from "./option_reader.ts";
import { splitNames } from "./split_names.ts";

/** The two servers, and what to copy. */
export interface CopyOptions {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly databases: DatabaseSelection;
  readonly rules: TableRules;
  readonly tools: ToolSelection;
  readonly jobs: number;
  readonly dropExisting: boolean;
  /** Whether databases and tables are selected in the terminal. */
  readonly interactive: boolean;
}

/** What options are resolved against. */
export interface ResolveContext {
  readonly environment: Environment;
  readonly cpuCount: number;
  /** Whether the user can be asked. */
  readonly canAsk: boolean;
  /** The end of time windows. */
  readonly now: Date;
}

/** Copy options in which a server may be missing; that has been reported. */
export type PartialCopyOptions = {
  readonly [Key in keyof CopyOptions]: CopyOptions[Key] | (Key extends Side ? undefined : never);
};

/** Both servers, databases, rules and tools; problems are collected in the reader. */
export async function readCopyOptions(
  reader: OptionReader,
  { environment, cpuCount, canAsk, now }: ResolveContext,
): Promise<PartialCopyOptions> {
  const interactive = reader.flag("interactive");
  if (interactive && !canAsk) {
    reader.problem(
      "--interactive",
      "needs a terminal; select what to copy with --include-tables and similar options, or --config",
    );
  }
  const [source, target] = await Promise.all([
    readEndpoint(reader, "source", environment),
    readEndpoint(reader, "target", environment),
  ]);
  const databases = readDatabases(reader);
  const rules = readRules(reader, now);
  const filters = [databases.include, databases.exclude, rules.include, rules.exclude];
  if (interactive && filters.some(({ length }) => length > 0)) {
    reader.problem(
      "--interactive",
      "cannot be combined with filters of databases and tables",
    );
  }
  return {
    source,
    target,
    databases,
    rules,
    interactive,
    tools: {
      dump: reader.choice("dumpTool"),
      binDirectory: reader.text("pgBin"),
      environment,
    },
    jobs: reader.integer("jobs") ?? defaultJobs(cpuCount),
    dropExisting: reader.flag("dropExisting"),
  };
}

/** The same once no problems were found. */
export function completeCopyOptions(partial: PartialCopyOptions): CopyOptions {
  const { source, target } = partial;
  if (source === undefined || target === undefined) throw new Error("reader.done() was not called");
  return { ...partial, source, target };
}

/** A server by flag, variable or file; problems are collected in the reader. */
export async function readEndpoint(
  reader: OptionReader,
  side: Side,
  environment: Environment,
): Promise<Endpoint | undefined> {
  const flag = `--${side}`;
  const variable = `${side.toUpperCase()}_URL`;
  const fromFlag = reader.text(side);
  const fromFile = reader.config?.[side]?.reveal();
  const url = fromFlag ?? environment[variable] ?? fromFile;
  // a flag without a value has been reported already
  if (reader.problems.some(({ path }) => path === flag)) return undefined;
  if (url === undefined) {
    // an unreadable file, or an invalid URL in it, has been reported already
    const isFileUnreadable = reader.given("config") && reader.config === undefined;
    const isReported = reader.problems.some(({ path }) => path.endsWith(`: ${side}`));
    if (!isFileUnreadable && !isReported) {
      reader.problem(flag, `is missing; give ${flag} URL or set ${variable}`);
    }
    return undefined;
  }
  const place = reader.config?.place(side) ?? flag;
  if (fromFlag === undefined && fromFile !== undefined && url !== fromFile) {
    reader.problem(
      place,
      `names a different server than the variable ${variable}; unset one of them, or give ${flag}`,
    );
    return undefined;
  }
  const path = fromFlag !== undefined ? flag : fromFile !== undefined ? place : variable;
  try {
    return await resolveEndpoint(url, {
      side,
      path,
      resolveEnvironment: resolveEnvironmentOf(environment, reader.warn),
    });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    reader.problems.push(...error.problems);
    return undefined;
  }
}

/** Which databases, by flags or file. */
export function readDatabases(reader: OptionReader): DatabaseSelection {
  const include = reader.names("includeDatabases");
  const exclude = reader.names("excludeDatabases");
  if (include.length > 0 && exclude.length > 0) {
    reader.problem(
      "--exclude-databases",
      "cannot be combined with --include-databases: use one of them",
    );
  }
  const chosen = include.length + exclude.length > 0;
  return {
    include: chosen ? include : reader.config?.includeDatabases ?? [],
    exclude: chosen ? exclude : reader.config?.excludeDatabases ?? [],
    map: { ...reader.config?.map, ...readMap(reader) },
  };
}

function readRules(reader: OptionReader, now: Date): TableRules {
  const flags = readRuleFlags({
    includeTables: reader.list("includeTables"),
    excludeTables: reader.list("excludeTables"),
    schemaOnlyTables: reader.list("schemaOnlyTables"),
    tableFilters: reader.list("tableFilter"),
    timeFilters: reader.list("timeFilter"),
  });
  reader.problems.push(...flags.problems);
  const file = reader.config?.rules;
  return {
    ...(file === undefined ? flags.rules : mergeRules(flags.rules, file)),
    now: now.toISOString(),
  };
}

function readMap(reader: OptionReader): Readonly<Record<string, string>> {
  const map = new Map<string, string>();
  for (
    const entry of reader.list("map").flatMap((value) => splitNames(value, { unquote: false }))
  ) {
    const [source, target, ...more] = splitNames(entry, { separator: "=" });
    if (!source || !target || more.length > 0) {
      reader.problem("--map", `"${entry}" is not of the form SOURCE=TARGET`);
    } else if (map.has(source)) {
      reader.problem("--map", `gives "${source}" two names`);
    } else if ([...map.values()].includes(target)) {
      reader.problem("--map", `gives two databases the name "${target}"`);
    } else map.set(source, target);
  }
  return Object.fromEntries(map);
}
