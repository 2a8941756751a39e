import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { ReplicatorError } from "../../lib/core/internal.ts";
import { openSession } from "../../lib/postgres/internal.ts";
import { AddressGuard, readAllowList } from "../../lib/remote/guard/mod.ts";
import { RemoteClient } from "../../lib/remote/mod.ts";
import type { JobRunner, JobRunners, RunnerContext } from "../../lib/remote/worker/mod.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import { startProxy } from "../support/proxy.ts";
import {
  expireLeases,
  finished,
  jobSpec,
  openTestService,
  readStream,
  serviceTemplate,
  startTestWorker,
  type TestKey,
  type TestService,
} from "../support/service.ts";
import { query } from "../support/sql.ts";
import { startTestCluster } from "../support/test_cluster.ts";

const cluster = await sharedCluster(16);
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

async function cancel(key: TestKey, id: string): Promise<Response> {
  const response = await key.request(`/v1/jobs/${id}/cancel`, { method: "POST" });
  await response.body?.cancel();
  return response;
}

/** A runner that reports its start, and runs until it is aborted or finished by the test. */
function held() {
  const runs: { readonly context: RunnerContext; readonly finish: (result?: unknown) => void }[] =
    [];
  const waiters: { readonly count: number; readonly resolve: () => void }[] = [];
  const runner: JobRunner = (_, context) =>
    new Promise((resolve, reject) => {
      const abort = () => reject(context.signal.reason);
      if (context.signal.aborted) return abort();
      context.signal.addEventListener("abort", abort, { once: true });
      runs.push({
        context,
        finish: (result = null) => {
          context.signal.removeEventListener("abort", abort);
          resolve({ exitCode: 0, result });
        },
      });
      for (const { count, resolve } of waiters) if (runs.length >= count) resolve();
    });
  return {
    runs,
    runners: { validate: runner, init: runner } as JobRunners,
    /** Resolves when this many runs have started. */
    reached: (count: number): Promise<void> => {
      if (runs.length >= count) return Promise.resolve();
      const { promise, resolve } = Promise.withResolvers<void>();
      waiters.push({ count, resolve });
      return promise;
    },
  };
}

Deno.test("events are streamed as they happen, can be resumed after any of them, and end with the job", async () => {
  await withService(async (service) => {
    const alice = await service.key("alice");
    const { runners, runs, reached } = held();
    await using _worker = await startTestWorker(service, runners);
    const id = await submit(alice);
    await reached(1);
    const { context, finish } = runs[0]!;
    context.events({ kind: "info", message: "one" });
    context.events({ kind: "step-started", step: "data" });
    for (let bytes = 0; bytes <= 1000; bytes++) {
      context.events({ kind: "table-progress", database: "a", table: "t", bytes });
    }
    const first = await readStream(
      await alice.request(`/v1/jobs/${id}/events`),
      ({ data }) => (data.event as { kind: string } | undefined)?.kind === "table-progress",
    );
    deepStrictEqual(first.map(({ id }) => id), first.map((_, index) => index + 1));
    deepStrictEqual(
      first.filter(({ event }) => event === "run").map(({ data }) =>
        (data.event as { kind: string }).kind
      ),
      ["info", "step-started", "table-progress"],
    );
    context.events({ kind: "info", message: "two" });
    finish({ answer: 42 });
    const rest = await readStream(
      await alice.request(`/v1/jobs/${id}/events`, {
        headers: { "last-event-id": String(first.at(-1)!.id) },
      }),
      ({ event }) => event === "end",
    );
    deepStrictEqual(rest.map(({ event }) => event), ["run", "state", "end"]);
    deepStrictEqual(rest.at(-1)!.data, { state: "succeeded", exit_code: 0 });
    // from the middle, of a stream that has ended
    const middle = await readStream(
      await alice.request(`/v1/jobs/${id}/events`, { headers: { "last-event-id": "2" } }),
      ({ event }) => event === "end",
    );
    strictEqual(middle[0]!.id, 3);
    const job = await (await alice.request(`/v1/jobs/${id}`)).json();
    deepStrictEqual([job.result, job.progress.step, job.progress.bytes], [
      { answer: 42 },
      "data",
      1000,
    ]);
    const { lines } = await (await alice.request(`/v1/jobs/${id}/logs`)).json();
    match(
      lines.map(({ message }: { message: string }) => message).join("\n"),
      /accepted[^]*one[^]*two[^]*succeeded/,
    );
  });
});

Deno.test("a queued job is cancelled immediately, a running one by its worker, an ended one not at all", async () => {
  await withService(async (service) => {
    const alice = await service.key("alice");
    const waiting = await submit(alice);
    strictEqual((await cancel(alice, waiting)).status, 202);
    const { state, exit_code } = await finished(alice, waiting);
    deepStrictEqual([state, exit_code], ["cancelled", 130]);
    const { runners, runs, reached } = held();
    await using _worker = await startTestWorker(service, runners);
    const running = await submit(alice);
    await reached(1);
    strictEqual((await cancel(alice, running)).status, 202);
    const ended = await finished(alice, running);
    deepStrictEqual([ended.state, ended.exit_code], ["cancelled", 130]);
    strictEqual((await cancel(alice, running)).status, 202);
    const done = await submit(alice);
    await reached(2);
    runs[1]!.finish();
    strictEqual((await finished(alice, done)).state, "succeeded");
    strictEqual((await cancel(alice, done)).status, 409);
    strictEqual(runs.length, 2);
  });
});

Deno.test("a job that exceeds its timeout ends as timed out and is not retried", async () => {
  await withService(async (service) => {
    const alice = await service.key("alice");
    const { runners, runs } = held();
    await using _worker = await startTestWorker(service, runners);
    const id = await submit(alice, { timeout_seconds: 1 });
    const job = await finished(alice, id);
    deepStrictEqual([job.state, job.exit_code], ["timed_out", 8]);
    strictEqual(runs.length, 1);
    const messages = await query(
      service.databaseUrl,
      "SELECT state::text FROM seren_remote_queue.job",
    );
    deepStrictEqual(messages, [{ state: "completed" }]);
  });
});

Deno.test("an unreachable server is retried later; any other error ends the job with its exit code", async () => {
  await withService(async (service) => {
    const alice = await service.key("alice");
    let attempts = 0;
    await using _worker = await startTestWorker(service, {
      validate: () => {
        attempts++;
        if (attempts === 1) throw new ReplicatorError("away", { exitCode: 4, side: "source" });
        return Promise.resolve({ exitCode: 0, result: attempts });
      },
      init: () => {
        throw new ReplicatorError("no room", { exitCode: 8, side: "target", remedy: "make room" });
      },
    });
    const away = await finished(alice, await submit(alice));
    deepStrictEqual([away.state, away.attempt, away.result], ["succeeded", 2, 2]);
    const full = await finished(alice, await submit(alice, { command: "init" }));
    deepStrictEqual([full.state, full.exit_code, full.error], ["failed", 8, {
      message: "no room",
      side: "target",
      object: null,
      remedy: "make room",
      details: [],
    }]);
  });
});

Deno.test("a worker that shuts down returns its jobs to the queue, which does not count as a retry", async () => {
  await withService(async (service) => {
    const alice = await service.key("alice");
    const { runners, runs, reached } = held();
    const first = await startTestWorker(service, runners);
    const id = await submit(alice);
    await reached(1);
    const checkpoint = runs[0]!.context.checkpoints("abc");
    await checkpoint.write("half way, with planted-checkpoint in it");
    await first.end();
    await using _second = await startTestWorker(service, runners);
    await reached(2);
    strictEqual(
      await runs[1]!.context.checkpoints("abc").read(),
      "half way, with planted-checkpoint in it",
    );
    const stored = await query(
      service.databaseUrl,
      "SELECT ciphertext FROM seren_remote.job_checkpoints",
    );
    ok(stored.length === 1 && !String(stored[0]!.ciphertext).includes("planted"));
    runs[1]!.finish();
    const job = await finished(alice, id);
    deepStrictEqual([job.state, job.attempt], ["succeeded", 2]);
    deepStrictEqual(
      await query(service.databaseUrl, "SELECT FROM seren_remote.job_checkpoints"),
      [],
    );
    deepStrictEqual(await query(service.databaseUrl, "SELECT FROM seren_remote.job_secrets"), []);
  });
});

Deno.test("writes of an attempt count only while it is the latest", async () => {
  await withService(async (service) => {
    const alice = await service.key("alice");
    const { runners, runs, reached } = held();
    await using _worker = await startTestWorker(service, runners);
    const id = await submit(alice);
    await reached(1);
    // as if the queue had delivered the message again, to another worker
    await query(
      service.databaseUrl,
      "UPDATE seren_remote_queue.job SET retry_count = retry_count + 1",
    );
    await query(service.databaseUrl, "UPDATE seren_remote.jobs SET attempt = attempt + 1");
    const refused = await runs[0]!.context.checkpoints("abc").write("late").then(
      () => false,
      () => true,
    );
    ok(refused);
    ok(runs[0]!.context.signal.aborted);
    const { state, attempt } = await (await alice.request(`/v1/jobs/${id}`)).json();
    deepStrictEqual([state, attempt], ["running", 2]);
  });
});

Deno.test("a key's limit on running jobs applies to all workers together, and keys take turns", async () => {
  await withService(async (service) => {
    const alice = await service.key("alice", { limits: { most_running: 2 } });
    const bob = await service.key("bob");
    const { runners, runs, reached } = held();
    for (let job = 0; job < 6; job++) await submit(alice);
    const bobs = await submit(bob);
    await using _one = await startTestWorker(service, runners, { concurrency: 3 });
    await using _two = await startTestWorker(service, runners, { concurrency: 3 });
    await reached(3);
    const states = async (key: TestKey) => {
      const { jobs } = await (await key.request("/v1/jobs")).json();
      return jobs.map(({ state }: { state: string }) => state).sort();
    };
    deepStrictEqual(await states(alice), [
      "queued",
      "queued",
      "queued",
      "queued",
      "running",
      "running",
    ]);
    deepStrictEqual(await states(bob), ["running"]);
    // three jobs end, so exactly two more of alice's start
    for (const { finish } of runs.splice(0, 3)) finish();
    await finished(bob, bobs);
    await reached(2);
    deepStrictEqual((await states(alice)).filter((state: string) => state === "running").length, 2);
    for (const { finish } of runs.splice(0)) finish();
    await reached(2);
    for (const { finish } of runs.splice(0)) finish();
    for (const { id } of (await (await alice.request("/v1/jobs")).json()).jobs) {
      strictEqual((await finished(alice, id)).attempt, 1);
    }
  });
});

Deno.test("workers only claim jobs of their queues", async () => {
  await withService(async (service) => {
    const alice = await service.key("alice");
    const { runners, runs, reached } = held();
    await using _worker = await startTestWorker(service, runners, { queues: ["huge"] });
    const small = await submit(alice, { estimated_bytes: 1 });
    const huge = await submit(alice, { estimated_bytes: 2 * 1024 ** 4 });
    await reached(1);
    const [a, b] = await Promise.all(
      [small, huge].map(async (id) => await (await alice.request(`/v1/jobs/${id}`)).json()),
    );
    deepStrictEqual([a.queue, a.state, b.queue, b.state], ["small", "queued", "huge", "running"]);
    runs[0]!.finish();
    await finished(alice, huge);
  });
});

Deno.test("a job whose workers were lost too many times fails, through the dead letter queue", async () => {
  await withService(async (service) => {
    const alice = await service.key("alice");
    const id = await submit(alice);
    await query(
      service.databaseUrl,
      `UPDATE seren_remote_queue.job
          SET state = 'active', started_on = now() - interval '1 hour', heartbeat_on = now() - interval '1 hour',
              retry_count = retry_limit`,
    );
    // every worker runs maintenance, whatever its queues
    await using _worker = await startTestWorker(service, {}, {
      queues: ["huge"],
      maintenanceEveryMs: 100,
    });
    const job = await finished(alice, id);
    deepStrictEqual([job.state, job.exit_code], ["failed", 1]);
    match((job.error as { message: string }).message, /lost too many times/);
    deepStrictEqual(await query(service.databaseUrl, "SELECT FROM seren_remote.job_secrets"), []);
  });
});

Deno.test("a lasting job has no time limit but its own, returns to the queue at a shutdown, and fails after losses without progress", async () => {
  await withService(async (service) => {
    const alice = await service.key("alice");
    const { runners, runs, reached } = held();
    const first = await startTestWorker(service, runners, { drainMs: 600_000 });
    const id = await submit(alice);
    const limited = await submit(alice, { timeout_seconds: 3600 });
    await reached(2);
    for (const { context } of runs) await context.onLasting();
    await first.end();
    const job = async (id: string) => await (await alice.request(`/v1/jobs/${id}`)).json();
    deepStrictEqual(
      [await job(id), await job(limited)].map((each) => [each.state, each.timeout_seconds]),
      [["queued", null], ["queued", 3600]],
    );
    const second = await startTestWorker(service, runners);
    await reached(4);
    await query(
      service.databaseUrl,
      "UPDATE seren_remote_queue.job SET retry_count = retry_limit WHERE state = 'active'",
    );
    await expireLeases(service);
    for (const each of [id, limited]) {
      const ended = await finished(alice, each);
      deepStrictEqual([ended.state, ended.exit_code], ["failed", 1]);
      match((ended.error as { message: string }).message, /lost too many times/);
    }
    await second.end();
  });
});

Deno.test("a client resumes after its connection broke, without missing or repeated events", async () => {
  await withService(async (service) => {
    const alice = await service.key("alice");
    const { runners, runs, reached } = held();
    await using _worker = await startTestWorker(service, runners);
    const id = await submit(alice);
    await reached(1);
    const { port } = new URL(service.service.url);
    await using proxy = await startProxy({ host: "127.0.0.1", port: Number(port) });
    const retries: number[] = [];
    const client = new RemoteClient({
      url: `http://127.0.0.1:${proxy.port}`,
      apiKey: alice.key,
      traceId: "0".repeat(31) + "1",
      signal: new AbortController().signal,
      onRetry: (_, attempt) => void retries.push(attempt),
    });
    const messages: string[] = [];
    const numbers: (number | undefined)[] = [];
    runs[0]!.context.events({ kind: "info", message: "event 1" });
    for await (const message of client.follow(id)) {
      numbers.push(message.number);
      if (message.kind !== "run") continue;
      const { event } = message;
      if (event.kind === "info") messages.push(event.message);
      if (messages.length === 3) runs[0]!.finish();
      else {
        await proxy.cut();
        runs[0]!.context.events({ kind: "info", message: `event ${messages.length + 1}` });
      }
    }
    ok(retries.length >= 2);
    deepStrictEqual(messages, ["event 1", "event 2", "event 3"]);
    deepStrictEqual(numbers, [...numbers.slice(0, -1).map((_, index) => index + 1), undefined]);
  });
});

Deno.test("the worker checks addresses again, whatever the API accepted", async () => {
  await withService(async (service) => {
    const alice = await service.key("alice");
    let ran = false;
    await using _worker = await startTestWorker(service, {
      validate: () => {
        ran = true;
        return Promise.resolve({ exitCode: 0, result: null });
      },
    }, { guard: new AddressGuard(readAllowList([]).allow) });
    const job = await finished(alice, await submit(alice));
    deepStrictEqual([job.state, job.exit_code, ran], ["failed", 2, false]);
    match((job.error as { message: string }).message, /does not connect to \(this machine\)/);
  });
});

Deno.test("a worker connects to the address that was checked, even if the name resolves differently later", async () => {
  await withService(async (service) => {
    const alice = await service.key("alice");
    let asked = 0;
    // the first answer is allowed; later ones resolve to a forbidden address
    const guard = new AddressGuard(readAllowList([cluster.host]).allow, () => {
      asked++;
      return Promise.resolve([asked <= 2 ? cluster.host : "169.254.169.254"]);
    });
    await using _worker = await startTestWorker(service, {
      validate: async ({ source }, { signal }) => {
        await using session = await openSession(source, { signal });
        const row = await session.queryOne<{ n: number }>("SELECT 42 AS n");
        return { exitCode: 0, result: row.n };
      },
    }, { guard });
    const url = `postgresql://${cluster.superuser}@rebinding.invalid:${cluster.port}/postgres`;
    const job = await finished(alice, await submit(alice, { source_url: url, target_url: url }));
    deepStrictEqual([job.state, job.result, asked], ["succeeded", 42, 2]);
  });
});

Deno.test("a run waits for the service's database while it is briefly unavailable, and does not reveal where it is", async () => {
  const settings = { fsync: "on", synchronous_commit: "on" };
  await using own = await startTestCluster({ major: 17, settings });
  await using service = await openTestService(own.url());
  const alice = await service.key("alice");
  const { runners, runs, reached } = held();
  await using _worker = await startTestWorker(service, runners);
  const id = await submit(alice);
  await reached(1);
  const { context, finish } = runs[0]!;
  const checkpoint = context.checkpoints("abc");
  await own.kill("SIGKILL");
  const written = checkpoint.write("saved during the outage");
  context.events({ kind: "info", message: "sent during the outage" });
  // the API reports the outage, and the worker cannot check for cancellation
  strictEqual(
    (await alice.request(`/v1/jobs/${id}`).then(async (r) => (await r.text(), r))).status,
    503,
  );
  await own.start();
  await written;
  strictEqual(await checkpoint.read(), "saved during the outage");
  await own.kill("SIGKILL");
  finish({ answer: 42 });
  await own.start();
  const job = await finished(alice, id);
  deepStrictEqual([job.state, job.attempt, job.result], ["succeeded", 1, { answer: 42 }]);
  const { lines } = await (await alice.request(`/v1/jobs/${id}/logs`)).json();
  ok(lines.some(({ message }: { message: string }) => message === "sent during the outage"));
  // permanent errors are reported without the database's message
  const failing = await submit(alice);
  await reached(2);
  await query(own.url(), "ALTER TABLE seren_remote.job_checkpoints RENAME TO gone");
  const error = await runs[1]!.context.checkpoints("abc").read().catch((error) => error);
  strictEqual(error.message, "the service's database rejected a request");
  ok(!(error instanceof ReplicatorError));
  await query(own.url(), "ALTER TABLE seren_remote.gone RENAME TO job_checkpoints");
  runs[1]!.finish();
  await finished(alice, failing);
});
