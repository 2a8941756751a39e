/**
 * `serve` and `worker` while their database is unavailable, since machines can start in any order.
 */
import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { LocalKeyProvider } from "../../lib/remote/secrets/mod.ts";
import type { Cluster } from "../../lib/cluster/mod.ts";
import { runCli } from "../support/cli.ts";
import { Running } from "../support/running.ts";
import { readStream } from "../support/service.ts";
import { startTestCluster } from "../support/test_cluster.ts";

/** A server that is not running, and a key file. */
async function withStopped(
  use: (place: { cluster: Cluster; env: Record<string, string>; common: string[] }) => Promise<
    void
  >,
): Promise<void> {
  const folder = await Deno.makeTempDir({ dir: "/tmp" });
  try {
    await LocalKeyProvider.create(`${folder}/keys`);
    await using cluster = await startTestCluster({ major: 17, password: "right" });
    await cluster.stop();
    await use({
      cluster,
      env: { SEREN_DATABASE_URL: cluster.url() },
      common: ["--key-file", `${folder}/keys`, "--allow-address", "127.0.0.0/8"],
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("serve and worker wait for a database that starts later, and log it; then jobs run", async () => {
  await withStopped(async ({ cluster, env, common }) => {
    await using serve = new Running(["serve", "--listen", "127.0.0.1:0", ...common], env);
    await using worker = new Running(["worker", ...common], env);
    const [, url = ""] = await serve.says(/listening on (http:\S+)/);
    // the reason, and growing pauses
    const waits =
      /waiting for the service's database: cannot connect to .*refused.*; retrying in (\S+ \S+)/g;
    await serve.says(/retrying in [^]*retrying in [^]*retrying in /);
    const pauses = [...serve.output.matchAll(waits)].map(([, pause]) => pause);
    deepStrictEqual(pauses.slice(0, 3), ["500 ms", "1.0 s", "2.0 s"]);
    await worker.says(/warn .*waiting for the service's database: .*refused.*; retrying in /);
    doesNotMatch(serve.output + worker.output, /right|accepting jobs|database is available/);

    const health = await fetch(`${url}/healthz`);
    deepStrictEqual([health.status, (await health.json()).status], [200, "ok"]);
    const ready = await fetch(`${url}/readyz`);
    deepStrictEqual(
      [ready.status, await ready.json()],
      [503, { status: "waiting for the database" }],
    );
    const page = await fetch(url);
    match(await page.text(), /<!doctype html>/i);
    strictEqual(page.status, 200);
    for (const path of ["/v1/jobs", "/v1/me", "/metrics"]) {
      const refused = await fetch(`${url}${path}`, { headers: { "x-api-key": "any" } });
      deepStrictEqual(
        [refused.status, refused.headers.get("retry-after"), (await refused.json()).detail],
        [503, "2", "the service is waiting for its database"],
      );
    }

    await cluster.start();
    await Promise.all([
      serve.says(/service's database is available/),
      worker.says(/accepting jobs from/),
    ]);
    const nowReady = await fetch(`${url}/readyz`);
    deepStrictEqual([nowReady.status, await nowReady.json()], [200, { status: "ok" }]);
    const made = await runCli(["keys", "create", "--owner", "alice"], { env });
    strictEqual(made.code, 0, made.stderr);
    const client = { SEREN_REMOTE_API: url, SEREN_API_KEY: made.stdout.trim() };
    const { code, stdout, stderr } = await runCli(["validate", "--json"], {
      env: { ...client, SOURCE_URL: cluster.url(), TARGET_URL: cluster.url() },
    });
    // source and target are the same server, which validate reports
    ok(code !== 0 && code !== 1 && code !== 9, `${code} ${stdout} ${stderr}`);
    const headers = { "x-api-key": client.SEREN_API_KEY };
    const { jobs: [job] } = await (await fetch(`${url}/v1/jobs`, { headers })).json();
    strictEqual(job.exit_code, code);
    const events = await readStream(
      await fetch(`${url}/v1/jobs/${job.id}/events`, { headers }),
      ({ event }) => event === "end",
    );
    strictEqual(events.at(-1)!.data.exit_code, code);
    deepStrictEqual(await Promise.all([serve.kill("SIGTERM"), worker.kill("SIGTERM")]), [0, 0]);
  });
});

Deno.test("Ctrl-C ends a waiting serve or worker, even while a server does not respond", async () => {
  await withStopped(async ({ env, common }) => {
    const serveArgs = ["serve", "--listen", "127.0.0.1:0", ...common];
    for (const args of [serveArgs, ["worker", ...common]]) {
      await using waiting = new Running(args, env);
      await waiting.says(/retrying in/);
      const before = performance.now();
      strictEqual(await waiting.kill("SIGINT"), 0, waiting.output);
      ok(performance.now() - before < 60_000);
    }
    // accepts connections, but never responds
    using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const url = `postgresql://u@127.0.0.1:${silent.addr.port}/db?connect_timeout=300`;
    for (const args of [serveArgs, ["worker", ...common]]) {
      await using waiting = new Running(args, { SEREN_DATABASE_URL: url });
      using _connection = await silent.accept();
      strictEqual(await waiting.kill("SIGINT"), 0, waiting.output);
    }
  });
});

Deno.test("permanent errors are reported immediately: a wrong password, a missing database", async () => {
  await withStopped(async ({ cluster, common }) => {
    await cluster.start();
    const cases = [
      [cluster.url({ password: "wrong" }), /password authentication failed/],
      [cluster.url({ database: "nowhere" }), /database "nowhere" does not exist/],
    ] as const;
    for (const [url, reason] of cases) {
      for (const args of [["serve", "--listen", "127.0.0.1:0", ...common], ["worker", ...common]]) {
        const { code, stdout, stderr } = await runCli(args, { env: { SEREN_DATABASE_URL: url } });
        strictEqual(code, 5, stderr);
        match(stderr, reason);
        doesNotMatch(stdout + stderr, /retrying in|wrong/);
      }
    }
  });
});
