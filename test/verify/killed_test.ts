/** `verify` after it was killed, and between servers whose hash functions differ. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { cliCommand, denoEnvironment } from "../support/cli.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import { until } from "../support/replication.ts";
import { exec, withSession } from "../support/sql.ts";
import { runVerify, unequalTables } from "../support/verify.ts";

const source = await sharedCluster(13);
const target = await sharedCluster(17);

Deno.test("verify resumes after it was killed", async () => {
  const folder = await Deno.makeTempDir({ prefix: "psr-verify-killed-" });
  try {
    await withDatabase(source, undefined, async (from) => {
      await withDatabase(target, undefined, async (to) => {
        for (const { url } of [from, to]) {
          await exec(
            url,
            `CREATE TABLE large (id int PRIMARY KEY, v text); CREATE TABLE last (id int PRIMARY KEY);
             INSERT INTO large SELECT i, 'row ' || i FROM generate_series(1, 10000) AS i; INSERT INTO last VALUES (1);
             CREATE FUNCTION gate(int) RETURNS boolean LANGUAGE plpgsql STABLE AS
               'BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared(77); RETURN true; END'; ANALYZE`,
          );
        }
        const child = () =>
          new Deno.Command(Deno.execPath(), {
            args: [
              ...cliCommand,
              ...["verify", "--json", "--jobs=1", "--table-filter", "last:public.gate(id)"],
              ...["--source", from.url, "--target", to.url, "--include-databases", from.name],
              ...["--map", `${from.name}=${to.name}`],
            ],
            cwd: folder,
            clearEnv: true,
            env: denoEnvironment(),
            stdin: "null",
            stdout: "piped",
            stderr: "piped",
          });
        await withSession(from.url, async (holder) => {
          await holder.unsafe("SELECT pg_advisory_lock(77)").simple();
          const interrupt = async (signal: "SIGKILL" | "SIGINT") => {
            await using running = child().spawn();
            const ended = running.output();
            await Promise.race([
              until(
                from.url,
                "SELECT count(*) > 0 AS ok FROM pg_locks WHERE locktype = 'advisory' AND NOT granted",
              ),
              ended.then(({ code, stderr }) => {
                throw new Error(`ended with ${code}: ${new TextDecoder().decode(stderr)}`);
              }),
            ]);
            running.kill(signal);
            return await ended;
          };
          const { code, stderr } = await interrupt("SIGINT");
          strictEqual(code, 130);
          match(new TextDecoder().decode(stderr), /the same command resumes from there/);
          await until(
            from.url,
            "SELECT count(*) = 0 AS ok FROM pg_locks WHERE locktype = 'advisory' AND NOT granted",
          );
          strictEqual((await interrupt("SIGKILL")).signal, "SIGKILL");
        });
        // the folder exists as long as it has contents
        const left = () => [...Deno.readDirSync(folder)].map(({ name }) => name);
        const state = ".postgres-seren-replicator";
        deepStrictEqual(left(), [state]);
        strictEqual([...Deno.readDirSync(`${folder}/${state}`)].length, 1);
        // chunks that were already compared are not read again, so this change is not found
        await exec(to.url, "DELETE FROM large WHERE id = 5");
        const { stdout, stderr } = await child().output();
        const text = new TextDecoder();
        ok(stdout.length > 0, text.decode(stderr));
        const { databases: [{ tables }] } = JSON.parse(text.decode(stdout));
        const large = tables.find(({ name }: { name: string }) => name === "large");
        ok(large.resumed.chunks > 0);
        deepStrictEqual([large.verdict, large.targetRows], ["equal", 10_000]);
        deepStrictEqual(left(), []);
        // a run that compared nothing leaves nothing behind
        const nowhere = new Deno.Command(Deno.execPath(), {
          args: [
            ...cliCommand,
            "verify",
            "--source",
            from.urlFor({ user: "nobody" }),
            "--target",
            to.url,
          ],
          cwd: folder,
          clearEnv: true,
          env: denoEnvironment(),
          stdin: "null",
          stderr: "null",
        });
        strictEqual((await nowhere.output()).code, 4);
        deepStrictEqual(left(), []);
        // a run from the beginning finds it
        const again = JSON.parse(text.decode((await child().output()).stdout));
        const seen = again.databases[0].tables.find(({ name }: { name: string }) =>
          name === "large"
        );
        deepStrictEqual([seen.verdict, seen.targetRows], ["different", 9_999]);
      });
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("verify() uses MD5 when the servers' hash functions differ", async () => {
  await withDatabase(source, undefined, async (from) => {
    await withDatabase(target, undefined, async (to) => {
      for (const { url } of [from, to]) {
        await exec(
          url,
          `CREATE TABLE t (id int PRIMARY KEY, v text);
           INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 6000) AS i; ANALYZE`,
        );
      }
      // simulates a server of other endianness, whose hash functions return other values
      await exec(
        to.url,
        `SET allow_system_table_mods = on;
         ALTER FUNCTION pg_catalog.hash_array_extended(anyarray, bigint) RENAME TO hash_array_elsewhere;
         CREATE FUNCTION pg_catalog.hash_array_extended(anyarray, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT
           AS 'SELECT pg_catalog.hash_array_elsewhere($1, $2 + 1)'`,
      );
      const methods = async () => {
        const report = await runVerify(from.url, to.url);
        return report.databases[0]?.tables.map(({ method, verdict }) => `${method} ${verdict}`);
      };
      deepStrictEqual(await methods(), ["md5 equal"]);
      await exec(to.url, "UPDATE t SET v = v || ' ' WHERE id = 4711");
      const [table] = unequalTables(await runVerify(from.url, to.url));
      deepStrictEqual(
        [
          table?.method,
          ...table?.differences.map(({ kind, key }) => `${kind} ${key[0]?.value}`) ?? [],
        ],
        ["md5", "different 4711"],
      );
    });
  });
});
