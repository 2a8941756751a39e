/** Remedies for tables whose UPDATE and DELETE cannot be published. */
import { deepStrictEqual, doesNotMatch, match } from "node:assert/strict";
import { listTables } from "../../../lib/catalog/internal.ts";
import { completeValidateOptions } from "../../../lib/commands/shared/complete_options.ts";
import { executeValidate } from "../../../lib/commands/validate/validate.ts";
import { openSession } from "../../../lib/postgres/internal.ts";
import { assessPublication } from "../../../lib/replication/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { createDatabase } from "../../support/databases.ts";
import { endpointOf } from "../../support/init.ts";
import { exec } from "../../support/sql.ts";

const source = await sharedCluster(16);
const target = await sharedCluster(17);

const tables = `
  CREATE TABLE documents (d json);
  CREATE TABLE feeds (id int, x xml);
  CREATE TABLE plain (a int, b text);
  CREATE TABLE places (p point); ALTER TABLE places REPLICA IDENTITY FULL;
  CREATE TABLE keyed (id int NOT NULL UNIQUE, d json);`;

Deno.test("REPLICA IDENTITY FULL is suggested only if the target can find rows by all columns", async () => {
  await using database = await createDatabase(source, tables);
  await using session = await openSession(await endpointOf(database.url, "source"));
  const remedies = async () => {
    const { problems } = await assessPublication({
      session,
      tables: await listTables(session),
      policy: "fail",
    });
    return Object.fromEntries(problems.map(({ name, remedy }) => [name, remedy]));
  };
  const before = await remedies();
  deepStrictEqual(Object.keys(before).sort(), ["documents", "feeds", "keyed", "places", "plain"]);
  for (const name of ["documents", "feeds", "places"]) {
    match(before[name]!, /ADD PRIMARY KEY.*create a unique index on NOT NULL columns/);
    doesNotMatch(before[name]!, /FULL/i);
  }
  match(before.plain!, /"plain" REPLICA IDENTITY FULL;/);
  match(before.keyed!, /REPLICA IDENTITY USING INDEX "keyed_id_key";/);
  // the suggested remedy suffices
  await exec(
    database.url,
    `ALTER TABLE documents ADD id serial PRIMARY KEY;
     ALTER TABLE feeds ALTER id SET NOT NULL; CREATE UNIQUE INDEX feed ON feeds (id);
     ALTER TABLE feeds REPLICA IDENTITY USING INDEX feed;
     ALTER TABLE places ADD id serial PRIMARY KEY;
     ALTER TABLE keyed REPLICA IDENTITY USING INDEX keyed_id_key;`,
  );
  deepStrictEqual(Object.keys(await remedies()), ["plain"]);
});

Deno.test("validate suggests a key instead of REPLICA IDENTITY FULL for a table with json", async () => {
  await using database = await createDatabase(source, "CREATE TABLE documents (d json)");
  const options = completeValidateOptions({
    source: await endpointOf(database.url, "source"),
    target: await endpointOf(target.url(), "target"),
    databases: { include: [database.name], exclude: [], map: {} },
    tools: { dump: "embedded", binDirectory: undefined, environment: {} },
    forSync: true,
  });
  const { checks } = await executeValidate(options, {
    events: () => {},
    signal: new AbortController().signal,
  });
  const fix = checks.find(({ id }) => id === "replica-identity")?.fix ?? "";
  match(fix, /create a unique index on NOT NULL columns/);
  doesNotMatch(fix, /TABLE \S+ REPLICA IDENTITY FULL|--replica-identity full/);
});
