/**
 * Compares a target with a snapshot of its source, in plain SQL that shares nothing with the copy
 * engine.
 *
 * @module
 */
import { ExitCode, ownSchemaList, quoteQualified, ReplicatorError } from "../../core/internal.ts";
import { type Endpoint, openSession, type Session } from "../../postgres/internal.ts";

/** One table on both sides. */
export interface ComparedTable {
  readonly schema: string;
  readonly name: string;
  readonly sourceRows: number;
  /** Undefined if the table does not exist on the target. */
  readonly targetRows: number | undefined;
  /** Whether every value of every row is equal. */
  readonly equal: boolean;
}

/** The number of objects of one kind on both sides. */
export interface ComparedKind {
  readonly kind: string;
  readonly source: number;
  readonly target: number;
}

/** The result of a comparison. */
export interface DemoComparison {
  readonly tables: readonly ComparedTable[];
  readonly kinds: readonly ComparedKind[];
  readonly equal: boolean;
}

/** A snapshot of the source, unaffected by later writes. States: open → disposed. */
export class SourceAtSnapshot implements AsyncDisposable {
  readonly #session: Session;

  private constructor(session: Session) {
    this.#session = session;
  }

  /** Takes a snapshot. */
  static async take(endpoint: Endpoint, signal: AbortSignal): Promise<SourceAtSnapshot> {
    const session = await openSession(endpoint, { signal });
    try {
      await session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY");
      return new SourceAtSnapshot(session);
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /** Compares with a target: number of objects of each kind, row counts and checksums. */
  async compare(target: Endpoint, signal: AbortSignal): Promise<DemoComparison> {
    await using targetSession = await openSession(target, { signal });
    const [sourceKinds, targetKinds, tables] = await Promise.all([
      countKinds(this.#session),
      countKinds(targetSession),
      listTableNames(this.#session),
    ]);
    const compared: ComparedTable[] = [];
    for (const table of tables) {
      const [source, copy] = await Promise.all([
        sumUp(this.#session, table),
        sumUp(targetSession, table),
      ]);
      if (source === undefined) {
        throw new ReplicatorError(
          `table ${table.schema}.${table.name} was dropped during the comparison`,
          {
            side: "source",
            exitCode: ExitCode.stepFailed,
          },
        );
      }
      compared.push({
        ...table,
        sourceRows: source.rows,
        targetRows: copy?.rows,
        equal: source.rows === copy?.rows && source.checksum === copy.checksum,
      });
    }
    const kinds = [...sourceKinds].map(([kind, count]) => ({
      kind,
      source: count,
      target: targetKinds.get(kind) ?? 0,
    }));
    return {
      tables: compared,
      kinds,
      equal: compared.every(({ equal }) => equal) &&
        kinds.every(({ source, target }) => source === target),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session.close();
  }
}

interface Name {
  readonly schema: string;
  readonly name: string;
}

const userSchemas =
  `n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', ${ownSchemaList})`;

/** Logged tables that store rows themselves, which excludes partitioned parents. */
async function listTableNames(session: Session): Promise<readonly Name[]> {
  return await session.query<Name & Record<string, unknown>>(`
    SELECT n.nspname AS schema, c.relname AS name
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND ${userSchemas}
    ORDER BY pg_catalog.pg_table_size(c.oid) DESC, 1, 2`);
}

/**
 * Number and order-independent checksum of all rows as text; undefined if the table does not exist.
 */
async function sumUp(
  session: Session,
  { schema, name }: Name,
): Promise<{ readonly rows: number; readonly checksum: string } | undefined> {
  const table = quoteQualified(schema, name);
  const { exists } = await session.queryOne<{ exists: boolean }>(
    "SELECT pg_catalog.to_regclass($1) IS NOT NULL AS exists",
    [table],
  );
  if (!exists) return undefined;
  // a sum of hashes is independent of row order, and equal rows do not cancel out as with XOR
  const { rows, checksum } = await session.queryOne<{ rows: string; checksum: string }>(`
    SELECT pg_catalog.count(*)::pg_catalog.text AS rows,
           coalesce(pg_catalog.sum(('x' || pg_catalog.substr(pg_catalog.md5(t::pg_catalog.text), 1, 16))::bit(64)::bigint::numeric), 0)::pg_catalog.text AS checksum
    FROM ONLY ${table} AS t`);
  return { rows: Number(rows), checksum };
}

async function countKinds(session: Session): Promise<ReadonlyMap<string, number>> {
  const rows = await session.query<{ kind: string; count: number }>(`
    SELECT kind, pg_catalog.count(*)::int AS count
    FROM (
      SELECT CASE c.relkind
               WHEN 'r' THEN 'tables' WHEN 'p' THEN 'partitioned tables' WHEN 'v' THEN 'views'
               WHEN 'm' THEN 'materialized views' WHEN 'S' THEN 'sequences' ELSE 'indexes' END AS kind
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'i', 'I') AND ${userSchemas}
      UNION ALL
      SELECT 'functions'
      FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
      WHERE ${userSchemas}
      UNION ALL
      SELECT 'types'
      FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
      WHERE ${userSchemas} AND t.typelem = 0
      UNION ALL
      -- NOT NULL constraints have catalog entries since version 18
      SELECT CASE o.contype WHEN 'f' THEN 'foreign keys' ELSE 'other constraints' END
      FROM pg_catalog.pg_constraint o JOIN pg_catalog.pg_namespace n ON n.oid = o.connamespace
      WHERE ${userSchemas} AND o.contype <> 'n'
      UNION ALL
      SELECT 'triggers' FROM pg_catalog.pg_trigger WHERE NOT tgisinternal AND tgname NOT LIKE 'seren\\_fence%'
      UNION ALL
      SELECT 'policies' FROM pg_catalog.pg_policy
    ) AS objects
    GROUP BY kind
    ORDER BY kind`);
  return new Map(rows.map(({ kind, count }) => [kind, count]));
}
