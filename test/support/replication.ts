import { query, withSession } from "./sql.ts";

/** One publication, slot and subscription, created with plain SQL as the tool does. */
export interface Replication {
  /** The name of all three. */
  readonly name: string;
  readonly sourceUrl: string;
  readonly targetUrl: string;
}

/** A name in the tool's format: `seren_` and a hash. */
export function replicationName(): string {
  return `seren_${crypto.randomUUID().replaceAll("-", "").slice(0, 16)}`;
}

/**
 * Publishes tables of the source, creates the slot, and subscribes to it without copying. The
 * target commits synchronously, which makes its worker report immediately; by default a
 * subscription reports up to a second later.
 */
export async function replicate(
  sourceUrl: string,
  targetUrl: string,
  {
    name = replicationName(),
    tables = [],
    options = "synchronous_commit = 'on'",
    from = sourceUrl,
  }: {
    readonly name?: string;
    /** Quoted names; empty for all tables. */
    readonly tables?: readonly string[];
    /** Additional options of CREATE SUBSCRIPTION. Default: `synchronous_commit = 'on'`. */
    readonly options?: string;
    /** The connection string by which the target reaches the source. */
    readonly from?: string;
  } = {},
): Promise<Replication> {
  const what = tables.length === 0 ? "ALL TABLES" : `TABLE ${tables.join(", ")}`;
  await query(sourceUrl, `CREATE PUBLICATION "${name}" FOR ${what}`);
  await query(sourceUrl, "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [name]);
  await query(
    targetUrl,
    `CREATE SUBSCRIPTION "${name}" CONNECTION '${conninfo(from)}' PUBLICATION "${name}"
       WITH (copy_data = false, create_slot = false, slot_name = '${name}'${
      options === "" ? "" : `, ${options}`
    })`,
  );
  return { name, sourceUrl, targetUrl };
}

/** Converts a URL to a libpq connection string. */
export function conninfo(url: string): string {
  const { hostname, port, username, pathname } = new URL(url);
  const database = decodeURIComponent(pathname.slice(1)).replace(/[\\']/g, "\\$&");
  return `host=${hostname} port=${port} user=${username} dbname=''${database}''`;
}

/** Drops all three objects, as far as they exist. */
export async function endReplication({ name, sourceUrl, targetUrl }: Replication): Promise<void> {
  const [subscription] = await query(
    targetUrl,
    "SELECT FROM pg_subscription WHERE subname = $1",
    [name],
  );
  if (subscription !== undefined) {
    for (const action of ["DISABLE", "SET (slot_name = NONE)"]) {
      await query(targetUrl, `ALTER SUBSCRIPTION "${name}" ${action}`);
    }
    await query(targetUrl, `COMMENT ON SUBSCRIPTION "${name}" IS NULL`);
    await query(targetUrl, `DROP SUBSCRIPTION "${name}"`);
  }
  await until(
    sourceUrl,
    `SELECT pg_drop_replication_slot(slot_name) IS NULL AS ok FROM pg_replication_slots
      WHERE slot_name = '${name}' AND NOT active
     UNION ALL
     SELECT true WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '${name}')`,
  );
  await query(sourceUrl, `DROP PUBLICATION IF EXISTS "${name}"`);
}

/** Waits until the column `ok` of a query's first row is true. */
export async function until(url: string, sql: string): Promise<void> {
  await withSession(url, async (session) => {
    const deadline = performance.now() + 60_000;
    for (;;) {
      const [row] = await session.unsafe(sql).simple() as unknown as { ok: boolean }[];
      if (row?.ok === true) return;
      if (performance.now() > deadline) throw new Error(`never became true: ${sql}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
}
