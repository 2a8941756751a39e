/**
 * Everything that `prepare` needs is checked before it changes anything.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { ReplicatorError } from "../../lib/core/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import { type CutoverPair, prepareCutover, withCutoverPair } from "../support/cutover_pair.ts";
import { endpointOf } from "../support/init.ts";
import { exec, query } from "../support/sql.ts";

const source = await sharedCluster(16);
const target = await sharedCluster(18);

/** The same databases, as a role that owns their tables. */
async function asRole({ servers, url, targetUrl }: CutoverPair, name: string) {
  const as = (text: string) => {
    const changed = new URL(text);
    changed.username = name;
    changed.password = "secret";
    return changed.href;
  };
  return {
    ...servers,
    source: await endpointOf(as(url), "source"),
    target: await endpointOf(as(targetUrl), "target"),
  };
}

async function createOwner({ url, targetUrl, name }: CutoverPair, role: string): Promise<void> {
  for (const side of [url, targetUrl]) {
    await exec(
      side,
      `CREATE ROLE ${role} LOGIN PASSWORD 'secret';
       GRANT CREATE ON DATABASE ${name} TO ${role};
       GRANT USAGE, CREATE ON SCHEMA public TO ${role};
       DO $$ DECLARE t regclass; BEGIN
         FOR t IN SELECT oid FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace LOOP
           EXECUTE format('ALTER TABLE %s OWNER TO ${role}', t);
         END LOOP;
       END $$`,
    );
  }
}

async function dropOwner({ url, targetUrl }: CutoverPair, role: string): Promise<void> {
  for (const side of [url, targetUrl]) {
    await exec(
      side,
      `REASSIGN OWNED BY ${role} TO postgres; DROP OWNED BY ${role}; DROP ROLE ${role}`,
    );
  }
}

async function refusal(work: Promise<unknown>): Promise<ReplicatorError> {
  try {
    await work;
  } catch (error) {
    ok(error instanceof ReplicatorError, String(error));
    return error;
  }
  throw new Error("it was not refused");
}

/** What `prepare` would leave on a side. */
async function remains(url: string): Promise<readonly unknown[]> {
  return await query(
    url,
    `SELECT nspname AS name FROM pg_namespace WHERE nspname = 'seren_cutover'
     UNION ALL SELECT tgname FROM pg_trigger WHERE tgname LIKE 'seren%'
     UNION ALL SELECT subname FROM pg_subscription WHERE subname LIKE 'seren_probe%'`,
  );
}

Deno.test("every missing privilege is reported at once, and prepare changes nothing", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    const role = `owner_${pair.name}`;
    await createOwner(pair, role);
    try {
      await exec(pair.targetUrl, `REVOKE TRIGGER ON balance FROM ${role}`);
      const servers = await asRole(pair, role);
      const error = await refusal(prepareCutover({ ...pair, servers }));
      strictEqual(error.exitCode, 3, error.message);
      match(error.message, /nothing was changed/);
      const details = error.details.join("\n");
      match(details, /source: owner_\S+ does not own the publication seren_/);
      match(details, /target: owner_\S+ does not own the subscription seren_/);
      match(details, /source: owner_\S+ may not create subscriptions.*\n.*pg_create_subscription/);
      match(details, /target: owner_\S+ may not create replication slots.*\n.*REPLICATION/);
      match(details, /target: owner_\S+ may not create triggers on 1 table: balance/);
      for (const url of [pair.url, pair.targetUrl]) deepStrictEqual(await remains(url), []);
    } finally {
      await dropOwner(pair, role);
    }
  });
});

Deno.test("the role by which the source connects, and whether it can, are checked first", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    const role = `reader_${pair.name}`;
    await exec(pair.targetUrl, `CREATE ROLE ${role} LOGIN PASSWORD 'secret'`);
    const url = new URL(pair.targetUrl);
    url.username = role;
    url.password = "secret";
    try {
      const { details } = await refusal(
        prepareCutover(pair, { targetFromSource: await endpointOf(url.href, "target") }),
      );
      match(
        details.join("\n"),
        /target: reader_\S+, as which the source would connect .* may not replicate/,
      );
      await exec(pair.targetUrl, `ALTER ROLE ${role} REPLICATION`);
      url.port = "1";
      const unreached = await refusal(
        prepareCutover(pair, { targetFromSource: await endpointOf(url.href, "target") }),
      );
      strictEqual(unreached.exitCode, 3);
      match(
        unreached.details.join("\n"),
        /the source's server cannot reach the target at .*:1\/.*\n.*--target-from-source/s,
      );
      for (const side of [pair.url, pair.targetUrl]) deepStrictEqual(await remains(side), []);
      await prepareCutover(pair, { wayBack: "none" });
    } finally {
      await exec(pair.targetUrl, `DROP ROLE ${role}`);
    }
  });
});
