import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { jobRunners } from "../../lib/commands/job_runners/job_runners.ts";
import { LocalKeyProvider } from "../../lib/remote/secrets/mod.ts";
import { denoEnvironment, repository } from "../support/cli.ts";
import { sharedCluster } from "../support/clusters.ts";
import { dropDatabase, withDatabase } from "../support/databases.ts";
import { compareRows, drain } from "../support/replicated.ts";
import {
  expireLeases,
  finished,
  jobSpec,
  openTestService,
  quickQueue,
  serviceTemplate,
  startTestWorker,
  type TestKey,
} from "../support/service.ts";
import { exec, query } from "../support/sql.ts";
import type { WorkerInput } from "./worker_program.ts";
import { waitUntil } from "../support/wait.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);
const template = await serviceTemplate(target);

/** A worker process; disposal kills it. */
class WorkerProcess implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #status: Promise<Deno.CommandStatus>;

  constructor(input: WorkerInput) {
    this.#process = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--quiet", "--no-prompt", `--config=${repository}deno.json`],
        ...[`--lock=${repository}deno.lock`, "--frozen", "--no-check", "-A"],
        fileURLToPath(new URL("./worker_program.ts", import.meta.url)),
        JSON.stringify(input),
      ],
      clearEnv: true,
      env: denoEnvironment(),
      stdin: "null",
      stdout: "null",
      stderr: "inherit",
    }).spawn();
    this.#status = this.#process.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#status;
  }
}

async function submit(key: TestKey, spec: Record<string, unknown>): Promise<string> {
  const response = await key.request("/v1/jobs", { json: jobSpec(spec) });
  const body = await response.json();
  strictEqual(response.status, 201, JSON.stringify(body));
  return body.id;
}

async function jobOf(key: TestKey, id: string): Promise<Record<string, unknown>> {
  return await (await key.request(`/v1/jobs/${id}`)).json();
}

/** More losses in a row than that end a job. */
const retryLimit = 1;

Deno.test("a sync job that applies changes outlasts any number of workers and any time, with every change exactly once", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const keyFile = `${folder}/keys`;
    const keys = await LocalKeyProvider.create(keyFile);
    await withDatabase(target, template, async ({ url: databaseUrl }) => {
      const queueSettings = { ...quickQueue, retryLimit };
      await using service = await openTestService(databaseUrl, { keys, queueSettings });
      await withDatabase(source, undefined, async ({ name, url }) => {
        const targetUrl = target.url({ database: name });
        // a change that is applied twice counts twice, and one without a key fails
        await exec(
          url,
          `CREATE TABLE counter (id int PRIMARY KEY, n int NOT NULL);
           INSERT INTO counter SELECT i, 0 FROM generate_series(1, 50) AS i;
           CREATE TABLE log (id int, at int)`,
        );
        const servers = {
          source_url: url,
          target_url: target.url(),
          filters: { include_databases: [name] },
        };
        const alice = await service.key("alice");
        try {
          {
            await using _worker = new WorkerProcess({ databaseUrl, keyFile });
            const options = { enable_sync: true, apply_from: "here", replica_identity: "full" };
            const id = await submit(alice, { ...servers, command: "init", options });
            const init = await finished(alice, id);
            deepStrictEqual([init.state, init.error], ["succeeded", null]);
          }
          const id = await submit(alice, {
            ...servers,
            command: "sync",
            options: { apply_from: "here" },
          });
          let written = 0;
          const write = async (count: number) => {
            for (let at = 0; at < count; at++) {
              written++;
              await exec(
                url,
                `BEGIN; UPDATE counter SET n = n + 1 WHERE id = ${1 + written % 50};
                 INSERT INTO log VALUES (${1 + written % 50}, ${written}); COMMIT`,
              );
            }
          };
          const applied = async () =>
            Number((await query(targetUrl, "SELECT count(*)::int AS n FROM log"))[0]!["n"]);
          const workers = new Set<unknown>();
          const lost = 3 * retryLimit;
          for (let round = 0; round < lost; round++) {
            const before = await applied();
            await write(50);
            {
              await using _worker = new WorkerProcess({ databaseUrl, keyFile, retryLimit });
              await waitUntil("the worker applies", async () => {
                await write(5);
                return await applied() >= before + 20;
              });
              await waitUntil("earlier losses no longer count", async () =>
                (await query(
                  databaseUrl,
                  `SELECT FROM seren_remote_queue.job
                    WHERE state = 'active' AND retry_limit = retry_count + $1`,
                  [retryLimit],
                )).length === 1);
              const job = await jobOf(alice, id);
              deepStrictEqual(
                [job.state, job.error, job.timeout_seconds],
                ["running", null, null],
              );
              workers.add(job.worker);
              await write(20);
            } // killed
            await write(20);
            await expireLeases(service);
            // neither the job's time limit nor what the queue retains ends it
            await query(
              databaseUrl,
              `UPDATE seren_remote.jobs SET started_at = started_at - interval '1 year' WHERE id = $1::text::uuid`,
              [id],
            );
            await query(
              databaseUrl,
              `UPDATE seren_remote_queue.job SET started_on = started_on - interval '1 year',
                      keep_until = keep_until - interval '1 year' WHERE state IN ('active', 'retry')`,
            );
          }
          strictEqual(workers.size, lost);
          const startWorker = () =>
            startTestWorker(
              service,
              jobRunners({
                jobs: 2,
                splitBytes: 1024 ** 3,
                maxDiffs: 10,
                slotTimeoutMs: 60_000,
                now: () => new Date(),
              }),
              { queueSettings, drainMs: 600_000 },
            );
          {
            await using worker = await startWorker();
            await drain(url);
            await waitUntil(
              "the job lasts",
              async () => (await jobOf(alice, id)).state === "running",
            );
            // at once, although its other jobs could continue for ten minutes
            await worker.end();
            strictEqual((await jobOf(alice, id)).state, "queued");
          }
          await using _worker = await startWorker();
          await write(5);
          await drain(url);
          ok(await compareRows(url, targetUrl) > 200);
          strictEqual(await applied(), written);
          await (await alice.request(`/v1/jobs/${id}/cancel`, { method: "POST" })).body?.cancel();
          // the only way in which it ends
          const ended = await finished(alice, id);
          deepStrictEqual([ended.state, ended.exit_code, ended.attempt], [
            "succeeded",
            0,
            lost + 2,
          ]);
          const { databases } = ended.result as {
            readonly databases: readonly {
              readonly streams: readonly { readonly applied: { readonly changes: number } }[];
            }[];
          };
          ok(databases[0]!.streams[0]!.applied.changes > 0);
        } finally {
          await query(
            url,
            `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots
              WHERE database = current_database() AND active`,
          );
          await exec(
            url,
            `DO $$ BEGIN
               FOR attempt IN 1..100 LOOP
                 EXIT WHEN NOT EXISTS (SELECT FROM pg_replication_slots WHERE database = current_database() AND active);
                 PERFORM pg_sleep(0.1);
               END LOOP;
             END $$;
             SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()`,
          );
          await dropDatabase(target, name);
        }
      });
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
