import {
  parseBytes,
  parseDuration,
  type Problem,
  type Side,
  suggest,
  UsageError,
} from "../core/mod.ts";
import { PG_MAJORS, type PgMajor } from "../cluster/mod.ts";
import type { DatabaseSelection, SyncSettings, ToolSelection } from "../commands/run.ts";
import type { Config } from "../config/mod.ts";
import { copyThreadsFor } from "../copy/mod.ts";
import { type Endpoint, resolveEndpoint } from "../postgres/mod.ts";
import { mergeRules, readRuleFlags, type TableRules } from "../rules/mod.ts";
import { type LogLevel, logLevels } from "../ui/mod.ts";
import { type Environment, surroundingsOf } from "./environment.ts";
import {
  copyFormats,
  dumpTools,
  identityPolicies,
  logFormats,
  type RawOptions,
  type Shell,
  shells,
} from "./grammar.ts";
import { reportFileProblem } from "./report_file.ts";

/** How a command talks. */
export interface OutputOptions {
  readonly json: boolean;
  readonly logLevel: LogLevel;
  readonly logFormat: typeof logFormats[number];
}

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

/** `validate` in full. */
export interface ValidateCommandOptions extends CopyOptions {
  /** Whether to tell for every table what happens to it. */
  readonly explainRules: boolean;
}

/** `init` in full. */
export interface InitCommandOptions extends CopyOptions {
  readonly indexJobs: number;
  readonly copyFormat: typeof copyFormats[number];
  readonly copyThreads: number;
  readonly splitBytes: number;
  /** In bytes a second; undefined for no limit. */
  readonly maxBytesPerSecond: number | undefined;
  /** Undefined: no replication. */
  readonly sync: SyncSettings | undefined;
  readonly yes: boolean;
  /** Whether to go on with what an interrupted run has done. */
  readonly resume: boolean;
  readonly allowMixedSnapshots: boolean;
  readonly dryRun: boolean;
  /** Where the HTML page goes. */
  readonly reportFile: string | undefined;
}

/** `verify` in full. */
export interface VerifyCommandOptions
  extends Pick<CopyOptions, "source" | "target" | "databases" | "rules" | "jobs"> {
  readonly maxDiffs: number;
  readonly showValues: boolean;
  /** Whether to go on where an interrupted run has ended. */
  readonly resume: boolean;
  readonly repair: boolean;
  readonly dryRun: boolean;
  readonly yes: boolean;
  /** Where the evidence goes; the name tells the format. */
  readonly reportFile: string | undefined;
}

/** `demo` in full. */
export interface DemoCommandOptions {
  readonly sizeBytes: number;
  readonly sourceMajor: PgMajor;
  readonly targetMajor: PgMajor;
  readonly keep: boolean;
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

/** What a configuration file gives. */
export interface FileOptions {
  readonly config: Config;
  /** Texts of options, as flags would have given them. */
  readonly values: Readonly<Record<string, string | undefined>>;
  /** Where an option was written, for messages. */
  readonly place: (option: string) => string;
}

const mostJobs = 64;
const mostCopyThreads = 16;
const mostDefaultJobs = 8;
const megabyte = 1 << 20;
/** Below this a second a copy would not come to an end. */
const leastRate = 64 * 1024;

/** Above this size a table is copied in parts. */
export const defaultSplitBytes = 512 * megabyte;

/** Differing rows that `verify` lists for each table. */
export const defaultMaxDiffs = 20;

/** Reads typed options and notes everything that is wrong with them; what is wrong reads as its default. */
export class OptionReader {
  readonly problems: Problem[];
  readonly #raw: RawOptions;
  #file: FileOptions | undefined;

  /** What follows the command without being an option. */
  readonly words: readonly string[];

  constructor(
    raw: RawOptions,
    problems: readonly Problem[] = [],
    words: readonly string[] = [],
  ) {
    this.#raw = raw;
    this.problems = [...problems];
    this.words = words;
  }

  problem(path: string, message: string): void {
    this.problems.push({ path, message });
  }

  /** Lets a file say what no flag says. */
  useFile(file: FileOptions): void {
    this.#file = file;
  }

  /** The configuration file, if there is one. */
  get config(): Config | undefined {
    return this.#file?.config;
  }

  /** Where the option's value comes from. */
  #pathOf(key: string, path: string): string {
    const file = this.#file;
    return typeof this.#raw[key] === "string" || file?.values[key] === undefined
      ? path
      : file.place(key);
  }

  flag(key: string): boolean {
    return this.#raw[key] === true;
  }

  text(key: string): string | undefined {
    const value = this.#raw[key];
    return typeof value === "string" ? value : this.#file?.values[key];
  }

  list(key: string): readonly string[] {
    const value = this.#raw[key];
    return Array.isArray(value) ? value : [];
  }

  /** Names separated by commas; a name in double quotes may contain one (`"a,b"`, `"a""b"`). */
  names(
    key: string,
    path: string,
    { unquote = true }: { readonly unquote?: boolean } = {},
  ): readonly string[] {
    const names = this.list(key).flatMap((value) => splitNames(value, { unquote }));
    if (names.some((name) => name === "")) this.problem(path, "has an empty name in it");
    return names.filter((name) => name !== "");
  }

  whole(
    key: string,
    { path, least, most, fallback }: {
      readonly path: string;
      readonly least: number;
      readonly most: number;
      readonly fallback: number;
    },
  ): number {
    const text = this.text(key);
    if (text === undefined) return fallback;
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    if (value >= least && value <= most) return value;
    this.problem(
      this.#pathOf(key, path),
      `"${text}" is not a whole number from ${least} to ${most}`,
    );
    return fallback;
  }

  /** A size of a megabyte or more; a bare number means megabytes, for nobody means bytes by it. */
  bytes(
    key: string,
    { path, fallback }: { readonly path: string; readonly fallback: number },
  ): number {
    const text = this.text(key);
    if (text === undefined) return fallback;
    const bytes = parseBytes(/^\d+$/.test(text) ? `${text}MB` : text);
    if (bytes !== undefined && bytes >= megabyte) return bytes;
    this.problem(
      this.#pathOf(key, path),
      `"${text}" is no size of 1MB or more (like 500MB or 2GB)`,
    );
    return fallback;
  }

  /** A time of a tenth of a second or more; returns milliseconds. */
  duration(
    key: string,
    { path, fallback }: { readonly path: string; readonly fallback: number },
  ): number {
    const text = this.text(key);
    if (text === undefined) return fallback;
    const ms = parseDuration(text);
    if (ms !== undefined && ms >= 100) return ms;
    this.problem(this.#pathOf(key, path), `"${text}" is no time (like 30s, 10min or 2h)`);
    return fallback;
  }

  /** A size with its unit; undefined when it is not given. */
  size(key: string, path: string): number | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    const bytes = text !== "0" && /^\d+$/.test(text) ? undefined : parseBytes(text);
    if (bytes === undefined) {
      this.problem(
        this.#pathOf(key, path),
        `"${text}" is no size with its unit (like 64MB or 2GB)`,
      );
    }
    return bytes;
  }

  /** A size a second, `50MB` or `50MB/s`; undefined when it is not given. */
  rate(key: string, path: string): number | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    const size = text.replace(/\s*\/\s*s$/i, "");
    const bytes = parseBytes(/^\d+$/.test(size) ? `${size}MB` : size);
    if (bytes !== undefined && bytes >= leastRate) return bytes;
    this.problem(
      this.#pathOf(key, path),
      `"${text}" is no rate of 64kB a second or more (like 50MB or 50MB/s)`,
    );
    return undefined;
  }

  choice<Value extends string>(
    key: string,
    { path, values, fallback }: {
      readonly path: string;
      readonly values: readonly Value[];
      readonly fallback: Value;
    },
  ): Value {
    const text = this.text(key);
    if (text === undefined) return fallback;
    const value = values.find((each) => each === text);
    if (value !== undefined) return value;
    const [near] = suggest(text, values, 1);
    this.problem(
      this.#pathOf(key, path),
      `"${text}" is none of ${values.join(", ")}` +
        (near === undefined ? "" : `; did you mean ${near}?`),
    );
    return fallback;
  }

  /** Throws everything that was wrong. */
  done(): void {
    if (this.problems.length > 0) throw new UsageError(this.problems);
  }
}

/** How the command talks; wrong values are noted in the reader. */
export function readOutputOptions(reader: OptionReader): OutputOptions {
  return {
    json: reader.flag("json"),
    logLevel: reader.choice("logLevel", {
      path: "--log-level",
      values: logLevels,
      fallback: "info",
    }),
    logFormat: reader.choice("logFormat", {
      path: "--log-format",
      values: logFormats,
      fallback: "text",
    }),
  };
}

/** @throws UsageError with everything that is wrong */
export async function resolveValidateOptions(
  reader: OptionReader,
  context: ResolveContext,
): Promise<ValidateCommandOptions> {
  const partial = await readCopyOptions(reader, context);
  reader.done();
  return { ...completeCopyOptions(partial), explainRules: reader.flag("explainRules") };
}

/** @throws UsageError with everything that is wrong */
export async function resolveInitOptions(
  reader: OptionReader,
  context: ResolveContext,
): Promise<InitCommandOptions> {
  const partial = await readCopyOptions(reader, context);
  const yes = reader.flag("yes");
  const dryRun = reader.flag("dryRun");
  const indexJobs = readJobs(reader, "indexJobs", "--index-jobs", partial.jobs);
  const copyFormat = reader.choice("copyFormat", {
    path: "--copy-format",
    values: copyFormats,
    fallback: "auto",
  });
  const copyThreads = readCopyThreads(reader, partial, context.cpuCount);
  const splitBytes = reader.bytes("splitTablesLargerThan", {
    path: "--split-tables-larger-than",
    fallback: defaultSplitBytes,
  });
  const maxBytesPerSecond = reader.rate("maxRate", "--max-rate");
  const reportFile = await readReportFile(reader);
  const settings = await readSyncSettings(reader, context);
  const sync = reader.flag("enableSync") ? settings : undefined;
  if (sync === undefined) {
    for (const [key, path] of syncOptions) {
      if (reader.text(key) !== undefined) {
        reader.problem(path, "says nothing without --enable-sync");
      }
    }
  }
  if (!yes && !dryRun && !context.canAsk) {
    reader.problem(
      "--yes",
      "is needed here: there is no terminal to ask whether to go on (--dry-run shows the plan)",
    );
  }
  reader.done();
  return {
    ...completeCopyOptions(partial),
    sync,
    yes,
    resume: reader.flag("resume"),
    allowMixedSnapshots: reader.flag("allowMixedSnapshots"),
    dryRun,
    indexJobs,
    copyFormat,
    copyThreads,
    splitBytes,
    maxBytesPerSecond,
    reportFile,
  };
}

/** @throws UsageError with everything that is wrong */
export async function resolveVerifyOptions(
  reader: OptionReader,
  context: ResolveContext,
): Promise<VerifyCommandOptions> {
  const partial = await readCopyOptions(reader, context);
  const maxDiffs = reader.whole("maxDiffs", {
    path: "--max-diffs",
    least: 0,
    most: 100_000,
    fallback: defaultMaxDiffs,
  });
  const showValues = reader.flag("values");
  const resume = reader.flag("resume");
  const [repair, dryRun, yes] = [
    reader.flag("repair"),
    reader.flag("dryRun"),
    reader.flag("yes"),
  ];
  const reportFile = await readReportFile(reader);
  if (reportFile !== undefined && !/\.(?:html?|json)$/i.test(reportFile)) {
    reader.problem("--report", `"${reportFile}" must end in .html or .json: that tells the format`);
  }
  if (dryRun && !repair) reader.problem("--dry-run", "belongs to --repair: verify only reads");
  if (dryRun && repair && !showValues) {
    reader.problem("--no-values", "cannot be given with --repair --dry-run, whose SQL has values");
  }
  if (repair && !dryRun && !yes && !context.canAsk) {
    reader.problem("--yes", "is needed here: there is no terminal to ask whether to repair");
  }
  reader.done();
  const { source, target, databases, rules, jobs } = completeCopyOptions(partial);
  return {
    source,
    target,
    databases,
    rules,
    jobs,
    maxDiffs,
    showValues,
    resume,
    repair,
    dryRun,
    yes,
    reportFile,
  };
}

const syncOptions = [
  ["replicaIdentity", "--replica-identity"],
  ["slotTimeout", "--slot-timeout"],
  ["sourceFromTarget", "--source-from-target"],
  ["subscriptionPassfile", "--subscription-passfile"],
] as const;

const defaultSlotTimeoutMs = 5 * 60_000;

/** How replication is set up; what is wrong is noted in the reader. */
export async function readSyncSettings(
  reader: OptionReader,
  { environment, now }: ResolveContext,
): Promise<SyncSettings> {
  const passfile = reader.text("subscriptionPassfile");
  if (passfile !== undefined && !/^(\/|[A-Za-z]:[\\/])/.test(passfile)) {
    reader.problem(
      "--subscription-passfile",
      `"${passfile}" has to be a full path: the file is on the target's server`,
    );
  }
  return {
    identity: reader.choice("replicaIdentity", {
      path: "--replica-identity",
      values: identityPolicies,
      fallback: "fail",
    }),
    slotTimeoutMs: reader.duration("slotTimeout", {
      path: "--slot-timeout",
      fallback: defaultSlotTimeoutMs,
    }),
    sourceFromTarget: await readSourceFromTarget(reader, environment),
    passfile,
    failover: true,
    now: now.toISOString(),
  };
}

async function readSourceFromTarget(
  reader: OptionReader,
  environment: Environment,
): Promise<Endpoint | undefined> {
  const url = reader.text("sourceFromTarget");
  const path = "--source-from-target";
  if (url === undefined) return undefined;
  try {
    // what is set for this machine (PGHOST, PGSSLROOTCERT …) says nothing about the target's; passwords and names do
    const { PGPASSWORD, PGPASSFILE, PGUSER, HOME, USER } = environment;
    return await resolveEndpoint(url, {
      side: "source",
      path,
      surroundings: surroundingsOf({ PGPASSWORD, PGPASSFILE, PGUSER, HOME, USER }),
    });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    reader.problems.push(...error.problems);
    return undefined;
  }
}

/** @throws UsageError with everything that is wrong */
export function resolveDemoOptions(reader: OptionReader): DemoCommandOptions {
  const sizeBytes = reader.bytes("size", { path: "--size", fallback: 200 * megabyte });
  const major = (key: string, path: string, fallback: PgMajor) => {
    const [least = fallback, most = fallback] = [PG_MAJORS[0], PG_MAJORS.at(-1)];
    const number = reader.whole(key, { path, least, most, fallback });
    return PG_MAJORS.find((each) => each === number) ?? fallback;
  };
  const sourceMajor = major("sourceVersion", "--source-version", 15);
  const targetMajor = major("targetVersion", "--target-version", 18);
  const keep = reader.flag("keep");
  reader.done();
  return { sizeBytes, sourceMajor, targetMajor, keep };
}

/** @throws UsageError when it is none */
export function resolveShell(reader: OptionReader, [text]: readonly string[]): Shell {
  const shell = shells.find((each) => each === text);
  if (shell === undefined && text !== undefined) {
    reader.problem("completions", `"${text}" is none of ${shells.join(", ")}`);
  }
  reader.done();
  return shell ?? "bash";
}

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
    jobs: readJobs(reader, "jobs", "--jobs", Math.max(1, Math.min(mostDefaultJobs, cpuCount))),
    dropExisting: reader.flag("dropExisting"),
  };
}

/** The same when nothing is wrong. */
export function completeCopyOptions(partial: PartialCopyOptions): CopyOptions {
  const { source, target } = partial;
  if (source === undefined || target === undefined) throw new Error("problems were not thrown");
  return { ...partial, source, target };
}

function readJobs(reader: OptionReader, key: string, path: string, fallback: number): number {
  return reader.whole(key, { path, least: 1, most: mostJobs, fallback });
}

function readCopyThreads(
  reader: OptionReader,
  { source, target, jobs }: PartialCopyOptions,
  cpuCount: number,
): number {
  const text = reader.text("copyThreads") ?? "auto";
  if (text !== "auto") {
    return reader.whole("copyThreads", {
      path: "--copy-threads",
      least: 0,
      most: mostCopyThreads,
      fallback: 0,
    });
  }
  const endpoints = [source, target].filter((endpoint) => endpoint !== undefined);
  return copyThreadsFor({ endpoints, jobs, cpuCount });
}

async function readReportFile(reader: OptionReader): Promise<string | undefined> {
  const path = reader.text("report");
  const problem = path === undefined ? undefined : await reportFileProblem(path);
  if (problem !== undefined) reader.problem("--report", problem);
  return path;
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
    return await resolveEndpoint(url, { side, path, surroundings: surroundingsOf(environment) });
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

/** Splits at separators outside double quotes. */
export function splitNames(
  text: string,
  { separator = ",", unquote = true }: {
    readonly separator?: string;
    readonly unquote?: boolean;
  } = {},
): readonly string[] {
  const parts: string[] = [];
  let part = "";
  let quoted = false;
  for (const character of text) {
    if (character === '"') quoted = !quoted;
    if (character === separator && !quoted) {
      parts.push(part);
      part = "";
    } else part += character;
  }
  parts.push(part);
  return parts.map((each) => unquote ? unquoteName(each.trim()) : each.trim());
}

function unquoteName(text: string): string {
  return /^".*"$/s.test(text) ? text.slice(1, -1).replaceAll('""', '"') : text;
}
