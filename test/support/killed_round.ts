import type { PgMajor } from "../../lib/cluster/mod.ts";
import { cliCommand, denoEnvironment } from "./cli.ts";
import { compareRows, drain } from "./replicated.ts";
import { loadSchema, startReplicationLoad } from "./replication_load.ts";
import { exec, query } from "./sql.ts";
import { startTestCluster } from "./test_cluster.ts";

/**
 * `init --enable-sync` is killed (SIGKILL) while copying under load, and repeated until it
 * succeeds: finished tables stay with the first slot, the others get a separate slot.
 */
export async function killedRound(
  sourceMajor: PgMajor,
  targetMajor: PgMajor,
): Promise<{ readonly rows: number; readonly transactions: number; readonly streams: number }> {
  await using source = await startTestCluster({ major: sourceMajor });
  await using target = await startTestCluster({ major: targetMajor });
  const url = source.url({ database: "load" });
  const folder = await Deno.makeTempDir({ prefix: "psr-killed-" });
  await exec(source.url(), "CREATE DATABASE load");
  await exec(url, loadSchema({ extraTables: 10 }));
  // largest first: when the first has been copied, the second is in progress
  await exec(
    url,
    `CREATE TABLE slow_1 (id int PRIMARY KEY, v text);
     INSERT INTO slow_1 SELECT n, repeat(md5(n::text), 20) FROM generate_series(1, 150000) AS n;
     CREATE TABLE slow_2 (id int PRIMARY KEY, v text);
     INSERT INTO slow_2 SELECT n, repeat(md5(n::text), 19) FROM generate_series(1, 140000) AS n;`,
  );
  let touching = Promise.resolve();
  const touch = setInterval(() => {
    const id = 1 + Math.floor(Math.random() * 140_000);
    touching = touching.then(() =>
      exec(url, `UPDATE slow_1 SET v = 'x' WHERE id = ${id}; DELETE FROM slow_2 WHERE id = ${id}`)
    );
  }, 50);
  const load = startReplicationLoad(url, { extraTables: 10, sessions: 2, pauseMs: 5 });
  try {
    await load.more(30);
    const run = async (kill: boolean) => {
      const child = new Deno.Command(Deno.execPath(), {
        args: [
          ...cliCommand,
          "init",
          "--enable-sync",
          "--yes",
          "--replica-identity=full",
          "--include-databases=load",
          "--dump-tool=embedded",
          "--jobs=1",
          "--log-format=json",
        ],
        clearEnv: true,
        env: { ...denoEnvironment(), SOURCE_URL: source.url(), TARGET_URL: target.url() },
        cwd: folder,
        stdin: "null",
        stdout: "null",
        stderr: "piped",
      }).spawn();
      let text = "";
      let finished = 0;
      for await (const chunk of child.stderr.pipeThrough(new TextDecoderStream())) {
        text += chunk;
        finished = text.match(/"event":"table-finished"/g)?.length ?? 0;
        if (kill && finished >= 1 && !text.includes("killed")) {
          text += "killed";
          child.kill("SIGKILL");
        }
      }
      const { success } = await child.status;
      return { success, text };
    };
    const killed = await run(true);
    if (killed.success) throw new Error("it finished before it could be killed");
    await load.more(60);
    const again = await run(false);
    if (!again.success) throw new Error(again.text.split("\n").slice(-30).join("\n"));
    await load.more(60);
  } finally {
    await Deno.remove(folder, { recursive: true });
    await load.stop();
    clearInterval(touch);
    await touching;
  }
  const { surprises } = load.counts;
  if (surprises.length > 0) throw new Error(surprises.slice(0, 5).join("\n"));
  await drain(url);
  const rows = await compareRows(url, target.url({ database: "load" }));
  const streams = await query(target.url(), "SELECT FROM pg_subscription");
  if (streams.length !== 2) throw new Error(`${streams.length} subscriptions: no table was kept`);
  return { rows, transactions: load.counts.committed, streams: streams.length };
}
