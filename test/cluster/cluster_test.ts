import { deepStrictEqual as equal, ok, rejects } from "node:assert/strict";
import { embeddedMajors, installedMajors, PG_MAJORS, startCluster } from "../../lib/cluster/mod.ts";
import { sharedCluster } from "../support/clusters.ts";
import { exec, query } from "../support/sql.ts";

const shared = await sharedCluster(18);

for (const major of PG_MAJORS.filter((each) => embeddedMajors().includes(each))) {
  Deno.test(`PostgreSQL ${major} starts, restarts, survives SIGKILL and leaves nothing behind`, async () => {
    let folder: string;
    let postmaster: number;
    {
      await using cluster = await startCluster({ major });
      folder = cluster.dataDir;
      const url = cluster.url();
      const [row] = await query(
        url,
        "SELECT current_setting('server_version_num')::int AS version",
      );
      equal(Math.floor(Number(row?.version) / 10000), major);
      await exec(url, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS i; CHECKPOINT");
      await cluster.restart();
      await cluster.kill("SIGKILL");
      equal(cluster.postmasterPid, 0);
      await rejects(query(url, "SELECT 1"));
      await cluster.start();
      postmaster = cluster.postmasterPid;
      equal(await query(url, "SELECT count(*)::int AS n FROM t"), [{ n: 1000 }]);
    }
    equal(await exists(folder), false);
    equal(await exists(`/proc/${postmaster}`), false);
  });
}

const [installed] = await installedMajors();

Deno.test({
  name: "a cluster also starts from installed programs",
  ignore: installed === undefined,
  fn: async () => {
    await using cluster = await startCluster({ major: installed!, programs: "installed" });
    equal(cluster.programs.origin, "installed");
    const [row] = await query(cluster.url(), "SELECT current_setting('server_version_num') AS v");
    equal(Math.floor(Number(row?.v) / 10000), installed);
  },
});

Deno.test("two clusters of one version have different system identifiers", async () => {
  await using other = await startCluster({ major: 18 });
  const sql = "SELECT system_identifier::text AS id FROM pg_control_system()";
  const ids = await Promise.all([shared, other].map((each) => query(each.url(), sql)));
  ok(ids[0]?.[0]?.id !== ids[1]?.[0]?.id);
});

Deno.test("many clusters start concurrently on different ports", async () => {
  const clusters = await Promise.all(
    [12, 15, 15, 18].map((major) => startCluster({ major: major as 12 })),
  );
  try {
    equal(new Set(clusters.map((each) => each.port)).size, 4);
  } finally {
    await Promise.all(clusters.map((each) => each[Symbol.asyncDispose]()));
  }
});

Deno.test("a cluster with a password rejects connections without it, in versions 12 and 18", async () => {
  for (const major of [12, 18] as const) {
    const password = "p'ä\\ss:@/?%";
    await using cluster = await startCluster({ major, password });
    equal(await query(cluster.url(), "SELECT 1 AS one"), [{ one: 1 }]);
    await rejects(query(cluster.url({ password: "wrong" }), "SELECT 1"), { code: "28P01" });
  }
});

Deno.test("settings, locale, encoding and pg_hba.conf lines reach the server", async () => {
  await using cluster = await startCluster({
    major: 16,
    settings: { work_mem: "7MB", "custom.quoted": "it's" },
    encoding: "LATIN1",
    hba: ["local all all trust", "host all postgres 127.0.0.1/32 trust"],
  });
  const [row] = await query(
    cluster.url(),
    `SELECT current_setting('work_mem') AS a, current_setting('custom.quoted') AS b,
       pg_encoding_to_char(encoding) AS c FROM pg_database WHERE datname = 'postgres'`,
  );
  equal({ ...row }, { a: "7MB", b: "it's", c: "LATIN1" });
  await rejects(query(cluster.url({ user: "other" }), "SELECT 1"), { code: "28000" });
});

Deno.test("a server that cannot start is reported with its log and leaves nothing behind", async () => {
  const dataRoot = await Deno.makeTempDir();
  await Deno.chmod(dataRoot, 0o755);
  try {
    await rejects(
      startCluster({ major: 18, dataRoot, settings: { shared_buffers: "nonsense" } }),
      /did not start[^]*nonsense/,
    );
    equal([...Deno.readDirSync(dataRoot)], []);
  } finally {
    await Deno.remove(dataRoot, { recursive: true });
  }
});

Deno.test("an aborted start leaves nothing behind", async () => {
  const dataRoot = await Deno.makeTempDir();
  await Deno.chmod(dataRoot, 0o755);
  try {
    const signal = AbortSignal.abort(new Error("changed my mind"));
    await rejects(startCluster({ major: 18, dataRoot, signal }), /changed my mind/);
    equal([...Deno.readDirSync(dataRoot)], []);
  } finally {
    await Deno.remove(dataRoot, { recursive: true });
  }
});

Deno.test("a server that was suspended can be disposed of", async () => {
  await using cluster = await startCluster({ major: 18 });
  await cluster.kill("SIGSTOP");
});

Deno.test("starting, killing and stopping a server requires only the documented permissions", async () => {
  const program = `
    import { startCluster } from "${new URL("../../lib/cluster/mod.ts", import.meta.url)}";
    await using cluster = await startCluster({ major: 18 });
    await cluster.kill("SIGKILL");
    await cluster.start();
  `;
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/main.ts`, program);
    const writable = [Deno.env.get("TMPDIR") ?? "/tmp", `${Deno.env.get("HOME") ?? "/tmp"}/.cache`]
      .join();
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--no-prompt", "--no-lock", "--allow-run", "--allow-net", "--allow-sys=uid"],
        "--allow-env=PATH,TMPDIR,HOME,XDG_CACHE_HOME",
        ...[`--allow-read=${writable}`, `--allow-write=${writable}`, `${folder}/main.ts`],
      ],
    }).output();
    ok(success, new TextDecoder().decode(stderr));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the server and its folder are removed when the process that started it is killed", async () => {
  const program = `
    import { startCluster } from "${new URL("../../lib/cluster/mod.ts", import.meta.url)}";
    const cluster = await startCluster({ major: 18 });
    console.log(JSON.stringify([cluster.postmasterPid, cluster.dataDir]));
    setInterval(() => {}, 1000);
  `;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", program],
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let line = "";
  while (!line.includes("\n")) line += (await reader.read()).value ?? "\n";
  await reader.cancel();
  const [pid, folder]: [number, string] = JSON.parse(line);
  ok(await exists(folder));
  child.kill("SIGKILL");
  await child.status;
  const gone = async () => !await exists(folder) && !await exists(`/proc/${pid}/root/.`);
  for (let tries = 0; !await gone(); tries++) {
    ok(tries < 500, "the server or its folder still exists after 10 s");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

Deno.test("url() quotes what needs quoting", () => {
  const url = new URL(shared.url({
    user: "a b@c",
    password: "p:/?#",
    database: "x/y ü%",
    params: { options: "-c a=b", sslmode: "disable" },
  }));
  equal(url.hostname, "127.0.0.1");
  equal([url.username, url.password, url.pathname].map(decodeURIComponent), [
    "a b@c",
    "p:/?#",
    "/x/y ü%",
  ]);
  equal(url.searchParams.get("options"), "-c a=b");
});

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
