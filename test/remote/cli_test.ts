import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { LocalKeyProvider } from "../../lib/remote/secrets/mod.ts";
import { sharedCluster } from "../support/clusters.ts";
import { runCli } from "../support/cli.ts";
import { withDatabase } from "../support/databases.ts";
import { Running } from "../support/running.ts";
import { readStream, serviceTemplate } from "../support/service.ts";
import { exec, query } from "../support/sql.ts";

// a copy resumes in an equivalent snapshot only if nothing was written since, not even by
// autovacuum
const cluster = await sharedCluster(16, { settings: { autovacuum: "off" } });
const target = await sharedCluster(17);
const template = await serviceTemplate(target);

const rows =
  `SELECT count(*)::int AS count, md5(string_agg(o::text, ',' ORDER BY id)) AS content FROM orders AS o`;

/** A source whose rows are copied slowly by a condition that sleeps, and an empty target. */
async function withServers(
  use: (
    urls: { source: string; target: string; copy: string; service: string; name: string },
  ) => Promise<void>,
): Promise<void> {
  await withDatabase(target, template, async ({ url: service }) => {
    await withDatabase(cluster, undefined, async (source) => {
      await exec(
        source.url,
        `CREATE TABLE orders (id int PRIMARY KEY, note text NOT NULL);
         INSERT INTO orders SELECT i, 'note ' || i FROM generate_series(1, 500) AS i;
         CREATE TABLE first (id int PRIMARY KEY); INSERT INTO first SELECT generate_series(1, 20000);`,
      );
      const urls = {
        service,
        name: source.name,
        source: source.urlFor({ user: "postgres", password: "planted;source|&@$secret" }),
        target: target.url({ user: "postgres", password: "planted-target-secret" }),
        copy: target.url({ database: source.name }),
      };
      try {
        await use(urls);
      } finally {
        await exec(target.url(), `DROP DATABASE IF EXISTS "${source.name}" WITH (FORCE)`);
      }
    });
  });
}

Deno.test("another worker takes over from one killed during a job, and no secret appears anywhere", async () => {
  await withServers(async (urls) => {
    const folder = await Deno.makeTempDir({ dir: "/tmp" });
    const keyFile = `${folder}/keys`;
    await LocalKeyProvider.create(keyFile);
    const env = { SEREN_DATABASE_URL: urls.service };
    const common = [
      "--key-file",
      keyFile,
      "--allow-address",
      "127.0.0.0/8",
      "--heartbeat",
      "10",
      "--log-format",
      "json",
    ];
    try {
      await using serve = new Running(["serve", "--listen", "127.0.0.1:0", ...common], env);
      const [, url = ""] = await serve.says(/listening on (http:\S+?)"/);
      const made = await runCli([
        "keys",
        "create",
        "--owner",
        "alice",
        "--scopes",
        "jobs:read,jobs:write,metrics:read",
      ], { env });
      const key = made.stdout.trim();
      strictEqual(made.code, 0, made.stderr);
      await using one = new Running(["worker", "--name", "one", ...common], env);
      await using two = new Running(["worker", "--name", "two", ...common], env);
      const workers: Readonly<Record<string, Running>> = { one, two };
      await Promise.all([one.says(/accepting jobs/), two.says(/accepting jobs/)]);
      const client = {
        ...env,
        SEREN_REMOTE_API: url,
        SEREN_API_KEY: key,
        SOURCE_URL: urls.source,
        TARGET_URL: urls.target,
      };
      const slow = "orders:note <> 'planted-predicate' AND pg_sleep(0.004) IS NOT NULL";
      const init = runCli(
        [
          "init",
          "--yes",
          "--jobs",
          "2",
          "--include-databases",
          urls.name,
          "--table-filter",
          slow,
          "--json",
        ],
        { env: client },
      );
      const [, id = ""] = await Promise.race([
        serve.says(/"route":"\/v1\/jobs","status":201/).then(async () => {
          const { jobs } = await (await fetch(`${url}/v1/jobs`, { headers: { "x-api-key": key } }))
            .json();
          return ["", jobs[0].id as string];
        }),
        init.then(({ stderr }) => Promise.reject(new Error(stderr))),
      ]);
      const headers = { "x-api-key": key };
      const seen = new Set<string>();
      await readStream(await fetch(`${url}/v1/jobs/${id}/events`, { headers }), ({ data }) => {
        const { kind, table } = (data.event ?? {}) as { kind?: string; table?: string };
        seen.add(`${kind} ${table}`);
        return seen.has("table-finished first") && seen.has("table-started orders");
      });
      const { worker, attempt } = await (await fetch(`${url}/v1/jobs/${id}`, { headers })).json();
      strictEqual(attempt, 1);
      await workers[worker]!.kill("SIGKILL");
      const { code, stdout, stderr } = await init;
      strictEqual(code, 0, stderr);
      const job = await (await fetch(`${url}/v1/jobs/${id}`, { headers })).json();
      deepStrictEqual([job.state, job.attempt], ["succeeded", 2]);
      ok(job.worker !== worker);
      const events = await readStream(
        await fetch(`${url}/v1/jobs/${id}/events`, { headers }),
        ({ event }) => event === "end",
      );
      const finished = events.map(({ data }) =>
        data.event as { kind: string; table?: string } | undefined
      )
        .filter((event) => event?.kind === "table-finished").map((event) => event!.table);
      // the second worker kept the work of the first and did the rest
      deepStrictEqual(finished.toSorted(), ["first", "orders"]);
      deepStrictEqual(await query(urls.copy, rows), await query(urls.source, rows));
      const first = "SELECT count(*)::int, sum(id)::int FROM first";
      deepStrictEqual(await query(urls.copy, first), await query(urls.source, first));

      // server errors quote the offending text
      const wrong = await runCli(
        [
          "init",
          "--yes",
          "--include-databases",
          urls.name,
          "--table-filter",
          "orders:id = 'planted-literal'",
        ],
        { env: client },
      );
      ok(wrong.code !== 0);
      const logs = await runCli(["jobs", "logs", id], { env: client });
      match(logs.stdout, /attempt 2 on worker/);
      match(
        logs.stdout,
        new RegExp(
          `warn .*attempt 1 was abandoned: its worker, ${worker}, did not report for \\d+ s`,
        ),
      );
      const metrics = await (await fetch(`${url}/metrics`, { headers })).text();
      match(metrics, /seren_jobs\{.*\} 1/);
      const stored = await dump(urls.service);
      ok(stored.includes(id) && stored.length > 10_000);
      const everything = [
        serve.output,
        one.output,
        two.output,
        stdout,
        stderr,
        wrong.stdout,
        wrong.stderr,
        logs.stdout,
        metrics,
        JSON.stringify(events),
        JSON.stringify(job),
        stored,
      ].join("\n");
      doesNotMatch(everything, /planted/);
      // a warning may name a function that a condition uses, but must not contain the condition
      doesNotMatch(everything, /pg_sleep\(0/);
      ok(!everything.includes(key.slice(20)));

      const survivor = workers[job.worker]!;
      strictEqual(await survivor.kill("SIGTERM"), 0);
      match(survivor.output, /"message":"stopped"/);
      strictEqual(await serve.kill("SIGTERM"), 0);
      deepStrictEqual(await query(urls.service, "SELECT FROM seren_remote.job_secrets"), []);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
});

/** Every row of every table of the service, as text. */
async function dump(url: string): Promise<string> {
  const tables = await query<{ name: string }>(
    url,
    `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname LIKE 'seren%'`,
  );
  const texts: string[] = [];
  for (const { name } of tables) {
    const found = await query<{ row: string }>(url, `SELECT t::text AS row FROM ${name} AS t`);
    texts.push(name, ...found.map(({ row }) => row));
  }
  return texts.join("\n");
}
