/** What is reported when changes cannot be applied, and by whom they are. */
import { doesNotMatch, match, rejects, strictEqual } from "node:assert/strict";
import { ChangeRefusedError } from "../../lib/apply/internal.ts";
import { recordApplyError } from "../../lib/apply/record.ts";
import { ExitCode, formatLsn, parseLsn, ReplicatorError } from "../../lib/core/internal.ts";
import { openSession } from "../../lib/postgres/internal.ts";
import {
  applyLockKey,
  describeApplyProcess,
  describeIntruder,
} from "../../lib/replication/internal.ts";
import { ClientApplier } from "../../lib/replication/client_applier.ts";
import {
  type ClientStream,
  createClientStream,
  endClientStream,
  RunningApplier,
} from "../support/client_stream.ts";
import { sharedCluster } from "../support/clusters.ts";
import { createDatabase } from "../support/databases.ts";
import { endpointOf } from "../support/init.ts";
import { compareRows, drain } from "../support/replicated.ts";
import { exec, query, withSession } from "../support/sql.ts";

const old = await sharedCluster(12);
const current = await sharedCluster(18);

async function streaming(use: (stream: ClientStream) => Promise<void>): Promise<void> {
  const schema = "CREATE TABLE a (id int PRIMARY KEY, v int)";
  await using source = await createDatabase(old, schema);
  await using target = await createDatabase(current, schema);
  const stream = await createClientStream(source.url, target.url);
  try {
    await use(stream);
  } finally {
    await endClientStream(stream);
  }
}

Deno.test("a session that is terminated during a batch is reported with the server's reason", async () => {
  await streaming(async (stream) => {
    const { sourceUrl, targetUrl } = stream;
    await using applier = new RunningApplier(stream);
    await exec(sourceUrl, "INSERT INTO a VALUES (1, 1)");
    await drain(sourceUrl);
    await withSession(targetUrl, async (blocker) => {
      await blocker.unsafe("BEGIN; LOCK TABLE a").simple();
      await exec(sourceUrl, "INSERT INTO a SELECT n, n FROM generate_series(2, 50) AS n");
      for (;;) {
        const ended = await query(
          targetUrl,
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        );
        if (ended.length > 0) break;
        await Promise.race([new Promise((resolve) => setTimeout(resolve, 20)), applier.ended]);
      }
      await blocker.unsafe("COMMIT").simple();
    });
    await Promise.race([drain(sourceUrl), applier.ended]);
    strictEqual(await compareRows(sourceUrl, targetUrl), 50);
    match(
      applier.messages.join("\n"),
      /the server has ended the session: terminating connection due to administrator command/,
    );
  });
});

Deno.test("a publication that was dropped is named, with the side and what to do", async () => {
  await streaming(async (stream) => {
    const { sourceUrl, name } = stream;
    await using applier = new RunningApplier(stream);
    await exec(sourceUrl, "INSERT INTO a VALUES (1, 1)");
    await drain(sourceUrl);
    await exec(sourceUrl, `DROP PUBLICATION "${name}"; INSERT INTO a VALUES (2, 2)`);
    await rejects(applier.ended, (error) => {
      if (!(error instanceof ReplicatorError)) return false;
      match(error.message, new RegExp(`the publication ${name} .* was dropped on the source`));
      strictEqual(error.side, "source");
      match(error.remedy ?? "", /sync --resnapshot/);
      strictEqual(error.exitCode, ExitCode.unhealthy);
      return true;
    });
  });
});

Deno.test("a source that ends before what was applied is refused, also once it has written more", async () => {
  await streaming(async (stream) => {
    const { sourceUrl, targetUrl, name } = stream;
    // as a source that was restored: it ends 100 kB before the record
    const [{ end }] = await query<{ end: string }>(
      sourceUrl,
      "SELECT pg_current_wal_lsn()::text AS end",
    ) as [{ end: string }];
    const lsn = formatLsn(parseLsn(end) + 100_000n);
    await query(targetUrl, "UPDATE seren_apply.stream SET end_lsn = $1::text::pg_lsn", [lsn]);
    {
      await using applier = new RunningApplier(stream);
      await rejects(applier.ended, (error) => {
        if (!(error instanceof ReplicatorError)) return false;
        match(error.message, /the source ends at .* was promoted without its last changes/);
        strictEqual(error.side, "source");
        match(error.remedy ?? "", /sync --resnapshot TABLES \(or '\*'\)/);
        strictEqual(error.exitCode, ExitCode.unhealthy);
        return true;
      });
    }
    // what it writes now would not be sent
    await exec(
      sourceUrl,
      "INSERT INTO a SELECT n, n FROM generate_series(1, 2000) AS n; INSERT INTO a VALUES (0, 0)",
    );
    const [{ behind }] = await query<{ behind: boolean }>(
      sourceUrl,
      "SELECT pg_current_wal_lsn() > $1::text::pg_lsn AS behind",
      [lsn],
    ) as [{ behind: boolean }];
    strictEqual(behind, true);
    await using applier = new RunningApplier(stream);
    await applier.ended;
    const [{ enabled }] = await query(
      targetUrl,
      "SELECT enabled FROM seren_apply.stream WHERE name = $1",
      [name],
    ) as [{ enabled: boolean }];
    strictEqual(enabled, false);
  });
});

Deno.test("the new row is not shown as the old one, which the source does not send", async () => {
  await streaming(async (stream) => {
    const { sourceUrl, targetUrl } = stream;
    await using applier = new RunningApplier(stream);
    await exec(sourceUrl, "INSERT INTO a VALUES (1, 1)");
    await drain(sourceUrl);
    await exec(targetUrl, "DELETE FROM a");
    await exec(sourceUrl, "UPDATE a SET v = 2");
    await rejects(applier.ended, (error) => {
      if (!(error instanceof ChangeRefusedError)) return false;
      match(error.details.join("\n"), /on the source: id = 1, v = 2/);
      doesNotMatch(error.details.join("\n"), /before, on the source/);
      return true;
    });
  });
});

Deno.test("the process that applies a stream's changes is named by its session on the target", async () => {
  await streaming(async (stream) => {
    const { sourceUrl, targetUrl, name } = stream;
    await using session = await openSession(await endpointOf(targetUrl, "target"));
    strictEqual(await describeApplyProcess(session, name), undefined);
    await using applier = new RunningApplier(stream);
    await exec(sourceUrl, "INSERT INTO a VALUES (1, 1)");
    await Promise.race([drain(sourceUrl), applier.ended]);
    match(await describeApplyProcess(session, name) ?? "", /^session \d+ of the target/);
    const events: string[] = [];
    const told = Promise.withResolvers<void>();
    await using _second = new RunningApplier(stream, {
      events: (event) => {
        if ("message" in event) events.push(event.message);
        told.resolve();
      },
    });
    await told.promise;
    match(
      events.join(),
      /waiting for the process that applies seren_\w+: session \d+ of the target/,
    );
  });
});

Deno.test("a refusal does not stop a stream that another process has advanced meanwhile", async () => {
  await streaming(async ({ name, targetUrl }) => {
    await using session = await openSession(await endpointOf(targetUrl, "target"));
    const { lsn } = await session.queryOne<{ lsn: string }>(
      "SELECT end_lsn::text AS lsn FROM seren_apply.stream",
    );
    const error = { message: "late" };
    const record = (from: bigint) =>
      recordApplyError(session, name, { error, conflict: undefined, from });
    const isEnabled = async () =>
      (await query(targetUrl, "SELECT enabled FROM seren_apply.stream"))[0]!["enabled"];
    strictEqual(await record(parseLsn(lsn) - 1n), false);
    strictEqual(await isEnabled(), true);
    strictEqual(await record(parseLsn(lsn)), true);
    strictEqual(await isEnabled(), false);
  });
});

Deno.test("a role that may not write the record is not taken for the process that applies changes", async () => {
  const role = `other_${crypto.randomUUID().slice(0, 8)}`;
  await exec(current.url(), `CREATE ROLE ${role} LOGIN`);
  try {
    await streaming(async ({ name, targetUrl }) => {
      const url = new URL(targetUrl);
      url.username = role;
      await using intruder = await openSession(await endpointOf(url.href, "target"));
      await using session = await openSession(await endpointOf(targetUrl, "target"));
      const key = [...applyLockKey(name)];
      await intruder.query("SELECT pg_catalog.pg_advisory_lock_shared($1, $2)", key);
      strictEqual(await describeApplyProcess(session, name), undefined);
      match(await describeIntruder(session, name) ?? "", new RegExp(`of the role ${role}$`));
      // does not wait for it
      await new ClientApplier(session, { name, stopTimeoutMs: 1_000 }).stop();
    });
  } finally {
    await exec(current.url(), `DROP ROLE ${role}`);
  }
});
