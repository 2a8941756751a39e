/**
 * `deno task bench:workers`: one copy by 1, 2 and 4 workers of a service, each in a separate
 * process.
 *
 * All of them and both servers run on this machine, so its cores limit the results. `--link` limits
 * the rate of each worker, as if it ran on a separate machine behind such a network; the results
 * then show how well the work is shared.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { startCluster } from "../../lib/cluster/mod.ts";
import { LocalKeyProvider } from "../../lib/remote/secrets/mod.ts";
import { Running } from "../support/running.ts";
import { finished, openTestService } from "../support/service.ts";
import { exec, query } from "../support/sql.ts";

const usage = `deno task bench:workers [options]

  --workers LIST   numbers of workers (default: 1,2,4)
  --size MB        data of the large tables (default: 200)
  --tables N       small tables besides (default: 500)
  --jobs N         sessions of each worker (default: 2)
  --link MB        rate of each worker, MB a second (default: no limit)`;

const { values } = parseArgs({
  args: Deno.args,
  options: {
    workers: { type: "string", default: "1,2,4" },
    size: { type: "string", default: "200" },
    tables: { type: "string", default: "500" },
    jobs: { type: "string", default: "2" },
    link: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

async function main(): Promise<void> {
  if (values.help) return console.log(usage);
  const counts = values.workers.split(",").map(Number);
  const settings = { shared_buffers: "512MB", max_wal_size: "8GB", max_connections: "200" };
  await using source = await startCluster({ major: 16, settings });
  await using target = await startCluster({ major: 17, settings });
  await exec(source.url(), "CREATE DATABASE shop");
  await exec(source.url({ database: "shop" }), data());
  await exec(target.url(), "CREATE DATABASE service");
  const folder = await Deno.makeTempDir();
  const keys = await LocalKeyProvider.create(`${folder}/keys`);
  const url = target.url({ database: "service" });
  await using service = await openTestService(url, { keys });
  const key = await service.key("bench", { limits: { most_running: 100 } });
  console.log(
    `${values.size} MB and ${values.tables} small tables, ${values.jobs} sessions each` +
      (values.link === undefined ? "" : `, ${values.link} MB/s each`),
  );
  for (const workers of counts) {
    await using stack = new AsyncDisposableStack();
    for (let each = 1; each <= workers; each++) {
      const worker = stack.use(
        new Running(
          ["worker", "--key-file", `${folder}/keys`, "--allow-address", "127.0.0.0/8"],
          { SEREN_DATABASE_URL: url },
        ),
      );
      await worker.says(/accepting jobs/);
    }
    const rate = values.link === undefined ? {} : {
      max_bytes_per_second: Number(values.link) * 1_000_000 * workers,
    };
    const response = await key.request("/v1/jobs", {
      json: {
        schema_version: "1.0",
        command: "init",
        source_url: source.url(),
        target_url: target.url(),
        filters: { include_databases: ["shop"] },
        options: { workers, jobs: Number(values.jobs), split_bytes: 8 << 20, ...rate },
      },
    });
    const { id } = await response.json();
    const job = await finished(key, id);
    if (job.state !== "succeeded") throw new Error(JSON.stringify(job.error));
    await compare(source.url({ database: "shop" }), target.url({ database: "shop" }));
    const { bytes, ms, steps } = job.result as {
      readonly bytes: number;
      readonly ms: number;
      readonly steps: readonly { readonly step: string; readonly ms: number }[];
    };
    const rows = steps.find(({ step }) => step === "data")?.ms ?? 0;
    const helpers = await query(
      url,
      `SELECT (result ->> 'bytes')::float8 AS bytes FROM seren_remote.jobs
        WHERE parent_id = '${id}' AND result IS NOT NULL ORDER BY 1`,
    );
    const shares = helpers.map((helper) => Math.round(Number(helper["bytes"]) / bytes * 100));
    console.log(
      `${workers} workers: rows in ${(rows / 1000).toFixed(1)} s, ${
        (bytes / rows / 1000).toFixed(0)
      } MB/s; whole job ${(ms / 1000).toFixed(1)} s; helpers' shares ${shares.join(", ") || "-"} %`,
    );
    for (const { reason } of await attemptsThatEnded(url, id)) {
      console.log(`  not in one attempt: ${reason}`);
    }
    await exec(target.url(), "DROP DATABASE shop WITH (FORCE)");
  }
  await Deno.remove(folder, { recursive: true });
}

/** Attempts of a job and its helpers that did not succeed. */
async function attemptsThatEnded(url: string, job: string) {
  return await query(
    url,
    `SELECT event ->> 'reason' AS reason
       FROM seren_remote.job_events JOIN seren_remote.jobs ON jobs.id = job_id
      WHERE (jobs.id = $1 OR parent_id = $1) AND event ->> 'kind' = 'state'
        AND event ->> 'state' IN ('queued', 'running') AND event ? 'reason'
      ORDER BY at`,
    [job],
  );
}

function data(): string {
  const rows = Math.round(Number(values.size) * 1_000_000 / 4 / 1_050);
  const large = [1, 2, 3, 4].map((each) =>
    `CREATE TABLE large_${each} AS SELECT i AS id, repeat(md5(i::text), 32) AS note FROM generate_series(1, ${rows}) AS i;`
  );
  return `${large.join("\n")}
    DO $$ BEGIN
      FOR i IN 1..${Number(values.tables)} LOOP
        EXECUTE format('CREATE TABLE small_%s AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, 100) AS g', i);
      END LOOP;
    END $$;
    ANALYZE;`;
}

/** A wrong copy does not count. */
async function compare(from: string, to: string): Promise<void> {
  const all = [1, 2, 3, 4].map((each) =>
    `SELECT count(*), sum(hashtext(t::text)::bigint) FROM large_${each} AS t`
  ).join(" UNION ALL ");
  const [a, b] = await Promise.all([query(from, all), query(to, all)]);
  if (JSON.stringify(a, text) !== JSON.stringify(b, text)) throw new Error("the copy is wrong");
}

function text(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

await main();
