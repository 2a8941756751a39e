import { deepStrictEqual, ok } from "node:assert/strict";
import type { Cluster } from "../../lib/cluster/mod.ts";
import { until } from "./replication.ts";
import { readStream, type TestKey, type TestService } from "./service.ts";
import { query } from "./sql.ts";

/** The large table has no key: a duplicate part would not be rejected but detected. */
export const sharedShop = `
  CREATE TABLE big (id int, note text);
  INSERT INTO big SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, 12000) AS i;
  DO $$ BEGIN
    FOR i IN 1..30 LOOP
      EXECUTE format('CREATE TABLE small_%s AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, 50) AS g', i);
      EXECUTE format('ALTER TABLE small_%s ADD PRIMARY KEY (id)', i);
    END LOOP;
  END $$;
  CREATE INDEX ON big (id);`;

/** Every row of every table, by plain SQL. */
async function contents(url: string): Promise<unknown> {
  const tables = await query<{ name: string }>(
    url,
    "SELECT format('%I', relname) AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1",
  );
  const all: unknown[] = [];
  for (const { name } of tables) {
    const rows = await query(
      url,
      `SELECT count(*)::int AS rows, md5(string_agg(t::text, ',' ORDER BY t::text COLLATE "C")) AS content FROM ${name} AS t`,
    );
    all.push([name, ...rows]);
  }
  const indexes = await query(
    url,
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
  );
  return [all, indexes];
}

/** Both sides have the same rows and indexes, and the target contains no leftovers of the tool. */
export async function isCopied(
  { source, target }: { readonly source: Cluster; readonly target: Cluster },
  name: string,
): Promise<void> {
  const [from, to] = await Promise.all(
    [source, target].map((cluster) => contents(cluster.url({ database: name }))),
  );
  deepStrictEqual(to, from);
  deepStrictEqual(
    await query(
      target.url({ database: name }),
      "SELECT FROM pg_namespace WHERE nspname = 'seren_ledger'",
    ),
    [],
  );
}

/** The name of the first helper that joins the copy. */
export async function helperOf(key: TestKey, id: string): Promise<string> {
  const helps = /^worker (\S+) is helping/;
  const messages = await readStream(
    await key.request(`/v1/jobs/${id}/events`),
    ({ event, data }) => event === "end" || helps.test(messageOf(data)),
  );
  const [, name] = helps.exec(messageOf(messages.at(-1)!.data)) ?? [];
  ok(name, JSON.stringify(messages.at(-1)));
  return name;
}

function messageOf(data: Record<string, unknown>): string {
  return (data.event as { readonly message?: string } | undefined)?.message ?? "";
}

/** The lines of a job's log. */
export async function logOf(key: TestKey, id: string): Promise<string> {
  const { lines } = await (await key.request(`/v1/jobs/${id}/logs?limit=1000`)).json();
  return lines.map(({ message }: { message: string }) => message).join("\n");
}

/** Parts copied by the helpers of a job that were not killed. */
export async function partsOfHelpers({ databaseUrl }: TestService, id: string): Promise<number> {
  const [row] = await query(
    databaseUrl,
    `SELECT coalesce(sum((result ->> 'parts')::int), 0)::int AS parts FROM seren_remote.jobs
      WHERE parent_id = '${id}' AND state = 'succeeded'`,
  );
  return Number(row?.["parts"]);
}

/** Resolves when a helper has received bytes of its parts. */
export async function hasClaimed({ databaseUrl }: TestService, worker: string): Promise<void> {
  await until(
    databaseUrl,
    `SELECT EXISTS (
       SELECT FROM seren_remote.copy_parts AS p
         JOIN seren_remote.copy_members AS m USING (copy_id, member)
        WHERE m.worker = '${worker}' AND m.number > 0 AND NOT p.done) AS ok`,
  );
}
