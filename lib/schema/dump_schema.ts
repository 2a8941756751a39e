/**
 * The schema of one database, by sections, as of a snapshot.
 *
 * @module
 */
import { ledgerSchema, quoteIdentifier, type TableName } from "../core/internal.ts";
import { ConnectionError, type Endpoint } from "../postgres/internal.ts";
import { hasInheritance, withColumnOrder } from "./column_order.ts";
import { type DumpStatement, readDump } from "./dump_reader.ts";
import type { DumpTool } from "./dump_tool.ts";
import { runEmbeddedDump } from "./embedded_dump.ts";
import { readInheritedColumns } from "./inherited_columns.ts";
import { withoutReservedOptions } from "./reserved_options.ts";
import { runTool, type ToolRunOptions } from "./tool_run.ts";

/** The sections of a dump that hold no data. */
export type SchemaSection = "pre-data" | "post-data";

/** What {@linkcode dumpSchema} takes. */
export interface DumpSchemaOptions {
  /** The database. */
  readonly endpoint: Endpoint;
  /** Which pg_dump. */
  readonly tool: DumpTool;
  /** Of the database. In SQL_ASCII texts come as the bytes that they are. Default: `UTF8`. */
  readonly encoding?: string | undefined;
  /** Both when undefined. */
  readonly section?: SchemaSection | undefined;
  /**
   * Tables, views and sequences that are not dumped, nor what belongs to them: indexes, triggers,
   * policies, comments, privileges. What merely refers to them (keys of other tables, functions) is
   * dumped all the same.
   */
  readonly without?: readonly TableName[] | undefined;
  /**
   * Only these tables, with what belongs to them: indexes, keys, triggers, sequences that they own;
   * not types and functions.
   */
  readonly only?: readonly TableName[] | undefined;
  /** An exported snapshot's name; the session that exported it must be open. */
  readonly snapshot?: string | undefined;
  /** Ends the dump. */
  readonly signal?: AbortSignal | undefined;
  /** Told before an installed pg_dump is run again. */
  readonly onRetry?: ToolRunOptions["onRetry"];
}

/**
 * Dumps a section as statements, with owners, privileges, comments and security labels; without
 * publications, subscriptions, large objects and statistics, and without options that only servers
 * set. Tables that inherit keep the order of their columns.
 *
 * Permissions as for {@linkcode runTool} or {@linkcode runEmbeddedDump}.
 */
export async function dumpSchema(options: DumpSchemaOptions): Promise<readonly DumpStatement[]> {
  const statements = withoutReservedOptions(readDump(await dumpSchemaText(options)))
    .filter(({ sql }) => sql !== commentOfNewDatabases);
  if (!hasInheritance(statements)) return statements;
  return withColumnOrder(statements, await readInheritedColumns(options));
}

/** Every new database has it, and pg_dump leaves it out unless it quotes the name. */
const commentOfNewDatabases = `COMMENT ON SCHEMA "public" IS 'standard public schema';`;

/**
 * The same as plain SQL, exactly as pg_dump wrote it: in UTF-8, or in the database's own encoding,
 * which is SQL_ASCII or has characters that Unicode lacks. `decodeOpaque` says how such bytes are
 * read.
 */
export async function dumpSchemaText(options: DumpSchemaOptions): Promise<string> {
  const { encoding = "UTF8" } = options;
  if (encoding === "UTF8" || encoding === "SQL_ASCII") return await dumpIn(encoding, options);
  try {
    return await dumpIn("UTF8", options);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof ConnectionError) throw error;
    // what cannot be converted can still be copied; if something else was wrong, it still is
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
    // what is no keyword for the source can be one for the target; the source's own definitions are
    // quoted by it too
    "--quote-all-identifiers",
    "-B", // large objects; the long name changed in 16
    "--no-publications",
    "--no-subscriptions",
    ...exclusionPatterns(only).map((pattern) => `--table=${pattern}`),
    `--exclude-schema=${quoteIdentifier(ledgerSchema)}`,
    ...exclusionPatterns(without).map((pattern) => `--exclude-table=${pattern}`),
    ...(tool.major >= 18 ? ["--no-statistics"] : []),
  ];
}

/**
 * Relations in one pattern: pg_dump asks the server once for each pattern, and a long alternation
 * takes long to compile.
 */
const relationsPerPattern = 100;

/**
 * Patterns of pg_dump for exactly these relations: `"s"."a"|"b"`. In double quotes no character has
 * a meaning, outside of them `|` is the one of regular expressions.
 *
 * Source: PostgreSQL documentation, "psql", Patterns.
 */
export function exclusionPatterns(relations: readonly TableName[]): readonly string[] {
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
