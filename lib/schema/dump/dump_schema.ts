/**
 * Dumps the schema of one database, by section, as of a snapshot.
 *
 * @module
 */
import { ownSchemas, quoteIdentifier, type TableName } from "../../core/internal.ts";
import { ConnectionError, type Endpoint } from "../../postgres/internal.ts";
import { hasInheritance, withColumnOrder } from "../parse/column_order.ts";
import { type DumpStatement, readDump } from "../parse/dump_reader.ts";
import { type DumpSections, splitSections } from "../parse/dump_sections.ts";
import type { DumpTool } from "./dump_tool.ts";
import { runEmbeddedDump } from "./embedded_dump.ts";
import { readInheritedColumns } from "./inherited_columns.ts";
import { withoutReservedOptions } from "../parse/reserved_options.ts";
import { runTool, type ToolRunOptions } from "./tool_run.ts";

/** The sections of a dump without data. */
export type SchemaSection = "pre-data" | "post-data";

/** What {@linkcode dumpSchema} takes. */
export interface DumpSchemaOptions {
  /** The database. */
  readonly endpoint: Endpoint;
  /** The pg_dump to use. */
  readonly tool: DumpTool;
  /**
   * The database's encoding. SQL_ASCII text is dumped as raw bytes.
   *
   * @default "UTF8"
   */
  readonly encoding?: string | undefined;
  /**
   * Objects before or after the data: `pre-data` or `post-data`.
   *
   * @default both
   */
  readonly section?: SchemaSection | undefined;
  /**
   * Tables, views and sequences to exclude, with everything that belongs to them: indexes,
   * triggers, policies, comments, privileges. Objects that merely refer to them (foreign keys of
   * other tables, functions) are still dumped.
   */
  readonly without?: readonly TableName[] | undefined;
  /**
   * Dumps only these tables with their indexes, keys, triggers and owned sequences, without types
   * and functions.
   */
  readonly only?: readonly TableName[] | undefined;
  /** Name of an exported snapshot; the exporting session must be open. */
  readonly snapshot?: string | undefined;
  /** Aborts the dump. */
  readonly signal?: AbortSignal | undefined;
  /** Called before an installed pg_dump is run again. */
  readonly onRetry?: ToolRunOptions["onRetry"];
}

/**
 * Dumps a section as statements, with owners, privileges, comments and security labels, but without
 * publications, subscriptions, large objects, statistics and server-internal options. Child tables
 * keep the order of their columns.
 *
 * Requires the permissions of {@linkcode runTool} or {@linkcode runEmbeddedDump}.
 */
export async function dumpSchema(options: DumpSchemaOptions): Promise<readonly DumpStatement[]> {
  return await inSourceOrder(await readStatements(options), options);
}

/** Dumps both sections with one run of pg_dump; otherwise like {@linkcode dumpSchema}. */
export async function dumpSections(
  options: Omit<DumpSchemaOptions, "section">,
): Promise<DumpSections> {
  const { preData, postData } = splitSections(await readStatements(options));
  return { preData: await inSourceOrder(preData, options), postData };
}

async function readStatements(options: DumpSchemaOptions): Promise<readonly DumpStatement[]> {
  return withoutReservedOptions(readDump(await dumpSchemaText(options)))
    .filter(({ sql }) => sql !== commentOfNewDatabases);
}

async function inSourceOrder(
  statements: readonly DumpStatement[],
  options: DumpSchemaOptions,
): Promise<readonly DumpStatement[]> {
  if (!hasInheritance(statements)) return statements;
  return withColumnOrder(statements, await readInheritedColumns(options));
}

/** Every new database has it; pg_dump omits it unless it quotes names. */
const commentOfNewDatabases = `COMMENT ON SCHEMA "public" IS 'standard public schema';`;

/**
 * The same as plain SQL, exactly as pg_dump wrote it: in UTF-8, or in the database's own encoding
 * if that is SQL_ASCII or cannot be converted. `decodeOpaque` documents how such bytes are read.
 */
export async function dumpSchemaText(options: DumpSchemaOptions): Promise<string> {
  const { encoding = "UTF8" } = options;
  if (encoding === "UTF8" || encoding === "SQL_ASCII") return await dumpIn(encoding, options);
  try {
    return await dumpIn("UTF8", options);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof ConnectionError) throw error;
    // text that cannot be converted can still be copied; any other cause fails again
    return await dumpIn(encoding, options).catch(() => {
      throw error;
    });
  }
}

async function dumpIn(encoding: string, options: DumpSchemaOptions): Promise<string> {
  const { endpoint, tool, signal, onRetry } = options;
  const args = dumpArguments(options);
  if (tool.kind === "embedded") return await runEmbeddedDump({ endpoint, args, encoding, signal });
  return await runTool({
    program: tool.pgDump,
    major: tool.major,
    args: [`--encoding=${encoding}`, ...args],
    endpoint,
    environment: tool.environment,
    signal,
    ...(onRetry === undefined ? {} : { onRetry }),
  });
}

function dumpArguments(
  { tool, section, snapshot, without = [], only = [] }: DumpSchemaOptions,
): readonly string[] {
  const sections = section === undefined ? ["pre-data", "post-data"] : [section];
  return [
    ...sections.map((name) => `--section=${name}`),
    ...(snapshot === undefined ? [] : [`--snapshot=${snapshot}`]),
    // a name may be a keyword on the target only; the source quotes definitions too
    "--quote-all-identifiers",
    "-B", // --no-large-objects, which has another name before 16
    "--no-publications",
    "--no-subscriptions",
    ...exclusionPatterns(only).map((pattern) => `--table=${pattern}`),
    ...ownSchemas.map((schema) => `--exclude-schema=${quoteIdentifier(schema)}`),
    ...exclusionPatterns(without).map((pattern) => `--exclude-table=${pattern}`),
    ...(tool.major >= 18 ? ["--no-statistics"] : []),
  ];
}

/**
 * Relations per pattern: pg_dump sends one query per pattern, and a long alternation takes long to
 * compile.
 */
const relationsPerPattern = 100;

/**
 * pg_dump patterns that match exactly these relations: `"s"."a"|"b"`. Inside double quotes all
 * characters are literal; outside `|` is alternation.
 *
 * Source: PostgreSQL documentation, "psql", Patterns.
 */
function exclusionPatterns(relations: readonly TableName[]): readonly string[] {
  const bySchema = Map.groupBy(relations, ({ schema }) => schema);
  return [...bySchema].flatMap(([schema, inSchema]) => {
    const patterns: string[] = [];
    for (let from = 0; from < inSchema.length; from += relationsPerPattern) {
      const names = inSchema.slice(from, from + relationsPerPattern)
        .map(({ name }) => quoteIdentifier(name));
      patterns.push(`${quoteIdentifier(schema)}.${names.join("|")}`);
    }
    return patterns;
  });
}
