import { deepStrictEqual } from "node:assert/strict";
import { openSession } from "../../../lib/postgres/internal.ts";
import { applySchemaStatements } from "../../../lib/replication/client/apply_schema.ts";
import {
  holdObjects,
  restoreHeldObjects,
  validateHeldKeys,
} from "../../../lib/replication/client/held_objects.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { createDatabase } from "../../support/databases.ts";
import { endpointOf } from "../../support/init.ts";
import { exec, query } from "../../support/sql.ts";

const cluster = await sharedCluster(17);

Deno.test("a key that is deferred, and dropped when a table leaves the stream, is restored as it was at first", async () => {
  await using database = await createDatabase(
    cluster,
    `CREATE TABLE a (id int PRIMARY KEY);
     CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);`,
  );
  const key =
    "SELECT pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE contype = 'f'";
  const original = await query(database.url, key);
  await exec(database.url, "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC");
  await exec(database.url, `BEGIN; ${applySchemaStatements.join(";\n")}; COMMIT`);
  await using session = await openSession(await endpointOf(database.url, "target"));
  const [a, b] = [{ schema: "public", name: "a" }, { schema: "public", name: "b" }];
  const effects = async (tables: readonly { schema: string; name: string }[]) =>
    (await holdObjects(session, tables)).map(({ effect }) => effect);
  deepStrictEqual(await effects([a, b]), ["deferred"]);
  deepStrictEqual(await effects([b]), ["dropped"]);
  deepStrictEqual(await query(database.url, key), []);
  // the tool executes what the table contains
  const writable = `SELECT relname FROM pg_class AS c, aclexplode(relacl) AS a
    WHERE relnamespace = 'seren_apply'::regnamespace AND grantee = 0 AND privilege_type <> 'SELECT'
      AND privilege_type <> 'MAINTAIN'`;
  deepStrictEqual(await query(database.url, writable), []);
  await restoreHeldObjects(session);
  deepStrictEqual(
    (await query(database.url, key)).map(({ definition }) => `${definition}`),
    original.map(({ definition }) => `${definition} NOT VALID`),
  );
});

Deno.test("a key that rows violate is reported until the record is gone, and others are checked once", async () => {
  await using database = await createDatabase(
    cluster,
    `CREATE TABLE a (id int PRIMARY KEY);
     CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE);
     CREATE TABLE c (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE);`,
  );
  await exec(database.url, `BEGIN; ${applySchemaStatements.join(";\n")}; COMMIT`);
  await using session = await openSession(await endpointOf(database.url, "target"));
  await holdObjects(session, ["a", "b", "c"].map((name) => ({ schema: "public", name })));
  await exec(database.url, "INSERT INTO b VALUES (1, 1)");
  await restoreHeldObjects(session);
  const violated = async () => (await validateHeldKeys(session)).map(({ object }) => object);
  deepStrictEqual(await violated(), ["foreign key b_a_fkey of public.b"]);
  // the first command died before it could say so
  deepStrictEqual(await violated(), ["foreign key b_a_fkey of public.b"]);
  deepStrictEqual(
    await query(database.url, "SELECT object FROM seren_apply.held"),
    [{ object: "foreign key b_a_fkey of public.b" }],
  );
  await exec(database.url, "DELETE FROM b");
  deepStrictEqual(await violated(), []);
  deepStrictEqual(await query(database.url, "SELECT object FROM seren_apply.held"), []);
});
