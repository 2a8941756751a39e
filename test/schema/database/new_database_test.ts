/** What every new database contains, and the source has changed or dropped. */
import { deepStrictEqual as equal } from "node:assert/strict";
import { sharedCluster } from "../../support/clusters.ts";
import { compareDatabases } from "../../support/compare.ts";
import { createDatabase } from "../../support/databases.ts";
import { runInit } from "../../support/init.ts";
import { runVerify } from "../../support/verify.ts";
import { exec, query } from "../../support/sql.ts";

const old = await sharedCluster(12);
const middle = await sharedCluster(15);
const newest = await sharedCluster(18);
for (const { url } of [middle, newest].map((cluster) => ({ url: cluster.url() }))) {
  await exec(url, "CREATE ROLE new_owner");
}

const sources = {
  "no public":
    `DROP SCHEMA public; CREATE SCHEMA app; CREATE TABLE app.t (id integer PRIMARY KEY); INSERT INTO app.t VALUES (1)`,
  "public recreated": "DROP SCHEMA public; CREATE SCHEMA public; CREATE TABLE public.t ()",
  "public of another owner":
    `ALTER SCHEMA public OWNER TO new_owner; REVOKE ALL ON SCHEMA public FROM PUBLIC;
    GRANT CREATE ON SCHEMA public TO new_owner WITH GRANT OPTION; COMMENT ON SCHEMA public IS 'it''s another'`,
  "public without a comment":
    "COMMENT ON SCHEMA public IS NULL; GRANT CREATE ON SCHEMA public TO PUBLIC",
  "no plpgsql": "DROP EXTENSION plpgsql",
  "plpgsql recreated, and an extension in another schema":
    `DROP EXTENSION plpgsql; CREATE EXTENSION plpgsql; CREATE SCHEMA ext; CREATE EXTENSION pg_trgm SCHEMA ext`,
  "privileges in pg_catalog":
    `REVOKE EXECUTE ON FUNCTION pg_catalog.pg_sleep(double precision) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO new_owner; REVOKE USAGE ON SCHEMA pg_catalog FROM PUBLIC;
    GRANT USAGE ON SCHEMA pg_catalog TO PUBLIC`,
};

async function copy(from: { name: string; url: string }, to: { name: string; url: string }) {
  const { events } = await runInit(from.url, to.url, {
    include: [from.name],
    map: { [from.name]: to.name },
  });
  return events.filter((event) => event.kind === "warning" && event.object !== "role postgres");
}

for (const [what, script] of Object.entries(sources)) {
  for (const created of what === "no public" ? [true, false] : [true]) {
    Deno.test(`${what}: equal in ${created ? "a database that the tool creates" : "an existing empty database"}`, async () => {
      await using one = await createDatabase(middle, script);
      await using other = await createDatabase(newest, "");
      if (created) await exec(newest.url(), `DROP DATABASE "${other.name}"`);
      const target = { name: other.name, url: created ? newest.url() : other.url };
      equal(await copy(one, target), []);
      // plpgsql of the target has initdb's comment
      const differences = (await compareDatabases(one.url, other.url))
        .filter(({ name }) => name !== "extension plpgsql");
      equal(differences, []);
      equal((await runVerify(one.url, other.url)).verdict, "equal");
    });
  }
}

Deno.test("a schema public with another owner is not dropped", async () => {
  await using one = await createDatabase(middle, sources["no public"]);
  await using other = await createDatabase(newest, "ALTER SCHEMA public OWNER TO new_owner");
  equal(await copy(one, other), []);
  equal(await query(other.url, "SELECT 1 AS n FROM pg_namespace WHERE nspname = 'public'"), [{
    n: 1,
  }]);
});

Deno.test("before 15 PUBLIC does not get CREATE on schema public", async () => {
  await using one = await createDatabase(middle, "");
  await using other = await createDatabase(old, "");
  await copy(one, other);
  equal(
    await query(
      other.url,
      "SELECT a.privilege_type FROM pg_namespace, aclexplode(nspacl) AS a WHERE nspname = 'public' AND grantee = 0",
    ),
    [{ privilege_type: "USAGE" }],
  );
});
