/** PgBouncer before the source, in each mode. */
import { deepStrictEqual, match, rejects, strictEqual } from "node:assert/strict";
import { executeValidate } from "../../lib/commands/validate/validate.ts";
import { completeValidateOptions } from "../../lib/commands/shared/complete_options.ts";
import { ConnectionError } from "../../lib/postgres/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import { quietRun } from "../support/cutover_pair.ts";
import { dropDatabase, withDatabase } from "../support/databases.ts";
import { endpointOf, runInit } from "../support/init.ts";
import { hasPgBouncer, PgBouncer, type PoolMode } from "../support/pgbouncer.ts";
import { exec, query } from "../support/sql.ts";

const cluster = await sharedCluster(16);
const ignore = !await hasPgBouncer();

async function throughPool(
  mode: PoolMode,
  use: (urls: { name: string; pooled: string; target: string }) => Promise<void>,
): Promise<void> {
  await withDatabase(cluster, undefined, async ({ name, url }) => {
    await exec(url, "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1), (2)");
    await using pool = await PgBouncer.start(url, mode, { database: name });
    try {
      await use({ name, pooled: pool.url, target: cluster.url() });
    } finally {
      await dropDatabase(cluster, `${name}_copy`);
    }
  });
}

async function validate(
  { name, pooled, target }: { name: string; pooled: string; target: string },
) {
  return await executeValidate(
    completeValidateOptions({
      source: await endpointOf(pooled, "source"),
      target: await endpointOf(target, "target"),
      databases: { include: [name], exclude: [], map: { [name]: `${name}_copy` } },
      tools: { dump: "embedded", binDirectory: undefined, environment: {} },
      jobs: 2,
    }),
    quietRun,
  );
}

Deno.test({
  name: "statement mode is refused, and the direct route named",
  ignore,
  fn: () =>
    throughPool("statement", async (urls) => {
      const refused = (error: unknown) => {
        match(String(error), /pooler in statement mode, which does not allow transactions/);
        strictEqual((error as ConnectionError).remedy?.startsWith("connect directly"), true);
        return error instanceof ConnectionError && !error.transient;
      };
      await rejects(validate(urls), refused);
      await rejects(runInit(urls.pooled, urls.target), refused);
    }),
});

Deno.test({
  name: "transaction mode fails validate, and the direct route is named",
  ignore,
  fn: () =>
    throughPool("transaction", async (urls) => {
      const { checks } = await validate(urls);
      const [check] = checks.filter(({ id, side }) => id === "pooler" && side === "source");
      strictEqual(check?.status, "fail");
      match(check?.fix ?? "", /^connect directly/);
    }),
});

Deno.test({
  name: "session mode copies, although the pooler knows only one database",
  ignore,
  fn: () =>
    throughPool("session", async ({ name, pooled, target }) => {
      strictEqual((await validate({ name, pooled, target })).failures, 0);
      const { report } = await runInit(pooled, target, {
        include: [name],
        map: { [name]: `${name}_copy` },
        jobs: 2,
      });
      strictEqual(report.databases[0]?.tables[0]?.rows, 2);
      deepStrictEqual(
        await query(cluster.url({ database: `${name}_copy` }), "SELECT id FROM a ORDER BY id"),
        [{ id: 1 }, { id: 2 }],
      );
    }),
});
