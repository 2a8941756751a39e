import { deepStrictEqual as equal, match, ok, rejects } from "node:assert/strict";
import { ReplicatorError } from "../../../lib/core/internal.ts";
import {
  ConnectionError,
  openSession,
  resolveEndpoint,
  ServerError,
} from "../../../lib/postgres/internal.ts";
import {
  chooseDumpTool,
  dumpSchema,
  dumpSchemaText,
  type DumpTool,
  embeddedDumpModule,
  findDumpTool,
  findInstalledTools,
  runTool,
  toolForDistance,
} from "../../../lib/schema/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { exec, query } from "../../support/sql.ts";
import { waitUntil } from "../../support/wait.ts";

const password = `p:a\\s's"w ör/d%@?#`;
const old = await sharedCluster(12, { password });
const middle = await sharedCluster(15, { password });
const current = await sharedCluster(18, { password });

const embedded: DumpTool = { kind: "embedded", major: 18, description: "embedded pg_dump 18" };
const search = {
  binDirectory: undefined,
  environment: { ...Deno.env.toObject(), PGHOST: "nowhere.invalid", PGOPTIONS: "-c nonsense=1" },
};
const installed = await findInstalledTools(search);
const native = installed.some(({ major }) => major >= 15)
  ? await findDumpTool({ sourceMajor: 15, targetMajor: 12 }, { ...search, dump: "native" })
  : undefined;

const nasty = `a"b;c d\\e'f.Ü`;
const quoted = `"${nasty.replaceAll('"', '""')}"`;
for (const cluster of [old, middle, current]) {
  await exec(
    cluster.url(),
    `SET password_encryption = 'scram-sha-256';
     CREATE ROLE ${quoted} LOGIN PASSWORD '${password.replaceAll("'", "''")}' SUPERUSER`,
  );
  await exec(
    cluster.url(),
    `CREATE DATABASE ${quoted} OWNER ${quoted}`,
  );
  await execNasty(
    cluster,
    `CREATE SCHEMA ${quoted};
     CREATE TABLE ${quoted}.${quoted} (id int PRIMARY KEY, t text CHECK (t <> ';'));
     COMMENT ON TABLE ${quoted}.${quoted} IS E'\\n--\\n-- Name: x; Type: TABLE; Schema: y; Owner: z\\n--\\n';
     CREATE PUBLICATION p FOR TABLE ${quoted}.${quoted};
     SELECT lo_create(1234);`,
  );
}

/** Runs a script in the database whose name the driver does not accept in a URL. */
async function execNasty(cluster: typeof old, script: string) {
  await using session = await openSession(await endpointOf(cluster));
  await session.execute(script);
}

async function endpointOf(cluster: typeof old, side: "source" | "target" = "source") {
  return await resolveEndpoint(cluster.url({ database: nasty, user: nasty, password }), { side });
}

const tools = [embedded, ...(native === undefined ? [] : [native])];
for (const cluster of [old, middle, current]) {
  for (const tool of tools.filter(({ major }) => major >= cluster.major)) {
    Deno.test(`dumpSchema() reads both sections of PostgreSQL ${cluster.major} with the ${tool.kind} pg_dump`, async () => {
      const endpoint = await endpointOf(cluster);
      const before = await dumpSchema({ endpoint, tool, section: "pre-data" });
      const after = await dumpSchema({ endpoint, tool, section: "post-data" });
      const kinds = (statements: typeof before) =>
        statements.flatMap(({ type }) => type ?? []).sort();
      // before 15 owner and privileges of schema public are dumped as well
      const publicSchema = cluster.major < 15 ? ["ACL", "ACL", "SCHEMA"] : [];
      equal(
        kinds(before),
        [
          ...publicSchema,
          "COMMENT",
          "SCHEMA",
          "SCHEMA",
          "TABLE",
          "TABLE",
        ].sort(),
      );
      equal(kinds(after), ["CONSTRAINT"]);
      const table = before.find(({ type }) => type === "TABLE");
      equal(table?.name, nasty);
      equal(table?.schema, nasty);
      equal(table?.owner, nasty);
    });
  }
}

Deno.test("dumpSchema() sees the snapshot, not later changes", async () => {
  const endpoint = await endpointOf(current);
  await using holder = await openSession(endpoint);
  await holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  const { snapshot } = await holder.queryOne<{ snapshot: string }>(
    "SELECT pg_export_snapshot() AS snapshot",
  );
  await execNasty(current, "CREATE TABLE public.later ()");
  const names = async (snapshot: string | undefined) =>
    (await dumpSchema({ endpoint, tool: embedded, section: "pre-data", snapshot }))
      .flatMap(({ name }) => name ?? []);
  equal((await names(snapshot)).includes("later"), false);
  equal((await names(undefined)).includes("later"), true);
  await execNasty(current, "DROP TABLE public.later");
});

Deno.test("replies to the embedded pg_dump may be larger than the shared memory", async () => {
  const body = "x".repeat(3_000_000);
  await exec(current.url(), `COMMENT ON SCHEMA public IS '${body}'`);
  const endpoint = await resolveEndpoint(current.url(), { side: "source" });
  const text = await dumpSchemaText({ endpoint, tool: embedded });
  ok(text.includes(`IS '${body}';`));
  await exec(current.url(), `COMMENT ON SCHEMA public IS 'standard public schema'`);
});

Deno.test("a refused query of the embedded pg_dump fails with side and SQLSTATE", async () => {
  const endpoint = await endpointOf(current);
  await rejects(
    dumpSchema({ endpoint, tool: embedded, snapshot: "00000000-00000000-1" }),
    (error) => error instanceof ServerError && error.side === "source" && error.sqlState !== "",
  );
});

Deno.test("the embedded pg_dump ends when its signal aborts, and leaves no session", async () => {
  const endpoint = { ...await endpointOf(current), applicationName: "abandoned" };
  await execNasty(current, "CREATE TABLE public.locked ()");
  await using locker = await openSession(endpoint);
  await locker.execute("BEGIN; LOCK TABLE public.locked");
  const interrupt = new AbortController();
  const dump = dumpSchema({ endpoint, tool: embedded, signal: interrupt.signal });
  const waiting = `SELECT pid FROM pg_stat_activity WHERE application_name = 'abandoned'
                   AND wait_event_type = 'Lock'`;
  const waits = async () => (await query(current.url(), waiting)).length > 0;
  await waitUntil("pg_dump waits for the lock", waits, { during: dump });
  interrupt.abort(new Error("enough"));
  await rejects(dump, /enough/);
  await waitUntil("its session has ended", async () => !await waits());
  await locker.execute("ROLLBACK; DROP TABLE public.locked");
});

Deno.test("the import map has the same version of the embedded pg_dump", async () => {
  const { imports } = JSON.parse(
    await Deno.readTextFile(new URL("../../../import_map.json", import.meta.url)),
  );
  equal(`${imports["@electric-sql/pglite-tools"]}/pg_dump`, embeddedDumpModule);
});

Deno.test("chooseDumpTool() chooses a program that is new enough for both servers, or explains why not", () => {
  const at = (version: string) => ({
    pgDump: `/bin/${version}/pg_dump`,
    pgDumpall: `/bin/${version}/pg_dumpall`,
    version,
    major: Number.parseInt(version),
    named: false,
    wrapper: false,
  });
  const choose = (
    source: number,
    target: number,
    versions: string[],
    dump: "auto" | "native" | "embedded" = "auto",
  ) =>
    chooseDumpTool({
      sourceMajor: source,
      targetMajor: target,
      preference: { dump, binDirectory: undefined, environment: {} },
      installed: versions.map(at),
    }).description;
  equal(choose(12, 16, ["16.4"]), "pg_dump 16.4");
  equal(
    choose(16, 17, ["16.4"]),
    "embedded pg_dump 18 (pg_dump 16.4 is older than the target, 17)",
  );
  equal(
    choose(17, 12, ["15.18"]),
    "embedded pg_dump 18 (pg_dump 15.18 is older than the source, 17)",
  );
  equal(choose(17, 18, []), "embedded pg_dump 18 (no pg_dump is installed)");
  equal(choose(12, 12, ["18.1"], "embedded"), "embedded pg_dump 18 (chosen by --dump-tool)");
  equal(choose(19, 19, ["19beta1"]), "pg_dump 19beta1");
  const prerequisite = (error: unknown) =>
    error instanceof ReplicatorError && error.exitCode === 3 && error.remedy !== undefined;
  for (
    const attempt of [() => choose(17, 18, ["16.4"], "native"), () => choose(19, 19, ["18.1"])]
  ) {
    try {
      attempt();
      ok(false, "was chosen");
    } catch (error) {
      ok(prerequisite(error), String(error));
    }
  }
});

Deno.test("toolForDistance() replaces an old pg_dump for a distant server", () => {
  const native = { kind: "native", pgDump: "", pgDumpall: "", environment: {} } as const;
  const choose = (major: number, tables: number, roundTripMs: number, dump = "auto" as const) =>
    toolForDistance({ ...native, major, description: `pg_dump ${major}` }, {
      sourceMajor: 15,
      preference: { dump },
      tables,
      roundTripMs,
    }).kind;
  equal(choose(15, 2000, 40), "embedded");
  equal(choose(15, 2000, 0.2), "native"); // nearby
  equal(choose(15, 5000, 0.6), "native"); // nearby, although its round trips take 3 s
  equal(choose(15, 20, 40), "native"); // few tables
  equal(choose(16, 2000, 40), "native"); // locks many at once
});

const withNative = { ignore: native === undefined };

Deno.test(
  "a program gets the password neither in arguments nor environment, and the file is removed",
  withNative,
  async () => {
    const folder = await Deno.makeTempDir();
    const program = `${folder}/pg_dump`;
    await Deno.writeTextFile(
      program,
      `#!/bin/sh\nprintf '%s\\n' "$@"; env; stat -c '%a' "$PGPASSFILE" "$(dirname "$PGPASSFILE")"; cat "$PGPASSFILE"\n`,
      { mode: 0o755 },
    );
    try {
      const endpoint = await endpointOf(old);
      const output = await runTool({
        program,
        major: 15,
        args: ["--x"],
        endpoint,
        environment: search.environment,
      });
      const [before = "", after = ""] = output.split(/^600\n700\n/m);
      equal(after, `*:*:*:*:${password.replaceAll("\\", "\\\\").replaceAll(":", "\\:")}\n`);
      equal(before.includes(password) || before.includes("ör/d"), false);
      match(before, /keepalives_idle='60' keepalives_interval='10'/);
      equal(/PGHOST|PGOPTIONS|PGPASSWORD/.test(before), false);
      const passfile = /^PGPASSFILE=(.*)$/m.exec(before)?.[1] ?? "";
      await rejects(Deno.stat(passfile), Deno.errors.NotFound);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

Deno.test("only a failed connection is retried", withNative, async () => {
  if (native?.kind !== "native") return;
  const { pgDump: program, environment } = native;
  const attemptsFor = async (url: string, args: string[]) => {
    const delays: number[] = [];
    const endpoint = await resolveEndpoint(url, { side: "source" });
    let failure: unknown;
    await runTool({
      program,
      major: 15,
      args,
      endpoint,
      environment,
      retryDelaysMs: [1, 2],
      onRetry: ({ delayMs }) => delays.push(delayMs),
    }).catch((error) => failure = error);
    ok(failure instanceof ReplicatorError);
    equal(failure.message.includes(password), false);
    return { delays, connection: failure instanceof ConnectionError };
  };
  const wrong = old.url({ password: "wrong" });
  equal(await attemptsFor(wrong, []), { delays: [], connection: true });
  equal(await attemptsFor(old.url(), ["--nonsense"]), { delays: [], connection: false });
  equal(await attemptsFor("postgresql://a:b@127.0.0.1:1/x", []), {
    delays: [1, 2],
    connection: true,
  });
});

Deno.test("a program is terminated by the signal", withNative, async () => {
  const folder = await Deno.makeTempDir();
  const program = `${folder}/pg_dump`;
  await Deno.writeTextFile(
    program,
    `#!/bin/sh\necho started > ${folder}/started; exec sleep 600\n`,
    {
      mode: 0o755,
    },
  );
  try {
    const interrupt = new AbortController();
    const endpoint = await endpointOf(old);
    const run = runTool({
      program,
      major: 15,
      args: [],
      endpoint,
      environment: search.environment,
      signal: interrupt.signal,
    });
    const hasStarted = () => Deno.stat(`${folder}/started`).then(() => true, () => false);
    await waitUntil("the program has started", hasStarted, { during: run });
    interrupt.abort(new Error("enough"));
    await rejects(run, /enough/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
