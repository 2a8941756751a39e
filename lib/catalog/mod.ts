/**
 * Read-only queries about a server: databases, tables, sequences, privileges, extensions, provider.
 *
 * Requires no permissions besides those of the session.
 *
 * @example List the largest tables of a database
 * ```ts
 * import { listTables } from "@seren/postgres-replicator/catalog";
 * import { openSession, resolveEndpoint } from "@seren/postgres-replicator/postgres";
 *
 * await using session = await openSession(
 *   await resolveEndpoint(Deno.env.get("SOURCE_URL")!, { side: "source" }),
 * );
 * const tables = await listTables(session);
 * for (const { schema, name, bytes } of tables.toSorted((a, b) => b.bytes - a.bytes).slice(0, 10)) {
 *   console.log(`${schema}.${name}: ${bytes} bytes`);
 * }
 * ```
 *
 * @module
 */
export {
  type AnalyzeReason,
  type AvailableExtension,
  type ClusterFacts,
  type Database,
  type DatabaseChoice,
  type DatabasePrivileges,
  type DatabaseSelectors,
  type Extension,
  type KeyBounds,
  listAvailableExtensions,
  listDatabases,
  type ListDatabasesOptions,
  listExtensions,
  listSequences,
  listTableAccess,
  listTables,
  type LocaleProvider,
  type Provider,
  type ProviderId,
  readClusterFacts,
  readColumns,
  readDatabasePrivileges,
  readProvider,
  readRolePrivileges,
  readSequenceValues,
  readSourceTables,
  type ReplicaIdentity,
  type RolePrivileges,
  selectDatabases,
  type SelectedDatabase,
  type Sequence,
  type SequenceValue,
  type Table,
  type TableAccess,
  type TableColumn,
  type ToastMethod,
} from "./internal.ts";
