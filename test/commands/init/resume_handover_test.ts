/**
 * `init --enable-sync` killed after its subscription was created: the next run recognizes the
 * working replication, and loses nothing.
 */
import { ok, strictEqual } from "node:assert/strict";
import { TextLineStream } from "../../faults/lines.ts";
import { cliCommand, denoEnvironment } from "../../support/cli.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { dropDatabase, withDatabase } from "../../support/databases.ts";
import { compareRows, drain } from "../../support/replicated.ts";
import { exec, query } from "../../support/sql.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(17);

/** Runs `init`, and kills it at a line of its log. */
async function initUntil(
  name: string,
  { folder, point }: { readonly folder: string; readonly point?: string },
): Promise<{ readonly code: number; readonly killed: boolean; readonly log: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...cliCommand,
      "init",
      "--yes",
      "--enable-sync",
      "--log-format=json",
      "--log-level=debug",
      `--include-databases=${name}`,
    ],
    cwd: folder,
    clearEnv: true,
    env: { ...denoEnvironment(), SOURCE_URL: source.url(), TARGET_URL: target.url() },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let killed = false;
  const lines: string[] = [];
  for await (const line of child.stderr.pipeThrough(new TextLineStream())) {
    lines.push(line);
    if (killed || point === undefined || !line.includes(point)) continue;
    killed = true;
    child.kill("SIGKILL");
  }
  return { code: (await child.status).code, killed, log: lines.slice(-12).join("\n") };
}

for (const event of ["started", "finished"]) {
  Deno.test(`a kill when the step "subscription" has ${event} loses nothing, and the database is kept`, async () => {
    const folder = await Deno.makeTempDir({ prefix: "psr-handover-" });
    await withDatabase(source, undefined, async ({ name, url }) => {
      const targetUrl = target.url({ database: name });
      try {
        await exec(
          url,
          `CREATE TABLE a (id int PRIMARY KEY, v text);
           CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);
           INSERT INTO a SELECT n, 'a' FROM generate_series(1, 500) AS n;
           INSERT INTO b SELECT n, n FROM generate_series(1, 500) AS n;`,
        );
        const point = `"event":"step-${event}","step":"subscription"`;
        const first = await initUntil(name, { folder, point });
        ok(first.killed, first.log);
        const oid = "SELECT oid FROM pg_database WHERE datname = current_database()";
        const [before] = await query(targetUrl, oid);
        await exec(url, "UPDATE a SET v = 'b' WHERE id % 2 = 0; DELETE FROM b WHERE id < 10");
        const second = await initUntil(name, { folder });
        strictEqual(second.code, 0, second.log);
        strictEqual((await query(targetUrl, oid))[0]?.["oid"], before?.["oid"]);
        await exec(url, "INSERT INTO a VALUES (-1, 'late')");
        await drain(url);
        strictEqual(await compareRows(url, targetUrl), 501 + 491);
        const slots = await query(
          url,
          "SELECT FROM pg_replication_slots WHERE database = current_database()",
        );
        strictEqual(slots.length, 1);
      } finally {
        await dropDatabase(target, name);
        await Deno.remove(folder, { recursive: true });
      }
    });
  });
}
