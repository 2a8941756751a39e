/**
 * The password of a subscription appears neither in the target's log nor in statistics of the
 * statement.
 */
import { ok, rejects, strictEqual } from "node:assert/strict";
import { openSession, resolveEndpoint } from "../../lib/postgres/internal.ts";
import { createSubscription, probeSubscription } from "../../lib/replication/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import { exec, query } from "../support/sql.ts";

const secret = "s3cret-of-the-source";
const source = await sharedCluster(16, { password: secret });
const target = await sharedCluster(15, {
  settings: {
    log_statement: "all",
    log_min_duration_statement: "0",
    log_min_error_statement: "debug5",
    log_duration: "on",
    debug_print_parse: "on",
    log_min_messages: "debug1",
    shared_preload_libraries: "pg_stat_statements,auto_explain",
    "auto_explain.log_min_duration": "0",
    "pg_stat_statements.track_utility": "on",
  },
});

const options = async (passwordInUse = secret) => ({
  session: await openSession(await resolveEndpoint(target.url(), { side: "target" })),
  sourceFromTarget: await resolveEndpoint(source.url({ password: passwordInUse }), {
    side: "source",
  }),
  passfile: undefined,
});

Deno.test("a superuser's CREATE SUBSCRIPTION leaves no password in the log, whether it succeeds or fails", async () => {
  await exec(target.url(), "CREATE EXTENSION pg_stat_statements");
  await exec(source.url(), "CREATE PUBLICATION pub");
  const probed = await options();
  await using _probing = probed.session;
  strictEqual(await probeSubscription(probed), true);
  const wrong = await options(`${secret}-wrong`);
  await using _failing = wrong.session;
  await rejects(probeSubscription(wrong));
  const created = await options();
  await using creating = created.session;
  await createSubscription({
    ...created,
    name: "sub",
    publication: "pub",
    slot: "slot",
    sourceMajor: 16,
    portableBinary: false,
    origin: "any",
    harmfulSettings: [],
    scopeComment: { format: 1 } as never,
  });
  const log = await target.log();
  ok(log.includes("CREATE EXTENSION"), "other statements are still logged");
  ok(!log.includes(secret), "the password is in the log");
  const seen = await query(target.url(), "SELECT query FROM pg_stat_statements");
  ok(!JSON.stringify(seen).includes(secret), "the password is in pg_stat_statements");
  const level = await creating.queryOne<{ log_statement: string }>("SHOW log_statement");
  strictEqual(level.log_statement, "all", "the setting is restored");
  await exec(
    target.url(),
    "ALTER SUBSCRIPTION sub DISABLE; ALTER SUBSCRIPTION sub SET (slot_name = NONE); DROP SUBSCRIPTION sub",
  );
});
