/**
 * The most important suites against the newest server installed on this machine, which may be a
 * minor release that is not yet embedded. Skipped if none is installed.
 */
import { isLong } from "../support/long.ts";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { Cluster } from "../../lib/cluster/mod.ts";
import { busySchema, BusyWriters } from "../support/busy.ts";
import { withCase } from "../support/case.ts";
import { sharedCluster } from "../support/clusters.ts";
import { compareDatabases } from "../support/compare.ts";
import { copyCorpus, loadCorpusFor } from "../support/corpus_copy.ts";
import { dropDatabase, withDatabase } from "../support/databases.ts";
import { runInit } from "../support/init.ts";
import { embeddedServer, installedServer } from "../support/installed.ts";
import { compareRows, drain } from "../support/replicated.ts";
import { exec } from "../support/sql.ts";
import { syncSettings } from "../support/sync.ts";
import { runVerify, unequalTables } from "../support/verify.ts";

/** Files whose database is equal after `init`, one for each kind of catalog content. */
const copied = [
  "50-plain-1520.sql",
  "58-icu-nondeterministic.sql",
  "82-array-null-bitmap-left.sql",
];

/**
 * A shell operator keeps its reference back only since 15.20 and the corresponding minor releases.
 */
const keptByPatched = /^(?:source|target): +(?:COMMUTATOR|NEGATOR) =/;

const found = await installedServer();
if (found === undefined) {
  Deno.test.ignore("skipped: no PostgreSQL server is installed on this machine", () => {});
} else {
  const settings = { max_locks_per_transaction: "256" };
  const [installed, embedded] = await Promise.all(
    [found, embeddedServer(found.major)].map(({ major, options }) =>
      sharedCluster(major, { ...options, settings })
    ),
  );
  const { label } = found;
  registerTests(`from ${label} to ${found.major}`, installed!, embedded!);
  if (isLong) registerTests(`from ${found.major} to ${label}`, embedded!, installed!);
}

function registerTests(between: string, source: Cluster, target: Cluster): void {
  Deno.test(`after init ${between} the corpus is equal, and verify reports it as equal`, async () => {
    await loadCorpusFor(source, target.major);
    const copy = await copyCorpus(source, target);
    deepStrictEqual(copy.differences, []);
    deepStrictEqual(copy.dumpDifferences.filter((line) => !keptByPatched.test(line)), []);
    const database = "corpus";
    const report = await runVerify(source.url({ database }), target.url({ database }));
    deepStrictEqual(unequalTables(report), []);
    await dropDatabase(source, database);
    await dropDatabase(target, database);
  });

  Deno.test(`replication follows many writers ${between}`, async () => {
    await withDatabase(source, undefined, async ({ name, url }) => {
      await exec(url, busySchema);
      const targetUrl = target.url({ database: name });
      try {
        {
          await using _writers = new BusyWriters(url);
          await runInit(url, target.url(), { include: [name], sync: syncSettings });
        }
        await drain(url);
        await compareRows(url, targetUrl);
        deepStrictEqual(unequalTables(await runVerify(url, targetUrl)), []);
      } finally {
        await dropDatabase(target, name);
      }
    });
  });

  for (const file of copied) {
    Deno.test(`${file} is equal after init ${between}`, async () => {
      await withCase(file, { source, target }, async (it) => {
        await it.init();
        deepStrictEqual(
          await compareDatabases(it.neutralUrl("source"), it.neutralUrl("target")),
          [],
        );
        strictEqual((await it.verify()).verdict, "equal");
      });
    });
  }
}
