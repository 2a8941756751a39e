import { rejects, strictEqual } from "node:assert/strict";
import { ConnectionError, openSession } from "../../../lib/postgres/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { endpointOf } from "../../support/init.ts";
import { query } from "../../support/sql.ts";

const cluster = await sharedCluster(18);

Deno.test("every statement after the end of a connection is rejected, not only the first", async () => {
  await using session = await openSession(await endpointOf(cluster.url(), "source"));
  await session.execute("BEGIN");
  await query(cluster.url(), "SELECT pg_terminate_backend($1)", [session.processId]);
  await rejects(session.execute("SELECT 1"));
  for (const statement of ["SELECT 1", "ROLLBACK"]) {
    await rejects(session.execute(statement), ConnectionError);
    await rejects(session.query(statement), ConnectionError);
    await rejects(session.queryAll(statement), ConnectionError);
  }
  strictEqual(session.isOpen, false);
});
