import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { statusLines } from "../../lib/cli/print/status_lines.ts";
import { statusFormProblems } from "../../lib/commands/status/schema.ts";
import { cutoverFindings } from "../../lib/commands/status/evaluate.ts";
import { executeStatus } from "../../lib/commands/status/status.ts";
import { executeCutoverStatus } from "../../lib/commands/cutover/status.ts";
import { ReplicatorError } from "../../lib/core/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import {
  type CutoverPair,
  prepareCutover,
  quietRun,
  switchCutover,
  withCutoverPair,
} from "../support/cutover_pair.ts";
import { installedClient } from "../support/installed.ts";
import { drain } from "../support/replicated.ts";
import { exec, query, withSession } from "../support/sql.ts";
import { pidOf, run } from "./_facts.ts";

const source = await sharedCluster(16);
const target = await sharedCluster(18);
const client = await installedClient();

/** Runs SQL while nothing else can happen. */
function atOnce(url: string, sql: string): string {
  const { success, stdout, stderr } = new Deno.Command(client!.psql, {
    args: [url, "-XqAtc", sql],
  }).outputSync();
  const decoder = new TextDecoder();
  ok(success, decoder.decode(stderr));
  return decoder.decode(stdout);
}

const walBytes = 32_000_000;
const writeWal = `SELECT pg_logical_emit_message(false, 'w', repeat('x', ${
  walBytes / 4
})) FROM generate_series(1, 4)`;
const unreadBytes =
  `SELECT pg_current_wal_insert_lsn() - confirmed_flush_lsn FROM pg_replication_slots
    WHERE database = current_database()`;

Deno.test("the way back brings what clients write on the target, and nothing that has an origin: 16 to 18", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    const subscribed =
      "SELECT suborigin FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())";
    deepStrictEqual(await query(pair.url, subscribed), [{ suborigin: "none" }]);
    deepStrictEqual(await query(pair.targetUrl, subscribed), [{ suborigin: "any" }]);
    // what was written before the pause must not be read in it
    let unread = 0;
    await switchCutover("run", pair, {
      hook: (hook) => hook === "before" ? exec(pair.targetUrl, writeWal) : undefined,
    }, {
      ...quietRun,
      events: (event) => {
        if (client === undefined || event.kind !== "step-finished") return;
        if (event.step === "barrier") unread = Number(atOnce(pair.targetUrl, unreadBytes));
      },
    });
    ok(unread < walBytes / 2, `${unread} bytes`);
    const origin = `elsewhere_${pair.name}`;
    await withSession(pair.targetUrl, async (session) => {
      try {
        // as an apply worker writes what it has received
        await run(session, `SELECT pg_replication_origin_create('${origin}')`);
        await run(session, `SELECT pg_replication_origin_session_setup('${origin}')`);
        await run(session, "INSERT INTO ack (writer, n) VALUES (50, 1)");
        await run(session, "SELECT pg_replication_origin_session_reset()");
        await run(session, "INSERT INTO ack (writer, n) VALUES (50, 2)");
      } finally {
        await run(session, `SELECT pg_replication_origin_drop('${origin}')`);
      }
    });
    await drain(pair.targetUrl);
    const rows = await query(pair.url, "SELECT n FROM ack WHERE writer = 50");
    strictEqual(rows.map(({ n }) => n).join(), "2");
  });
});

Deno.test("a slot that cannot be created in time names the transactions that it waits for", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await withSession(pair.targetUrl, async (session) => {
      await run(session, "BEGIN; SELECT pg_current_xact_id()");
      const pid = await pidOf(session);
      const refused = await refusalOf(switchCutover("run", pair, { slotTimeoutMs: 500 }));
      match(refused.message, /^the slot was not created within 500 ms: 1 transaction that began/);
      match(refused.details.join(), new RegExp(`^pid ${pid} `));
      deepStrictEqual([refused.exitCode, refused.side], [3, "target"]);
    });
    await switchCutover("run", pair);
  });
});

/** What an owner who takes the fence away for a moment writes. */
function foreignWrite(n: number): string {
  return `BEGIN READ WRITE; SET LOCAL synchronous_commit = on; ALTER TABLE ack DISABLE TRIGGER seren_fence;
    INSERT INTO ack (writer, n) VALUES (60, ${n});
    ALTER TABLE ack ENABLE ALWAYS TRIGGER seren_fence; COMMIT`;
}

async function refusalOf(work: Promise<unknown>): Promise<ReplicatorError> {
  try {
    await work;
  } catch (error) {
    ok(error instanceof ReplicatorError, String(error));
    return error;
  }
  throw new Error("it was not refused");
}

async function changesShown({ servers }: CutoverPair): Promise<string> {
  const { databases } = await executeCutoverStatus(servers, quietRun);
  return databases[0]!.tripwire.map(({ change, name }) => `${change} ${name}`).join();
}

/** The slot that a rollback leaves on the target must not retain what replication brings. */
async function checkKeptSlot(pair: CutoverPair): Promise<void> {
  await exec(
    pair.url,
    "INSERT INTO ack (writer, n) SELECT 61, n FROM generate_series(1, 1000) AS n",
  );
  await drain(pair.url);
  await exec(pair.targetUrl, "SET synchronous_commit = on; SELECT txid_current()");
  const [before] = await query<{ end: string }>(
    pair.targetUrl,
    "SELECT pg_current_wal_flush_lsn()::text AS end",
  );
  strictEqual(await changesShown(pair), "");
  const [after] = await query<{ passed: boolean }>(
    pair.targetUrl,
    `SELECT confirmed_flush_lsn >= '${before!.end}' AS passed FROM pg_replication_slots
      WHERE database = current_database()`,
  );
  strictEqual(after!.passed, true);
  const status = await executeStatus(
    { ...pair.servers, sampleMs: 100, now: () => new Date() },
    quietRun,
  );
  deepStrictEqual(statusFormProblems(status), []);
  const { foreignChanges, keptSlot } = status.databases[0]!.cutover!;
  strictEqual(foreignChanges, 0);
  ok(keptSlot!.retainedBytes! < 1e9);
  match(
    statusLines(status, { columns: 120, color: false }).join("\n"),
    /kept on the target: retains/,
  );
}

Deno.test("neither direction opens a side that was written to while it was closed, and status shows the changes until they are accepted", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    await switchCutover("run", pair);
    for (const [side, direction] of [["source", "rollback"], ["target", "run"]] as const) {
      const url = side === "source" ? pair.url : pair.targetUrl;
      await exec(url, foreignWrite(1));
      const refused = await refusalOf(switchCutover(direction, pair));
      strictEqual(refused.exitCode, 3);
      const details = refused.details.join("\n");
      match(details, new RegExp(`${side}: this side was written to .*: INSERT in public.ack at `));
      strictEqual(await changesShown(pair), "INSERT ack");
      const [, remedy] = /then on the \w+: (SELECT pg_catalog\.pg_replication_slot_advance.*)/
        .exec(details)!;
      await query(url, remedy!);
      strictEqual(await changesShown(pair), "");

      // the last moment: what leads back to the side in use has just been stopped
      const late = await refusalOf(switchCutover(direction, pair, {
        hook: (hook) =>
          client === undefined && hook === "before" ? exec(url, foreignWrite(2)) : undefined,
      }, {
        ...quietRun,
        events: (event) => {
          if (client === undefined || event.kind !== "step-finished") return;
          if (event.step === "barrier") atOnce(url, foreignWrite(2));
        },
      }));
      match(late.message, /was written to while it was closed/);
      match(late.details.join(), /^INSERT in public\.ack at /);
      strictEqual(await changesShown(pair), "INSERT ack");
      await query(url, remedy!);
      await exec(url, foreignWrite(3).replace(/INSERT.*;/, "DELETE FROM ack WHERE writer = 60;"));
      await query(url, remedy!);
      await switchCutover(direction, pair);
      if (direction === "rollback") await checkKeptSlot(pair);
    }
    // nothing tells its changes from others any longer
    const [{ name } = { name: "" }] = await query<{ name: string }>(
      pair.url,
      `SELECT subname AS name FROM pg_subscription AS s JOIN pg_database AS d ON d.oid = s.subdbid
        WHERE d.datname = current_database()`,
    );
    await withSession(pair.url, async (session) => {
      await run(session, "SET default_transaction_read_only = off");
      for (const change of ["DISABLE", "SET (slot_name = NONE)"]) {
        await run(session, `ALTER SUBSCRIPTION "${name}" ${change}`);
      }
      await run(session, `DROP SUBSCRIPTION "${name}"`);
    });
    const { databases } = await executeCutoverStatus(pair.servers, quietRun);
    match(
      databases[0]!.findings.map(({ message }) => message).join("\n"),
      /the tripwire is not armed, .* carry no origin, or nothing brings them any longer/,
    );
  });
});

Deno.test("status warns of a slot of the way back that retains much WAL, with its size and what to do", () => {
  const findings = (retainedBytes: number) =>
    cutoverFindings({
      source: "app",
      target: "app",
      cutover: {
        phase: "prepared",
        since: "2026-01-01T00:00:00Z",
        foreignChanges: 0,
        refusedWrites: 0,
        keptSlot: { name: "seren_back", retainedBytes },
      },
    });
  deepStrictEqual(findings(2 ** 30), []);
  const [{ id, side, message, remedy } = { id: "", side: "", message: "", remedy: "" }] = findings(
    2 ** 31,
  );
  deepStrictEqual([id, side], ["cutover-kept-slot", "target"]);
  match(message, /seren_back of the way back .* retains 2.* GB of WAL on the target's disk/);
  match(remedy, /run cutover status, .*pg_drop_replication_slot\('seren_back'\);/);
});
