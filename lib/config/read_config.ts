/**
 * A configuration file: TOML → checked → what the flags could have said.
 *
 * @module
 */
import { parse, TomlError } from "smol-toml";
import type { z } from "zod";
import {
  hasUnreadableName,
  type Problem,
  redact,
  Secret,
  suggest,
  unreadableName,
} from "../core/internal.ts";
import {
  readFilterPattern,
  type Reading,
  readPartPattern,
  readRulePattern,
  type RuleOrigin,
  RuleReader,
  type RulesReading,
  type TablePattern,
} from "../rules/internal.ts";
import { type ConfigDocument, configSchema } from "./schema.ts";
import { type DocumentPath, readTomlLines } from "./toml_lines.ts";
import { expandVariables } from "./variables.ts";

/** What a configuration file says; undefined and empty where it says nothing. */
export interface Config {
  /** URL with its variables replaced. */
  readonly source: Secret | undefined;
  readonly target: Secret | undefined;
  readonly jobs: number | undefined;
  readonly indexJobs: number | undefined;
  /** A size as text, like `2GB`. */
  readonly splitTablesLargerThan: string | undefined;
  readonly copyFormat: "auto" | "text" | "binary" | undefined;
  readonly restoreSearchPath: "empty" | "own" | undefined;
  readonly dumpTool: "auto" | "native" | "embedded" | undefined;
  readonly pgBin: string | undefined;
  readonly logLevel: "error" | "warn" | "info" | "debug" | undefined;
  readonly logFormat: "text" | "json" | undefined;
  readonly includeDatabases: readonly string[];
  readonly excludeDatabases: readonly string[];
  /** Source name → target name. */
  readonly map: Readonly<Record<string, string>>;
  readonly rules: RulesReading["rules"];
  /** Where each key was written, for messages: `move.toml:3: jobs`. */
  readonly place: (key: string) => string;
}

/** A file that was read, with everything that is wrong with it. */
export interface ConfigReading {
  /** Undefined when it is not even TOML of the right shape. */
  readonly config: Config | undefined;
  readonly problems: readonly Problem[];
}

/** What reading depends on. */
export interface ReadConfigOptions {
  /** The file's name, for messages. */
  readonly name: string;
  /** A variable of the environment, for `${NAME}`. */
  readonly lookUp: (name: string) => string | undefined;
}

/** Reads the text of a configuration file. Every problem is reported, with its line. */
export function readConfig(text: string, { name, lookUp }: ReadConfigOptions): ConfigReading {
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    return { config: undefined, problems: [syntaxProblem(error, name)] };
  }
  const lines = readTomlLines(text);
  const place = (path: DocumentPath) => `${name}:${lines.lineOf(path)}: ${printPath(path)}`;
  const unreadable = namesThatWouldBeLost(value, place);
  if (unreadable.length > 0) return { config: undefined, problems: unreadable };
  const parsed = configSchema.safeParse(value);
  if (!parsed.success) {
    const problems = parsed.error.issues.flatMap((issue) => issueProblems(issue, { value, place }));
    return { config: undefined, problems: inOrder(problems, name) };
  }
  const reader = new DocumentReader(parsed.data, { place, lookUp });
  const { config, problems } = reader.read();
  return { config, problems: inOrder(problems, name) };
}

type Place = (path: DocumentPath) => string;

/** Better refused than lost: a rule that is not read would let through what it keeps out. */
function namesThatWouldBeLost(value: unknown, place: Place): readonly Problem[] {
  const document = value as Readonly<Record<string, unknown>>;
  return ["databases", "map"].filter((key) => hasUnreadableName(document[key])).map((key) => ({
    path: place([key, unreadableName]),
    message: "a file cannot say anything of a database of this name: use flags",
  }));
}

class DocumentReader {
  readonly #document: ConfigDocument;
  readonly #place: Place;
  readonly #lookUp: (name: string) => string | undefined;
  readonly #problems: Problem[] = [];
  readonly #rules = new RuleReader();

  constructor(
    document: ConfigDocument,
    { place, lookUp }: { readonly place: Place; readonly lookUp: ReadConfigOptions["lookUp"] },
  ) {
    this.#document = document;
    this.#place = place;
    this.#lookUp = lookUp;
  }

  read(): { readonly config: Config; readonly problems: readonly Problem[] } {
    const document = this.#document;
    const config: Omit<Config, "rules"> = {
      source: this.#secret("source"),
      target: this.#secret("target"),
      jobs: document.jobs,
      indexJobs: document.index_jobs,
      splitTablesLargerThan: document.split_tables_larger_than,
      copyFormat: document.copy_format,
      restoreSearchPath: document.restore_search_path,
      dumpTool: document.dump_tool,
      pgBin: document.pg_bin,
      logLevel: document.log_level,
      logFormat: document.log_format,
      includeDatabases: document.include_databases ?? [],
      excludeDatabases: document.exclude_databases ?? [],
      map: document.map ?? {},
      place: (key) => this.#place([key]),
    };
    if (config.includeDatabases.length > 0 && config.excludeDatabases.length > 0) {
      this.#problem(
        ["exclude_databases"],
        "cannot be combined with include_databases: use one of them",
      );
    }
    for (const what of ["include", "exclude"] as const) {
      const key = `${what}_tables` as const;
      for (const [index, text] of (document[key] ?? []).entries()) {
        this.#rules.choice(what, text, { origin: this.#origin([key, index]) });
      }
    }
    for (const [name, section] of Object.entries(document.databases ?? {})) {
      this.#section(name, section);
    }
    const { rules, problems } = this.#rules.done();
    return { config: { ...config, rules }, problems: [...this.#problems, ...problems] };
  }

  #section(database: string, section: NonNullable<ConfigDocument["databases"]>[string]): void {
    const at = (...path: DocumentPath) => ({
      origin: this.#origin(["databases", database, ...path]),
      database,
    });
    if (database === "") this.#problem(["databases", ""], "an empty database name");
    for (const what of ["include", "exclude"] as const) {
      const key = `${what}_tables` as const;
      for (const [index, text] of (section[key] ?? []).entries()) {
        this.#rules.choice(what, text, at(key, index));
      }
    }
    for (const [index, text] of (section.schema_only ?? []).entries()) {
      this.#rules.schemaOnly(text, at("schema_only", index));
    }
    for (const [index, { table, schema, where }] of (section.table_filters ?? []).entries()) {
      this.#rules.tableFilter({ table: tableOf(table, schema), where }, at("table_filters", index));
    }
    for (const [index, { table, schema, column, last }] of (section.time_filters ?? []).entries()) {
      this.#rules.timeFilter(
        { table: tableOf(table, schema), column, last },
        at("time_filters", index),
      );
    }
  }

  #origin(path: DocumentPath): RuleOrigin {
    return { from: "file", path: this.#place(path) };
  }

  #problem(path: DocumentPath, message: string): void {
    this.#problems.push({ path: this.#place(path), message });
  }

  #secret(key: "source" | "target"): Secret | undefined {
    const text = this.#document[key];
    if (text === undefined) return undefined;
    const { text: expanded, missing, malformed } = expandVariables(text, this.#lookUp);
    for (const name of missing) {
      this.#problem([key], `variable ${name} is not set (or may not be read: --allow-env=${name})`);
    }
    for (const each of malformed) {
      this.#problem(
        [key],
        `${
          redact(each)
        } is no reference to a variable: write it like \${NAME} (and \${ itself as $\${)`,
      );
    }
    return missing.length + malformed.length > 0 ? undefined : new Secret(expanded);
  }
}

/** `schema` goes with a bare `table`; a dot in `table` says the same. */
function tableOf(table: string, schema: string | undefined): Reading<TablePattern> {
  const read = readRulePattern(table);
  if (schema === undefined || "problem" in read) return read;
  const named = readPartPattern(schema);
  if ("problem" in named) return named;
  const isBare = "problem" in readFilterPattern(table); // which asks for two parts at least
  if (!isBare && JSON.stringify(read.value.schema) !== JSON.stringify(named.value)) {
    return { problem: `names schema "${schema}" and another one in table "${table}"` };
  }
  return { value: { ...read.value, schema: named.value } };
}

function syntaxProblem(error: TomlError, name: string): Problem {
  const [first = ""] = error.message.replace(/^Invalid TOML document: /, "").split("\n");
  return {
    path: `${name}:${error.line}`,
    message: `is not valid TOML: ${first} (column ${error.column})`,
  };
}

type Issue = z.core.$ZodIssue;

function issueProblems(
  issue: Issue,
  { value, place }: { readonly value: unknown; readonly place: Place },
): readonly Problem[] {
  const path = issue.path.map((part) => typeof part === "number" ? part : String(part));
  if (issue.code === "unrecognized_keys") {
    const known = knownKeys(path);
    return issue.keys.map((key) => {
      const near = suggest(key, known);
      return {
        path: place([...path, key]),
        message: "there is no such key" +
          (near.length > 0
            ? `; did you mean ${near.join(" or ")}?`
            : `; there are ${known.join(", ")}`),
      };
    });
  }
  return [{ path: place(path), message: issueMessage(issue, valueAt(value, path)) }];
}

function issueMessage(issue: Issue, value: unknown): string {
  if (issue.code === "invalid_type") {
    if (value === undefined) return "is missing";
    return `is ${describe(value)}, must be ${typeNames[issue.expected] ?? issue.expected}`;
  }
  if (issue.code === "invalid_value") {
    const values = issue.values.map(String);
    const [near] = typeof value === "string" ? suggest(value, values, 1) : [];
    return `${describe(value)} is none of ${values.join(", ")}` +
      (near === undefined ? "" : `; did you mean ${near}?`);
  }
  if (issue.code === "too_small") return `is ${describe(value)}, must be at least ${issue.minimum}`;
  if (issue.code === "too_big") return `is ${describe(value)}, must be at most ${issue.maximum}`;
  return issue.message;
}

const typeNames: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  array: "a list",
  object: "a table",
  record: "a table",
};

function describe(value: unknown): string {
  if (typeof value === "string") return `the text "${redact(value)}"`;
  if (typeof value === "number" || typeof value === "bigint") return `the number ${value}`;
  if (typeof value === "boolean") return `${value}`;
  if (value instanceof Date) return "a date";
  return Array.isArray(value) ? "a list" : "a table";
}

function valueAt(value: unknown, path: DocumentPath): unknown {
  return path.reduce<unknown>(
    (inner, key) =>
      typeof inner === "object" && inner !== null
        ? (inner as Record<string, unknown>)[key]
        : undefined,
    value,
  );
}

/** The keys that may be where the path leads. */
function knownKeys(path: DocumentPath): readonly string[] {
  let at: unknown = configSchema;
  for (const part of path) at = inside(at, part);
  const shape = (unwrapped(at) as { shape?: object }).shape;
  return shape === undefined ? [] : Object.keys(shape);
}

function unwrapped(schema: unknown): unknown {
  const inner = (schema as { def?: { innerType?: unknown } } | undefined)?.def?.innerType;
  return inner === undefined ? schema : unwrapped(inner);
}

function inside(schema: unknown, part: string | number): unknown {
  const { def, shape } = unwrapped(schema) as {
    def?: { element?: unknown; valueType?: unknown };
    shape?: Record<string, unknown>;
  };
  return shape?.[part] ?? def?.element ?? def?.valueType;
}

/** `databases.app.schema_only[1]`, with quotes where a key needs them. */
function printPath(path: DocumentPath): string {
  return path.map((part, index) => {
    if (typeof part === "number") return `[${part}]`;
    const key = /^[A-Za-z0-9_-]+$/.test(part) ? part : JSON.stringify(part);
    return index === 0 ? key : `.${key}`;
  }).join("");
}

/** As a reader of the file meets them. */
function inOrder(
  problems: readonly Problem[],
  name: string,
): readonly Problem[] {
  const line = ({ path }: Problem) => Number(/^:(\d+)/.exec(path.slice(name.length))?.[1] ?? 0);
  return [...problems].sort((a, b) => line(a) - line(b));
}
