import { match, ok, strictEqual as equal } from "node:assert/strict";
import { ReplicatorError } from "../../../lib/core/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { dropDatabase, withDatabase } from "../../support/databases.ts";
import { runInit } from "../../support/init.ts";
import { exec, query } from "../../support/sql.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(16);

/** Rows are rejected under an empty search_path, where the function cannot find its table. */
const unqualified = `
  CREATE TABLE kinds (code text PRIMARY KEY);
  INSERT INTO kinds VALUES ('red');
  CREATE FUNCTION known(c text) RETURNS boolean LANGUAGE plpgsql STABLE
    AS 'BEGIN RETURN EXISTS (SELECT FROM kinds WHERE code = c); END';
  CREATE TABLE paints (id integer PRIMARY KEY, kind text CHECK (known(kind)));
  INSERT INTO paints VALUES (1, 'red');`;

Deno.test("a run that failed because of a function is resumed after the function is fixed on the source only", async () => {
  await withDatabase(source, undefined, async ({ name, url }) => {
    await exec(url, unqualified);
    const options = { include: [name], sessionRetryDelaysMs: [], databaseRetryDelaysMs: [] };
    const error = await runInit(url, target.url(), options).then(
      () => undefined,
      (reason) => reason,
    );
    ok(error instanceof ReplicatorError, String(error));
    await exec(url, "ALTER FUNCTION known(text) SET search_path = public");
    const messages: string[] = [];
    await runInit(url, target.url(), {
      ...options,
      allowMixedSnapshots: true,
      onEvent: (event) => event.kind === "info" && messages.push(event.message),
    });
    match(
      messages.join("\n"),
      /^FUNCTION public\.known\(.*text"?\) has changed on the source since/m,
    );
    equal((await query(target.url({ database: name }), "SELECT FROM public.paints")).length, 1);
    await dropDatabase(target, name);
  });
});
