import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { rotateKey } from "../../lib/remote/api/mod.ts";
import { LocalKeyProvider, OpenedSecrets, sealSecrets } from "../../lib/remote/secrets/mod.ts";
import type { JobRunner, JobRunners } from "../../lib/remote/worker/mod.ts";
import { runCli } from "../support/cli.ts";
import { CertificateAuthority } from "../support/certificates.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import { Running } from "../support/running.ts";
import {
  finished,
  jobSpec,
  openTestService,
  quickQueue,
  serviceTemplate,
  startTestWorker,
  type TestKey,
  type TestService,
} from "../support/service.ts";
import { query } from "../support/sql.ts";
import { waitUntil } from "../support/wait.ts";

const cluster = await sharedCluster(17);
const template = await serviceTemplate(cluster);

async function withService(use: (service: TestService) => Promise<void>): Promise<void> {
  await withDatabase(cluster, template, async ({ url }) => {
    await using service = await openTestService(url);
    await use(service);
  });
}

async function submit(key: TestKey, change: Record<string, unknown> = {}): Promise<string> {
  const response = await key.request("/v1/jobs", { json: jobSpec(change) });
  const body = await response.json();
  strictEqual(response.status, 201, JSON.stringify(body));
  return body.id;
}

/** A runner that reports this size, and returns its attempt. */
function measuring(bytes: number): JobRunners {
  const init: JobRunner<"init"> = (_, { attempt, onMeasured }) => {
    onMeasured(bytes);
    return Promise.resolve({ exitCode: 0, result: attempt });
  };
  return { init };
}

Deno.test("a job of unknown size is measured and moved to the queue for its size, which does not count as an attempt", async () => {
  await withService(async (service) => {
    const alice = await service.key("alice");
    const runners = measuring(200 * 1024 ** 3);
    const measured = await submit(alice, { command: "init" });
    await using _small = await startTestWorker(service, runners, {
      name: "small",
      queues: ["small"],
    });
    await using _large = await startTestWorker(service, runners, {
      name: "large",
      queues: ["large"],
    });
    const moved = await finished(alice, measured);
    deepStrictEqual(
      [moved.state, moved.queue, moved.worker, moved.attempt, moved.result],
      ["succeeded", "large", "large", 1, 1],
    );
    const { lines } = await (await alice.request(`/v1/jobs/${measured}/logs`)).json();
    match(
      lines.map(({ message }: { message: string }) => message).join("\n"),
      /attempt 1 on worker small[^]*moved to queue large after measuring its size[^]*attempt 1 on worker large/,
    );
    // an estimated size decides the queue
    const said = await finished(
      alice,
      await submit(alice, { command: "init", estimated_bytes: 1 }),
    );
    deepStrictEqual([said.queue, said.worker, said.attempt], ["small", "small", 1]);
    deepStrictEqual(
      await query(
        service.databaseUrl,
        "SELECT DISTINCT state::text, retry_count FROM seren_remote_queue.job",
      ),
      [{ state: "completed", retry_count: 0 }],
    );
  });
});

Deno.test("a key and its successor share rate limit and quota", async () => {
  await withService(async (service) => {
    const limits = {
      jobs_per_day: 2,
      most_running: 1,
      requests_per_second: 0.01,
      request_burst: 6,
    };
    const alice = await service.key("alice", { limits });
    const first = await submit(alice);
    const made = await service.service.pool.transaction((session) =>
      rotateKey(session, { id: alice.id, overlapSeconds: 600, expiresInDays: undefined }, {
        actor: "test",
      })
    );
    ok(made !== undefined);
    const successor: TestKey = {
      ...alice,
      request: (path, init = {}) =>
        alice.request(path, { ...init, headers: { ...init.headers, "x-api-key": made.key } }),
    };
    const second = await submit(successor);
    for (const key of [alice, successor]) {
      const response = await key.request("/v1/jobs", { json: jobSpec() });
      strictEqual(response.status, 429);
      match((await response.json()).detail, /within a day, its limit is /);
    }
    // jobs of both keys belong to the user and to one group
    const jobs = await query<{ id: string }>(
      service.databaseUrl,
      "SELECT id::text FROM seren_remote.jobs ORDER BY created_at",
    );
    deepStrictEqual(jobs.map(({ id }) => id), [first, second]);
    deepStrictEqual(
      await query(
        service.databaseUrl,
        "SELECT count(DISTINCT group_id)::int AS groups FROM seren_remote_queue.job",
      ),
      [{ groups: 1 }],
    );
    // four of six tokens are used: two remain for either key
    const statuses: number[] = [];
    for (const key of [alice, successor, alice, successor]) {
      const response = await key.request("/v1/me");
      await response.body?.cancel();
      statuses.push(response.status);
    }
    deepStrictEqual(statuses, [200, 200, 429, 429]);
  });
});

Deno.test("a worker with a longer heartbeat than the instance keeps its job", async () => {
  await withService(async (service) => {
    const alice = await service.key("alice");
    const heard = async () => {
      const [row] = await query<{ at: string | null }>(
        service.databaseUrl,
        "SELECT heartbeat_on::text AS at FROM seren_remote_queue.job WHERE state = 'active'",
      );
      return row?.at;
    };
    const init: JobRunner<"init"> = async (_, { attempt }) => {
      const first = await heard();
      // with its own setting it would be silent for 40 s, and considered lost after 10
      await waitUntil("a heartbeat", async () => attempt > 1 || await heard() !== first);
      return { exitCode: 0, result: attempt };
    };
    await using _worker = await startTestWorker(service, { init }, {
      queueSettings: { ...quickQueue, heartbeatSeconds: 120 },
    });
    const job = await finished(alice, await submit(alice, { command: "init" }));
    deepStrictEqual([job.state, job.attempt, job.result], ["succeeded", 1, 1]);
  });
});

Deno.test("ended jobs are deleted after their retention, their log lines and events earlier, and running jobs never", async () => {
  await withService(async (service) => {
    const alice = await service.key("alice");
    const ids: Record<string, string> = {};
    const ages = { "11 days": "gone", "6 days": "bare", "1 day": "whole" } as const;
    for (const age of Object.values(ages)) {
      ids[age] = await submit(alice);
      await (await alice.request(`/v1/jobs/${ids[age]}/cancel`, { method: "POST" })).text();
    }
    ids["waiting"] = await submit(alice);
    const backdate = [
      "UPDATE seren_remote.jobs SET created_at = now() - interval '20 days'",
      ...Object.entries(ages).map(([interval, age]) =>
        `UPDATE seren_remote.jobs SET finished_at = now() - interval '${interval}' WHERE id = '${
          ids[age]
        }'`
      ),
    ];
    for (const statement of backdate) await query(service.databaseUrl, statement);
    const folder = await Deno.makeTempDir({ dir: "/tmp" });
    await using stack = new AsyncDisposableStack();
    stack.defer(() => Deno.remove(folder, { recursive: true }));
    await LocalKeyProvider.create(`${folder}/keys`);
    const env = { SEREN_DATABASE_URL: service.databaseUrl };
    const options = ["--key-file", `${folder}/keys`, "--queues", "huge"];
    stack.use(new Running(["worker", ...options, "--keep-jobs", "10", "--keep-logs", "5"], env));
    const left = async () => {
      const rows = await query<{ id: string; events: number; lines: number }>(
        service.databaseUrl,
        `SELECT id::text, (SELECT count(*)::int FROM seren_remote.job_events WHERE job_id = id) AS events,
                (SELECT count(*)::int FROM seren_remote.job_logs WHERE job_id = id) AS lines
           FROM seren_remote.jobs`,
      );
      return Object.fromEntries(rows.map(({ id, events, lines }) => [id, [events, lines]]));
    };
    const wanted = {
      [ids["bare"]!]: [0, 0],
      [ids["whole"]!]: [2, 2],
      [ids["waiting"]!]: [1, 1],
    };
    await waitUntil("what is over is deleted", async () => {
      const rest = await left();
      return Object.keys(rest).length <= 3 && rest[ids["bare"]!]![0] === 0;
    });
    deepStrictEqual(await left(), wanted);
    strictEqual(
      (await alice.request(`/v1/jobs/${ids["gone"]}`).then(async (r) => (await r.text(), r)))
        .status,
      404,
    );
    strictEqual((await (await alice.request(`/v1/jobs/${ids["bare"]}`)).json()).state, "cancelled");
    // the audit trail is kept
    const [audit] = await query<{ count: number }>(
      service.databaseUrl,
      `SELECT count(*)::int AS count FROM seren_remote.audit WHERE object = '${ids["gone"]}'`,
    );
    strictEqual(audit?.count, 2);
  });
});

Deno.test("over TLS, a client accepts only certificates of authorities that it trusts", async () => {
  const folder = await Deno.makeTempDir({ dir: "/tmp" });
  try {
    await LocalKeyProvider.create(`${folder}/keys`);
    const authority = await CertificateAuthority.create();
    const { certPem, keyPem } = await authority.server();
    const path = (name: string) => `${folder}/${name}.pem`;
    await Deno.writeTextFile(path("ca"), authority.certPem);
    await Deno.writeTextFile(path("chain"), certPem);
    await Deno.writeTextFile(path("key"), keyPem);
    const tls = ["--tls-cert", path("chain"), "--tls-key", path("key")];
    await withDatabase(cluster, template, async ({ url: database }) => {
      const service = { SEREN_DATABASE_URL: database };
      const listen = ["--listen", "127.0.0.1:0", "--key-file", `${folder}/keys`];
      await using serve = new Running(["serve", ...listen, ...tls], service);
      const [, url = ""] = await serve.says(/listening on (https:\S+)/);
      const made = await runCli(["keys", "create", "--owner", "alice"], { env: service });
      strictEqual(made.code, 0, made.stderr);
      const env = { SEREN_REMOTE_API: url, SEREN_API_KEY: made.stdout.trim() };
      const [trusting, doubting] = await Promise.all([
        runCli(["jobs", "list"], { env: { ...env, DENO_CERT: path("ca") } }),
        runCli(["jobs", "list"], { env }),
      ]);
      strictEqual(trusting.code, 0, trusting.stderr);
      ok(doubting.code !== 0);
      match(doubting.stderr, /cannot be reached.*certificate/);
      strictEqual(await serve.kill("SIGTERM"), 0);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("keys rotate-encryption adds a key to the file: it encrypts new secrets, older ones can still be decrypted", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/keys`;
    const before = await LocalKeyProvider.create(path);
    const jobId = crypto.randomUUID();
    const sealed = await sealSecrets(before, { jobId, secrets: { old: "one" } });
    const { code, stdout, stderr } = await runCli([
      "keys",
      "rotate-encryption",
      "--key-file",
      path,
    ]);
    strictEqual(code, 0, stderr);
    const [, added = ""] = /^key (\S+) was added/.exec(stdout) ?? [];
    const after = await LocalKeyProvider.open(path);
    using opened = await OpenedSecrets.open(after, { jobId, sealed });
    deepStrictEqual(opened.secrets, { old: "one" });
    strictEqual((await sealSecrets(after, { jobId, secrets: {} })).keyId, added);
    strictEqual((await runCli(["keys", "rotate-encryption"])).code, 2);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
