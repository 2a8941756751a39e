/** How `init` has the target compress large values. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { chooseToastMethod, describeToastChoice } from "../../../lib/copy/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { dropDatabase, withDatabase } from "../../support/databases.ts";
import { runInit } from "../../support/init.ts";
import { installedServer } from "../../support/installed.ts";
import { exec, query } from "../../support/sql.ts";
import { runVerify } from "../../support/verify.ts";

const sources = [await sharedCluster(12), await sharedCluster(15)];
// the embedded servers are built without lz4
const installed = await installedServer();
const withLz4 = installed !== undefined && installed.major >= 14
  ? await sharedCluster(installed.major, { ...installed.options, settings: { fsync: "off" } })
  : undefined;
const ignore = withLz4 === undefined;
const target = withLz4 ?? await sharedCluster(18);
const without = [await sharedCluster(13), await sharedCluster(18)];

const texts = (isBefore14: boolean) => `
  CREATE TABLE documents (id int PRIMARY KEY, body text, set text ${
  isBefore14 ? "" : "COMPRESSION pglz"
});
  INSERT INTO documents SELECT i, repeat(md5(i::text), 400), repeat(md5(i::text), 400) FROM generate_series(1, 20) AS i`;

const methods = `
  SELECT DISTINCT pg_column_compression(body) AS body, pg_column_compression(set) AS set FROM documents`;

for (const source of sources) {
  const old = source.major < 14;
  for (const choice of ["lz4", "pglz", "source"] as const) {
    const name =
      `--toast-compression ${choice}, from ${source.major}: columns without a setting follow it, and verify finds no difference`;
    Deno.test({ name, ignore }, async () => {
      await withDatabase(source, undefined, async ({ name, url }) => {
        await exec(url, texts(old));
        try {
          const { plan } = await runInit(url, target.url(), {
            include: [name],
            toastCompression: choice,
          });
          const method = choice === "lz4" ? "lz4" : "pglz";
          deepStrictEqual(await query(target.url({ database: name }), methods), [
            { body: method, set: old ? method : "pglz" },
          ]);
          deepStrictEqual(plan.databases[0]?.toastCompression, {
            method,
            source: "pglz",
            target: "pglz",
          });
          const report = await runVerify(url, target.url({ database: name }));
          strictEqual(report.verdict, "equal");
        } finally {
          await dropDatabase(target, name);
        }
      });
    });
  }
}

Deno.test({ name: "the source's own default is followed if requested", ignore }, async () => {
  await withDatabase(target, undefined, async ({ name, url }) => {
    await exec(url, `ALTER DATABASE "${name}" SET default_toast_compression = 'lz4'`);
    await exec(url, texts(false));
    const copy = `${name}_copy`;
    try {
      const { plan } = await runInit(url, target.url(), {
        include: [name],
        map: { [name]: copy },
        toastCompression: "source",
      });
      strictEqual(plan.databases[0]?.toastCompression.method, "lz4");
      deepStrictEqual(await query(target.url({ database: copy }), methods), [
        { body: "lz4", set: "pglz" },
      ]);
    } finally {
      await dropDatabase(target, copy);
    }
  });
});

for (const onto of without) {
  Deno.test(`a target of version ${onto.major} without lz4 uses pglz, and the plan says so`, async () => {
    await withDatabase(sources[0]!, undefined, async ({ name, url }) => {
      await exec(url, texts(true));
      try {
        const { plan } = await runInit(url, onto.url(), { include: [name] });
        const choice = plan.databases[0]!.toastCompression;
        deepStrictEqual(choice, {
          method: "pglz",
          source: "pglz",
          target: "pglz",
          unsupported: "lz4",
        });
        strictEqual(describeToastChoice(choice), "pglz (the target does not support lz4)");
      } finally {
        await dropDatabase(onto, name);
      }
    });
  });
}

Deno.test("the plan names the defaults of both sides where the chosen method is another one", () => {
  const both = { method: "pglz", supported: ["pglz", "lz4"] } as const;
  const sides = { source: both, target: both };
  strictEqual(
    describeToastChoice(chooseToastMethod("lz4", sides)),
    "lz4 (source: pglz, default of the target: pglz)",
  );
  strictEqual(describeToastChoice(chooseToastMethod("source", sides)), "pglz");
});
