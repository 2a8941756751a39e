/** How index builds share the target's memory and parallel workers. */
import { deepStrictEqual } from "node:assert/strict";
import { IndexBuilder } from "../../lib/copy/internal.ts";
import { resolveEndpoint } from "../../lib/postgres/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import { exec, query } from "../support/sql.ts";

const target = await sharedCluster(15);

Deno.test("the last index gets the parallel workers and the memory that the others shared", async () => {
  await withDatabase(target, undefined, async ({ url }) => {
    await exec(url, "CREATE TABLE a (i int, j int); CREATE TABLE b (i int)");
    const [server] = await query(
      url,
      `SELECT least(current_setting('max_parallel_workers')::int, current_setting('max_worker_processes')::int) AS workers`,
    );
    const index = (table: string, column: string) => ({
      type: "INDEX",
      name: `${table}_${column}`,
      sql: `CREATE INDEX ${table}_${column} ON public.${table} (${column});`,
    });
    const group = (name: string, ...columns: readonly string[]) => ({
      table: { schema: "public", name },
      statements: columns.map((column) => index(name, column)),
      partitioned: false,
    });
    const builds: { readonly name: string | undefined; readonly workers: number }[] = [];
    let memory: readonly number[] = [];
    const builder = new IndexBuilder({
      target: await resolveEndpoint(url, { side: "target" }),
      targetMajor: 15,
      groups: [group("a", "i", "j"), group("b", "i")],
      analyze: [],
      statistics: undefined,
      sessionStatements: [],
      jobs: 1,
      laterJobs: 3,
      signal: new AbortController().signal,
      events: () => {},
      database: "copy",
      apply: async (session, statements) => {
        for (const { name, sql } of statements) {
          const { workers, kilobytes } = await session.queryOne<
            { readonly workers: number; readonly kilobytes: number }
          >(`SELECT current_setting('max_parallel_maintenance_workers')::int AS workers,
                    pg_size_bytes(current_setting('maintenance_work_mem'))::int / 1024 AS kilobytes`);
          builds.push({ name, workers });
          memory = [...memory, kilobytes];
          await session.execute(sql);
        }
      },
      isDone: () => false,
      onReopened: () => Promise.resolve(),
      retryDelaysMs: [],
    });
    const large = 1024 ** 3;
    builder.ready({ schema: "public", name: "b" }, large);
    builder.ready({ schema: "public", name: "a" }, large / 2);
    await builder.finish();
    const workers = Number(server?.workers);
    const shared = Math.max(2, Math.floor(workers / 4));
    deepStrictEqual(builds, [
      { name: "b_i", workers: shared },
      { name: "a_i", workers: shared },
      { name: "a_j", workers },
    ]);
    deepStrictEqual(memory.map((one) => one > memory[0]! * 3), [false, false, true]);
  });
});
