/**
 * A configuration file: TOML → validated → rules and options, as flags would give them.
 *
 * @module
 */
import {
  hasUnreadableName,
  type Problem,
  redact,
  Secret,
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
import { keyOf } from "./options/option.ts";
import { allOptions } from "./options/table.ts";
import { type ConfigDocument, configSchema } from "./schema.ts";
import { schemaProblems } from "./schema_problems.ts";
import { type DocumentPath, readToml, type TomlSyntaxError } from "./toml_document.ts";
import { expandVariables } from "./variables.ts";

/** The content of a configuration file; undefined or empty where it has none. */
export interface Config {
  /** URL with its variables expanded. */
  readonly source: Secret | undefined;
  /** The target. */
  readonly target: Secret | undefined;
  /** Options with a single value, by name, as flags would have given them: `{ jobs: "4" }`. */
  readonly options: Readonly<Record<string, string>>;
  /** Databases to copy; empty for all. */
  readonly includeDatabases: readonly string[];
  /** Databases to leave out. */
  readonly excludeDatabases: readonly string[];
  /** Source name → target name. */
  readonly map: Readonly<Record<string, string>>;
  /** The table rules. */
  readonly rules: RulesReading["rules"];
  /** Where an option was written, for messages: `move.toml:3: index_jobs` for `indexJobs`. */
  readonly place: (option: string) => string;
}

/** The result of reading a file. */
export interface ConfigReading {
  /** Undefined if the file is not TOML of the right shape. */
  readonly config: Config | undefined;
  /** Everything that is wrong. */
  readonly problems: readonly Problem[];
}

/** What {@linkcode readConfig} needs. */
export interface ReadConfigOptions {
  /** The file's name, for messages. */
  readonly name: string;
  /** An environment variable, for `${NAME}`. */
  readonly lookUp: (name: string) => string | undefined;
}

/** Reads the text of a configuration file and reports every problem with its line. */
export function readConfig(text: string, { name, lookUp }: ReadConfigOptions): ConfigReading {
  const document = readToml(text);
  if ("error" in document) {
    return { config: undefined, problems: [syntaxProblem(document.error, name)] };
  }
  const { value, lineOf } = document;
  const place = (path: DocumentPath) => `${name}:${lineOf(path)}: ${printPath(path)}`;
  const unreadable = namesThatWouldBeLost(value, place);
  if (unreadable.length > 0) return { config: undefined, problems: unreadable };
  const parsed = configSchema.safeParse(value);
  if (!parsed.success) {
    const problems = schemaProblems(parsed.error, {
      ...{ schema: configSchema, value, place },
      ...{ keyWord: "key", objectWord: "table" },
    });
    return { config: undefined, problems: inOrder(problems, name) };
  }
  const reader = new DocumentReader(parsed.data, { place, lookUp });
  const { config, problems } = reader.read();
  return { config, problems: inOrder(problems, name) };
}

type Place = (path: DocumentPath) => string;

/** Refused, because a rule that is not read would copy what it excludes. */
function namesThatWouldBeLost(
  document: Readonly<Record<string, unknown>>,
  place: Place,
): readonly Problem[] {
  return ["databases", "map"].filter((key) => hasUnreadableName(document[key])).map((key) => ({
    path: place([key, unreadableName]),
    message: "a database of this name cannot be in a file: use flags",
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
      options: singleValues(document),
      includeDatabases: document.include_databases ?? [],
      excludeDatabases: document.exclude_databases ?? [],
      map: document.map ?? {},
      place: (option) => this.#place([keyOf(option)]),
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
    if (database === "") this.#problem(["databases", ""], "is an empty database name");
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
      this.#problem([key], `variable ${name} is not set, or may not be read (--allow-env=${name})`);
    }
    for (const each of malformed) {
      this.#problem(
        [key],
        `${redact(each)} is not a reference to a variable: write \${NAME} (and \${ itself as $\${)`,
      );
    }
    return missing.length + malformed.length > 0 ? undefined : new Secret(expanded);
  }
}

/** `schema` qualifies a bare `table`; `schema.table` is equivalent. */
function tableOf(table: string, schema: string | undefined): Reading<TablePattern> {
  const read = readRulePattern(table);
  if (schema === undefined || "problem" in read) return read;
  const named = readPartPattern(schema);
  if ("problem" in named) return named;
  const isBare = "problem" in readFilterPattern(table); // which requires two parts
  if (!isBare && JSON.stringify(read.value.schema) !== JSON.stringify(named.value)) {
    return { problem: `names schema "${schema}" and a different one in table "${table}"` };
  }
  return { value: { ...read.value, schema: named.value } };
}

/** URLs are secrets and stay out of it. */
function singleValues(document: ConfigDocument): Readonly<Record<string, string>> {
  const given: Readonly<Record<string, unknown>> = document;
  return Object.fromEntries(allOptions.flatMap(({ name, option }) => {
    const value = given[keyOf(name)];
    const isSingle = typeof value === "string" || typeof value === "number";
    return isSingle && option.kind !== "url" ? [[name, String(value)]] : [];
  }));
}

function syntaxProblem({ message, line, column }: TomlSyntaxError, name: string): Problem {
  return { path: `${name}:${line}`, message: `is not valid TOML: ${message} (column ${column})` };
}

/** `databases.app.schema_only[1]`, with keys quoted where TOML requires it. */
function printPath(path: DocumentPath): string {
  return path.map((part, index) => {
    if (typeof part === "number") return `[${part}]`;
    const key = /^[A-Za-z0-9_-]+$/.test(part) ? part : JSON.stringify(part);
    return index === 0 ? key : `.${key}`;
  }).join("");
}

/** By line. */
function inOrder(
  problems: readonly Problem[],
  name: string,
): readonly Problem[] {
  const line = ({ path }: Problem) => Number(/^:(\d+)/.exec(path.slice(name.length))?.[1] ?? 0);
  return [...problems].sort((a, b) => line(a) - line(b));
}
