import { type Side, UsageError } from "../../core/internal.ts";
import type { DatabaseSelection, ToolSelection } from "../../commands/shared/run.ts";
import { type Endpoint, resolveEndpoint } from "../../postgres/internal.ts";
import { mergeRules, readRuleFlags, type TableRules } from "../../rules/internal.ts";
import { type Environment, resolveEnvironmentOf } from "./environment.ts";
import { dumpTools } from "../grammar/grammar.ts";
import { type OptionReader, splitNames } from "./option_reader.ts";

/** The two servers and what of them. */
export interface CopyOptions {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly databases: DatabaseSelection;
  readonly rules: TableRules;
  readonly tools: ToolSelection;
  readonly jobs: number;
  readonly dropExisting: boolean;
  /** Whether databases and tables are to be chosen on the terminal. */
  readonly interactive: boolean;
}

/** What options are resolved against. */
export interface ResolveContext {
  readonly environment: Environment;
  /** How many CPUs there are. */
  readonly cpuCount: number;
  /** Whether a question can be asked. */
  readonly canAsk: boolean;
  /** The moment that time windows reach back from. */
  readonly now: Date;
}

const maxJobs = 64;
const maxDefaultJobs = 8;

/** Copy options of which a server may be missing, which has been noted. */
export type PartialCopyOptions = {
  readonly [Key in keyof CopyOptions]: CopyOptions[Key] | (Key extends Side ? undefined : never);
};

/** Both servers, databases, rules and tools; what is wrong is noted in the reader. */
export async function readCopyOptions(
  reader: OptionReader,
  { environment, cpuCount, canAsk, now }: ResolveContext,
): Promise<PartialCopyOptions> {
  const interactive = reader.flag("interactive");
  if (interactive && !canAsk) {
    reader.problem(
      "--interactive",
      "needs a terminal to ask on; say what to copy with --include-tables and the like, or --config",
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
      "chooses databases and tables itself: leave out the filters of databases and tables",
    );
  }
  return {
    source,
    target,
    databases,
    rules,
    interactive,
    tools: {
      dump: reader.choice("dumpTool", {
        path: "--dump-tool",
        values: dumpTools,
        fallback: "auto",
      }),
      binDirectory: reader.text("pgBin"),
      environment,
    },
    jobs: readJobs(reader, "jobs", "--jobs", Math.max(1, Math.min(maxDefaultJobs, cpuCount))),
    dropExisting: reader.flag("dropExisting"),
  };
}

/** The same when nothing is wrong. */
export function completeCopyOptions(partial: PartialCopyOptions): CopyOptions {
  const { source, target } = partial;
  if (source === undefined || target === undefined) throw new Error("problems were not thrown");
  return { ...partial, source, target };
}

/** Sessions at once. */
export function readJobs(
  reader: OptionReader,
  key: string,
  path: string,
  fallback: number,
): number {
  return reader.whole(key, { path, least: 1, most: maxJobs, fallback });
}

/** A server by flag, variable or file; what is wrong is noted in the reader. */
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
  // with a problem noted for the flag already (it has no value), more would only repeat it
  if (reader.problems.some(({ path }) => path === flag)) return undefined;
  if (url === undefined) {
    // a file that cannot be read, or names it wrongly, has its problem already
    const file = reader.text("config") !== undefined && reader.config === undefined;
    const told = reader.problems.some(({ path }) => path.endsWith(`: ${side}`));
    if (!file && !told) reader.problem(flag, `is missing; give ${flag} URL or set ${variable}`);
    return undefined;
  }
  const place = reader.config?.place(side) ?? flag;
  if (fromFlag === undefined && fromFile !== undefined && url !== fromFile) {
    reader.problem(
      place,
      `names another server than the variable ${variable}; unset one, or give ${flag}`,
    );
    return undefined;
  }
  const path = fromFlag !== undefined ? flag : fromFile !== undefined ? place : variable;
  try {
    return await resolveEndpoint(url, {
      side,
      path,
      resolveEnvironment: resolveEnvironmentOf(environment),
    });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    reader.problems.push(...error.problems);
    return undefined;
  }
}

/** Which databases, by flags or file. */
export function readDatabases(reader: OptionReader): DatabaseSelection {
  const include = reader.names("includeDatabases", "--include-databases");
  const exclude = reader.names("excludeDatabases", "--exclude-databases");
  if (include.length > 0 && exclude.length > 0) {
    reader.problem(
      "--exclude-databases",
      "cannot be given together with --include-databases: use one of them",
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
