import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { jobRunners } from "../../lib/commands/job_runners/job_runners.ts";
import { sharedCluster } from "../support/clusters.ts";
import { dropDatabase, withDatabase } from "../support/databases.ts";
import { compareRows, drain } from "../support/replicated.ts";
import {
  finished,
  jobSpec,
  openTestService,
  readStream,
  serviceTemplate,
  startTestWorker,
  type TestKey,
} from "../support/service.ts";
import { exec, query, withSession } from "../support/sql.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);
const template = await serviceTemplate(target);

const runners = jobRunners({
  jobs: 2,
  splitBytes: 1024 ** 3,
  maxDiffs: 10,
  slotTimeoutMs: 60_000,
  now: () => new Date(),
});

async function submit(key: TestKey, spec: Record<string, unknown>): Promise<string> {
  const response = await key.request("/v1/jobs", { json: jobSpec(spec) });
  const body = await response.json();
  strictEqual(response.status, 201, JSON.stringify(body));
  return body.id;
}

Deno.test("an init job hands over to replication; a sync job reports the lag, and cancelling it does not end replication", async () => {
  await withDatabase(target, template, async ({ url: serviceUrl }) => {
    await using service = await openTestService(serviceUrl);
    await withDatabase(source, undefined, async ({ name, url }) => {
      const targetUrl = target.url({ database: name });
      await exec(
        url,
        `CREATE TABLE orders (id int PRIMARY KEY, note text NOT NULL);
         INSERT INTO orders SELECT i, 'note ' || i FROM generate_series(1, 500) AS i`,
      );
      const servers = {
        source_url: url,
        target_url: target.url(),
        filters: { include_databases: [name] },
      };
      const alice = await service.key("alice");
      await using _worker = await startTestWorker(service, runners);
      const run = async (spec: Record<string, unknown>) =>
        await finished(alice, await submit(alice, { ...servers, ...spec }));
      try {
        const init = await run({ command: "init", options: { enable_sync: true } });
        deepStrictEqual([init.state, init.exit_code, init.error], ["succeeded", 0, null]);

        // the target cannot apply what is written meanwhile, so the job has to wait
        await withSession(targetUrl, async (session) => {
          await session.unsafe("BEGIN; LOCK TABLE orders IN SHARE MODE").simple();
          await exec(
            url,
            "INSERT INTO orders SELECT i, 'late' FROM generate_series(501, 2000) AS i",
          );
          const id = await submit(alice, { ...servers, command: "sync" });
          const events = await readStream(
            await alice.request(`/v1/jobs/${id}/events`),
            ({ event, data }) =>
              event === "end" ||
              (data.event as { kind?: string } | undefined)?.kind === "replication-lag",
          );
          const last = events.at(-1)!.data.event as { database: string; bytes: number } | undefined;
          ok(last !== undefined, JSON.stringify(events));
          strictEqual(last.database, name);
          ok(last.bytes > 0);
          await (await alice.request(`/v1/jobs/${id}/cancel`, { method: "POST" })).body?.cancel();
          const cancelled = await finished(alice, id);
          deepStrictEqual([cancelled.state, cancelled.exit_code], ["cancelled", 130]);
          await session.unsafe("ROLLBACK").simple();
        });
        deepStrictEqual(
          await query(
            targetUrl,
            "SELECT subenabled FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
          ),
          [{ subenabled: true }],
        );
        await drain(url);
        await compareRows(url, targetUrl);
        strictEqual((await query(targetUrl, "SELECT FROM orders")).length, 2000);

        const sync = await run({ command: "sync" });
        deepStrictEqual([sync.state, sync.exit_code, sync.error], ["succeeded", 0, null]);
        const status = await run({ command: "status" });
        deepStrictEqual([status.state, status.exit_code], ["succeeded", 0]);
        ok(JSON.stringify(status.result).includes(name));
      } finally {
        await dropDatabase(target, name);
      }
    });
  });
});
