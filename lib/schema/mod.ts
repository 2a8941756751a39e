/**
 * Schema, roles and database properties: read with `pg_dump` (installed or embedded) and from the
 * catalogs, applied statement by statement to what the target allows.
 *
 * Requires `--allow-net` for both servers. With installed programs: `--allow-run` of them and
 * `--allow-write` of the temporary folder; with the embedded `pg_dump`: `--allow-read` of Deno's
 * npm cache.
 *
 * @example Print the schema of a database, without an installed pg_dump
 * ```ts
 * import { resolveEndpoint } from "@seren/postgres-replicator/postgres";
 * import { dumpSchemaText, findDumpTool } from "@seren/postgres-replicator/schema";
 *
 * const tool = await findDumpTool({ sourceMajor: 15, targetMajor: 17 }, {
 *   dump: "embedded",
 *   binDirectory: undefined,
 *   environment: {},
 * });
 * const endpoint = await resolveEndpoint(Deno.env.get("SOURCE_URL")!, { side: "source" });
 * console.log(await dumpSchemaText({ endpoint, tool }));
 * ```
 *
 * @module
 */
export {
  type Adaptation,
  type ApplyOptions,
  applyStatements,
  type CommonSettingObject,
  type DatabaseGrant,
  type DatabaseProperties,
  type DumpedRoleAttributes,
  dumpGlobals,
  type DumpGlobalsOptions,
  dumpSchema,
  type DumpSchemaOptions,
  dumpSchemaText,
  type DumpStatement,
  type DumpTool,
  findDumpTool,
  findInstalledTools,
  type GlobalObject,
  type Globals,
  type InstalledTools,
  type MembershipObject,
  type ParameterGrantObject,
  readDatabaseProperties,
  readDump,
  type RoleObject,
  SchemaError,
  type SchemaSection,
  type SecurityLabel,
  type ServerMajors,
  type SetAsideObject,
  type SetAsideSink,
  type SetAsideStatement,
  type Setting,
  type StatementRecord,
  type TablespaceObject,
  type ToolPreference,
  type ToolRunOptions,
  type ToolSearch,
} from "./internal.ts";
