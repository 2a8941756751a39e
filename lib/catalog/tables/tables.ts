/**
 * Reads the tables whose rows are to be copied.
 *
 * @module
 */
import { ownSchemaList, type TableName } from "../../core/internal.ts";
import { catalogResultBytes, type Session } from "../../postgres/internal.ts";
import { readColumns, type TableColumn } from "./columns.ts";
import { notOfExtension } from "../extension_members.ts";
import { readPlanningHazards } from "../expressions/planning_hazards.ts";

/** What identifies rows for replicated UPDATE and DELETE. */
export type ReplicaIdentity = "primary-key" | "index" | "full" | "nothing";

/** An ordinary table or a leaf partition. */
export type Table = TableName & {
  readonly oid: number;
  /**
   * Columns whose values are copied, in the table's order; generated ones are omitted.
   */
  readonly columns: readonly TableColumn[];
  /** Bytes of rows and TOAST, without indexes. */
  readonly bytes: number;
  /** TOAST's share of `bytes`. */
  readonly toastBytes: number;
  /** Blocks of the table itself, for ranges of `ctid`. */
  readonly blocks: number;
  /** The planner's estimate; undefined if there is none yet. */
  readonly rowEstimate: number | undefined;
  readonly isUnlogged: boolean;
  readonly isPartition: boolean;
  /** For a partition, the topmost partitioned table. */
  readonly partitionRoot: TableName | undefined;
  /** `heap`, or an extension's access method. */
  readonly accessMethod: string;
  readonly hasPrimaryKey: boolean;
  readonly replicaIdentity: ReplicaIdentity;
  readonly hasRowSecurity: boolean;
  /** Whether the owner is subject to row security too. */
  readonly forcesRowSecurity: boolean;
  /**
   * For an extension's configuration table: the condition for user rows, empty for all rows.
   */
  readonly extensionCondition: string | undefined;
  /**
   * Why a query of the table would run a function that neither a superuser nor the session's role
   * owns: `index i calls m.f with constants`. COPY of the whole table is not a query.
   */
  readonly planningHazard?: string | undefined;
};

const statement = `
  WITH configuration AS (
    SELECT member.oid, member.condition
      FROM pg_catalog.pg_extension AS e
     CROSS JOIN LATERAL unnest(e.extconfig, e.extcondition) AS member (oid, condition)
  )
  SELECT n.nspname AS schema, c.relname AS name, c.oid,
         coalesce(pg_catalog.pg_relation_size(c.oid), 0)::pg_catalog.float8
           + CASE WHEN c.reltoastrelid = 0 THEN 0
                  ELSE coalesce(pg_catalog.pg_relation_size(c.reltoastrelid), 0)::pg_catalog.float8 END AS bytes,
         CASE WHEN c.reltoastrelid = 0 THEN 0
              ELSE coalesce(pg_catalog.pg_relation_size(c.reltoastrelid), 0)::pg_catalog.float8 END AS toast_bytes,
         pg_catalog.ceil(coalesce(pg_catalog.pg_relation_size(c.oid), 0)::pg_catalog.float8
           / pg_catalog.current_setting('block_size')::pg_catalog.float8)::pg_catalog.float8 AS blocks,
         CASE WHEN c.reltuples < 0 OR (c.reltuples = 0 AND c.relpages = 0) THEN NULL
              ELSE c.reltuples::pg_catalog.float8 END AS row_estimate,
         c.relpersistence = 'u' AS is_unlogged,
         c.relispartition AS is_partition,
         root_schema.nspname AS root_schema, root.relname AS root_name,
         coalesce(am.amname, 'heap') AS access_method,
         EXISTS (SELECT FROM pg_catalog.pg_index AS i
                  WHERE i.indrelid = c.oid AND i.indisprimary) AS has_primary_key,
         CASE WHEN c.relreplident = 'f' THEN 'full'
              WHEN c.relreplident = 'd' AND EXISTS (
                   SELECT FROM pg_catalog.pg_index AS i
                    WHERE i.indrelid = c.oid AND i.indisprimary
                      AND i.indisvalid AND i.indimmediate) THEN 'primary-key'
              WHEN c.relreplident = 'i' AND EXISTS (
                   SELECT FROM pg_catalog.pg_index AS i
                    WHERE i.indrelid = c.oid AND i.indisreplident
                      AND i.indisvalid AND i.indimmediate) THEN 'index'
              ELSE 'nothing' END AS replica_identity,
         c.relrowsecurity AS has_row_security, c.relforcerowsecurity AS forces_row_security,
         configuration.condition AS extension_condition
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_am AS am ON am.oid = c.relam
    LEFT JOIN pg_catalog.pg_class AS root ON c.relispartition AND root.oid = pg_catalog.pg_partition_root(c.oid)
    LEFT JOIN pg_catalog.pg_namespace AS root_schema ON root_schema.oid = root.relnamespace
    LEFT JOIN configuration ON configuration.oid = c.oid
   WHERE c.relkind = 'r' AND c.relpersistence <> 't'
     AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', ${ownSchemaList})
     AND (configuration.oid IS NOT NULL
          OR ${notOfExtension("pg_class", "c.oid")})
   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"`;

type CatalogTableRow = {
  readonly schema: string;
  readonly name: string;
  readonly oid: number;
  readonly bytes: number;
  readonly toast_bytes: number;
  readonly blocks: number;
  readonly row_estimate: number | null;
  readonly is_unlogged: boolean;
  readonly is_partition: boolean;
  readonly root_schema: string | null;
  readonly root_name: string | null;
  readonly access_method: string;
  readonly has_primary_key: boolean;
  readonly replica_identity: ReplicaIdentity;
  readonly has_row_security: boolean;
  readonly forces_row_security: boolean;
  readonly extension_condition: string | null;
};

/**
 * All tables with rows to copy, by schema and name: ordinary tables, leaf partitions and
 * configuration tables of extensions; not system tables, temporary tables and other tables of
 * extensions.
 *
 * Inside a transaction the result is as of its snapshot, except sizes.
 */
export async function listTables(session: Session): Promise<readonly Table[]> {
  const rows = await session.query<CatalogTableRow>(statement, [], {
    resultBytes: catalogResultBytes,
  });
  const columns = await readColumns(session, rows.map(({ oid }) => oid));
  const hazards = await readPlanningHazards(session, { trusting: true });
  return rows.map((row) => ({
    schema: row.schema,
    name: row.name,
    oid: row.oid,
    columns: columns.get(row.oid) ?? [],
    bytes: row.bytes,
    toastBytes: row.toast_bytes,
    blocks: row.blocks,
    rowEstimate: row.row_estimate ?? undefined,
    isUnlogged: row.is_unlogged,
    isPartition: row.is_partition,
    partitionRoot: row.root_schema === null || row.root_name === null
      ? undefined
      : { schema: row.root_schema, name: row.root_name },
    accessMethod: row.access_method,
    hasPrimaryKey: row.has_primary_key,
    replicaIdentity: row.replica_identity,
    hasRowSecurity: row.has_row_security,
    forcesRowSecurity: row.forces_row_security,
    extensionCondition: row.extension_condition ?? undefined,
    ...(hazards.has(row.oid) ? { planningHazard: hazards.get(row.oid) } : {}),
  }));
}
