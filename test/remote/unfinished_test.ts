/** The report of a failed job about databases that it had copied. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { jobRunners } from "../../lib/commands/job_runners/job_runners.ts";
import type { InitReport } from "../../lib/commands/shared/init_report.ts";
import { ExitCode } from "../../lib/core/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import { runCli } from "../support/cli.ts";
import { createDatabase, dropDatabase, withDatabase } from "../support/databases.ts";
import { openTestService, serviceTemplate, startTestWorker } from "../support/service.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(16);
const template = await serviceTemplate(target);

const runners = jobRunners({
  jobs: 2,
  splitBytes: 1024 ** 3,
  maxDiffs: 10,
  slotTimeoutMs: 60_000,
  now: () => new Date(),
});

const lacking = `CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1);
  CREATE FUNCTION counted() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM t); END';
  CREATE MATERIALIZED VIEW m AS SELECT counted() AS n;`;
/** Rows that violate the table's own constraint, so the target rejects them. */
const broken = `CREATE TABLE t (id integer);
  CREATE FUNCTION ok(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
  ALTER TABLE t ADD CONSTRAINT c CHECK (ok(id)); INSERT INTO t VALUES (1);
  CREATE OR REPLACE FUNCTION ok(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';`;

Deno.test("--remote shows what copied databases lack, even if another database failed", async () => {
  await withDatabase(target, template, async ({ url: serviceUrl }) => {
    await using service = await openTestService(serviceUrl);
    await using _worker = await startTestWorker(service, runners);
    const alice = await service.key("alice");
    await using one = await createDatabase(source, lacking);
    await using other = await createDatabase(source, broken);
    const env = {
      SEREN_REMOTE_API: service.service.url,
      SEREN_API_KEY: alice.key,
      SOURCE_URL: source.url(),
      TARGET_URL: target.url(),
    };
    const names = `${one.name},${other.name}`;
    const init = (...more: readonly string[]) =>
      runCli(["init", "--yes", "--include-databases", names, ...more], { env });
    try {
      const text = await init();
      strictEqual(text.code, ExitCode.stepFailed, text.stderr);
      match(text.stdout, /complete except for 1 object:\n✗ \S+: MATERIALIZED VIEW DATA public\.m/);
      match(text.stderr, /1 database of 2 failed/);

      const json = await init("--json");
      strictEqual(json.code, ExitCode.stepFailed, json.stderr);
      const { error, databases } = JSON.parse(json.stdout);
      match(error.message, /^1 database of 2 failed/);
      const listed = (each: InitReport["databases"][number]) =>
        [each.source, each.setAside?.map(({ object }) => object)] as const;
      const lacks = [[one.name, ["MATERIALIZED VIEW DATA public.m"]]];
      deepStrictEqual(databases.map(listed), lacks);

      // and to anyone who attaches to the job later
      const { jobs } = await (await alice.request("/v1/jobs")).json();
      const attached = await runCli(["jobs", "attach", jobs[0].id.slice(0, 8)], { env });
      strictEqual(attached.code, ExitCode.stepFailed, attached.stderr);
      match(attached.stdout, /complete except for 1 object/);
      match(attached.stderr, /1 database of 2 failed/);
    } finally {
      await dropDatabase(target, one.name);
      await dropDatabase(target, other.name);
    }
  });
});
