import { deepEqual, match, strictEqual as equal } from "node:assert/strict";
import type { RunEvent } from "../../../lib/core/internal.ts";
import { type Endpoint, openSession } from "../../../lib/postgres/internal.ts";
import { withDatabase as withTestDatabase } from "../../support/databases.ts";
import { installedDumpMajor } from "../../support/corpus_copy.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { endpointOf, runInit } from "../../support/init.ts";
import { exec, query, withSession } from "../../support/sql.ts";
import { runVerify } from "../../support/verify.ts";
import { startTestCluster } from "../../support/test_cluster.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(16);

const rows = "CREATE TABLE public.t (id integer PRIMARY KEY); INSERT INTO t VALUES (1)";

/** Runs `work` while another session holds `locks`, which it releases when the wait is reported. */
async function untilReported(
  { url, locks }: { readonly url: string; readonly locks: string },
  work: (onEvent: (event: RunEvent) => void) => Promise<unknown>,
): Promise<{ readonly messages: readonly string[]; readonly pid: number }> {
  const messages: string[] = [];
  const reported = Promise.withResolvers<void>();
  return await withSession(url, async (session) => {
    const [row] = await session.unsafe<{ pid: number }[]>("SELECT pg_backend_pid() AS pid");
    await session.unsafe(`BEGIN; ${locks}`).simple();
    const working = work((event) => {
      if (event.kind !== "info") return;
      messages.push(event.message);
      if (event.message.includes("waiting for")) reported.resolve();
    });
    // without a report the test times out: nothing else releases the lock
    await Promise.race([reported.promise, working]);
    await session.unsafe("COMMIT").simple();
    await working;
    return { messages, pid: row!.pid };
  });
}

Deno.test("init names the session whose lock it waits for on the source", async () => {
  await withTestDatabase(source, undefined, async (database) => {
    await exec(database.url, rows);
    const { messages, pid } = await untilReported(
      { url: database.url, locks: "LOCK TABLE t IN ACCESS EXCLUSIVE MODE" },
      (onEvent) => runInit(database.url, target.url(), { include: [database.name], onEvent }),
    );
    const waiting = messages.find((message) => message.includes("waiting for"))!;
    match(
      waiting,
      new RegExp(`^source, database ${database.name}: waiting for AccessShareLock on`),
    );
    match(waiting, new RegExp(`table public\\.t, held by pid ${pid} \\(role `));
    match(waiting, new RegExp(`SELECT pg_catalog\\.pg_terminate_backend\\(${pid}\\);`));
    equal(messages.some((message) => message.includes("no longer waiting for")), true);
    const copied = target.url({ database: database.name });
    equal((await query(copied, "SELECT FROM public.t")).length, 1);
    await exec(target.url(), `DROP DATABASE ${database.name}`);
  });
});

Deno.test({
  name: "init names the session whose lock an installed pg_dump waits for",
  ignore: await installedDumpMajor() < 15, // requires one as new as both servers
  fn: async () => {
    await withTestDatabase(source, undefined, async (database) => {
      await exec(database.url, `${rows}; CREATE VIEW v AS SELECT id FROM t`);
      const peer = await startTestCluster({ major: 15 });
      await using _peer = peer;
      const { messages, pid } = await untilReported(
        // the tables are not locked: only pg_dump reads the view
        { url: database.url, locks: "CREATE OR REPLACE VIEW v AS SELECT id FROM t" },
        (onEvent) =>
          runInit(database.url, peer.url(), {
            include: [database.name],
            onEvent,
            tools: {
              dump: "native",
              binDirectory: undefined,
              environment: { PATH: Deno.env.get("PATH"), HOME: Deno.env.get("HOME") },
            },
          }),
      );
      const waiting = messages.find((message) => message.includes("waiting for"))!;
      match(waiting, new RegExp(`on view public\\.v, held by pid ${pid} `));
    });
  },
});

Deno.test("verify names the session whose lock it waits for on the target", async () => {
  await withTestDatabase(source, undefined, async (one) => {
    await exec(one.url, rows);
    await withTestDatabase(target, undefined, async (other) => {
      await exec(other.url, rows);
      const { messages, pid } = await untilReported(
        { url: other.url, locks: "LOCK TABLE t IN ACCESS EXCLUSIVE MODE" },
        (onEvent) => runVerify(one.url, other.url, { onEvent }),
      );
      const waiting = messages.find((message) => message.includes("waiting for"))!;
      match(waiting, new RegExp(`^target, database ${other.name}: .* held by pid ${pid} `));
    });
  });
});

Deno.test("sessions of the tool that wait for each other are not reported", async () => {
  await withTestDatabase(source, undefined, async (database) => {
    await exec(database.url, "CREATE TABLE mine (id integer); CREATE TABLE theirs (id integer)");
    const objects: string[] = [];
    let reported = Promise.withResolvers<void>();
    const endpoint: Endpoint = {
      ...await endpointOf(database.url, "source"),
      onLockWait: ({ kind, object }) => {
        if (kind !== "waiting") return;
        objects.push(object);
        reported.resolve();
      },
    };
    await using holder = await openSession(endpoint);
    await using second = await openSession(endpoint);
    await using third = await openSession(endpoint);
    await using fourth = await openSession(endpoint);
    await withSession(database.url, async (other) => {
      await other.unsafe("BEGIN; LOCK TABLE theirs").simple();
      await holder.execute("BEGIN; LOCK TABLE public.mine");
      const waiting = [second.execute("BEGIN; LOCK TABLE public.mine; COMMIT")];
      // each starts later and is checked later: the second session has been checked by the time
      // they report
      for (const session of [third, fourth]) {
        reported = Promise.withResolvers<void>();
        waiting.push(session.execute("BEGIN; LOCK TABLE public.theirs; COMMIT"));
        await reported.promise;
      }
      await holder.execute("COMMIT");
      await other.unsafe("COMMIT").simple();
      await Promise.all(waiting);
      deepEqual(objects, ["table public.theirs", "table public.theirs"]);
    });
  });
});
