/** Connections to real servers: TLS, passwords, timeouts, cancelling. */
import fc from "fast-check";
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { ExitCode, InterruptedError } from "../../lib/core/internal.ts";
import {
  ConnectionError,
  type Endpoint,
  importSnapshot,
  openSession,
  relayCopies,
  resolveEndpoint,
  ServerError,
  SnapshotHolder,
  textArray,
  withDatabase,
} from "../../lib/postgres/internal.ts";
import { CertificateAuthority, selfSignedCertificate } from "../support/certificates.ts";
import { sharedCluster } from "../support/clusters.ts";
import { startProxy } from "../support/proxy.ts";
import { exec, query } from "../support/sql.ts";
import { waitUntil } from "../support/wait.ts";

const authority = await CertificateAuthority.create("right");
const stranger = await CertificateAuthority.create("wrong");
const files: Record<string, string> = {
  "/ca.crt": authority.certPem,
  "/other.crt": stranger.certPem,
};
const clientCertificate = await authority.client("postgres");
files["/client.crt"] = clientCertificate.certPem;
files["/client.key"] = clientCertificate.keyPem;
const selfSigned = await selfSignedCertificate();
files["/self.crt"] = selfSigned.certPem;

const signed = await sharedCluster(16, {
  tls: { ...await authority.server(), caPem: authority.certPem },
  password: "it's a:s\\ecret@é",
  hba: [
    "local all all trust",
    "hostssl all plain_only 127.0.0.1/32 reject",
    "hostnossl all plain_only 127.0.0.1/32 trust",
    "hostssl all certified 127.0.0.1/32 trust clientcert=verify-ca",
    "hostssl all old_style 127.0.0.1/32 md5",
    "hostssl all all 127.0.0.1/32 scram-sha-256",
    "host all everybody 127.0.0.1/32 trust",
  ],
});
await query(signed.url({ params: { sslmode: "require" } }), "SELECT 1");
await exec(
  signed.url({ params: { sslmode: "require" } }),
  `CREATE ROLE plain_only LOGIN; CREATE ROLE certified LOGIN; CREATE ROLE everybody LOGIN PASSWORD 'x';
   SET password_encryption = 'md5'; CREATE ROLE old_style LOGIN PASSWORD 'old';`,
);
const misnamed = await sharedCluster(15, {
  tls: await authority.server({ hosts: ["elsewhere.example"] }),
});
const lonely = await sharedCluster(18, { tls: selfSigned });
const plain = await sharedCluster(12);

function endpoint(url: string, environment: Record<string, string> = {}): Promise<Endpoint> {
  return resolveEndpoint(url, {
    side: "source",
    resolveEnvironment: { environment, readFile: (path) => Promise.resolve(files[path]) },
  });
}

/** Connects and returns whether TLS is used. */
async function encryption(url: string, environment?: Record<string, string>): Promise<boolean> {
  await using session = await openSession(await endpoint(url, environment));
  const row = await session.queryOne<{ ssl: boolean }>(
    "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
  );
  strictEqual(row.ssl, session.encrypted);
  return row.ssl;
}

async function refusal(url: string): Promise<ConnectionError> {
  const error = await openSession(await endpoint(url)).then(
    (session) => session.close().then(() => undefined),
    (error) => error,
  );
  ok(error instanceof ConnectionError, `no refusal but ${error}`);
  return error;
}

Deno.test("every sslmode connects to a server with a valid certificate", async () => {
  for (const sslmode of ["allow", "prefer", "require", "verify-ca", "verify-full"]) {
    ok(await encryption(signed.url({ params: { sslmode, sslrootcert: "/ca.crt" } })), sslmode);
  }
  ok(await encryption(signed.url()), "prefer is the default");
});

Deno.test("verify-full requires the right host name, verify-ca does not", async () => {
  const params = { sslrootcert: "/ca.crt" };
  const error = await refusal(misnamed.url({ params: { ...params, sslmode: "verify-full" } }));
  match(error.message, /TLS failed/);
  match(error.remedy ?? "", /another host name/);
  ok(await encryption(misnamed.url({ params: { ...params, sslmode: "verify-ca" } })));
  ok(await encryption(misnamed.url({ params: { sslmode: "require" } })));
});

Deno.test("a certificate of another authority is rejected when an authority is specified", async () => {
  for (const sslmode of ["require", "verify-ca", "verify-full"]) {
    const error = await refusal(signed.url({ params: { sslmode, sslrootcert: "/other.crt" } }));
    match(error.message, /TLS failed/);
    strictEqual(error.transient, false);
    strictEqual(error.exitCode, ExitCode.sourceUnreachable);
  }
});

Deno.test("a self-signed certificate is trusted when it is specified itself", async () => {
  ok(
    await encryption(lonely.url({ params: { sslmode: "verify-full", sslrootcert: "/self.crt" } })),
  );
  ok(await encryption(lonely.url({ params: { sslmode: "require" } })));
  match(
    (await refusal(lonely.url({ params: { sslmode: "verify-ca", sslrootcert: "/ca.crt" } })))
      .message,
    /TLS/,
  );
});

Deno.test("verify-full without a root certificate is rejected before connecting", async () => {
  await rejects(endpoint(signed.url({ params: { sslmode: "verify-full" } })), /sslrootcert=FILE/);
});

Deno.test("a server without TLS works with prefer and not with require", async () => {
  strictEqual(await encryption(plain.url()), false);
  strictEqual(await encryption(plain.url({ params: { sslmode: "allow" } })), false);
  match(
    (await refusal(plain.url({ params: { sslmode: "require" } }))).message,
    /does not offer TLS/,
  );
});

Deno.test("prefer and allow fall back to the other encryption when pg_hba.conf requires it", async () => {
  strictEqual(
    await encryption(signed.url({ user: "plain_only", params: { sslmode: "prefer" } })),
    false,
  );
  strictEqual(await encryption(signed.url({ params: { sslmode: "allow" } })), true);
  match(
    (await refusal(signed.url({ user: "plain_only", params: { sslmode: "require" } }))).message,
    /28000/,
  );
});

Deno.test("a client certificate is sent where it is required", async () => {
  const certificate = { sslcert: "/client.crt", sslkey: "/client.key" };
  ok(
    await encryption(
      signed.url({ user: "certified", params: { sslmode: "require", ...certificate } }),
    ),
  );
  await refusal(signed.url({ user: "certified", params: { sslmode: "require" } }));
});

Deno.test("passwords come from the URL, the environment or the password file", async () => {
  const bare = signed.url().replace(/:[^:@/]*@/, "@");
  const password = "it's a:s\\ecret@é";
  ok(await encryption(bare, { PGPASSWORD: password }));
  files["/pass"] = `*:*:*:postgres:${password.replace(/[\\:]/g, "\\$&")}\n`;
  ok(await encryption(bare, { PGPASSFILE: "/pass" }));
  ok(await encryption(signed.url({ user: "old_style", password: "old" })), "md5");
});

Deno.test("a wrong password is reported with host and user, without the password", async () => {
  const error = await refusal(signed.url({ user: "everybody", password: "hunter2" }));
  match(error.message, /password authentication failed.*28P01/);
  match(error.object ?? "", /everybody@127\.0\.0\.1/);
  match(error.remedy ?? "", /percent-encode/);
  ok(!Deno.inspect(error, { depth: 9 }).includes("hunter2"));
});

Deno.test("a missing database and a closed port are distinguished", async () => {
  match((await refusal(plain.url({ database: "nope" }))).message, /"nope" does not exist.*3D000/);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const closed = await refusal(`postgresql://u@127.0.0.1:${port}/db`);
  match(closed.remedy ?? "", /nothing listens there/);
  strictEqual(closed.transient, true);
});

Deno.test("connect_timeout ends a connection to a silent port", async () => {
  await using proxy = await startProxy(plain);
  proxy.stall();
  const error = await refusal(
    `postgresql://postgres@127.0.0.1:${proxy.port}/postgres?connect_timeout=2`,
  );
  match(error.message, /no answer within 2 s/);
});

Deno.test("the next host is tried when the first is unreachable, and target_session_attrs is honored", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const url = `postgresql://postgres@127.0.0.1:${port},127.0.0.1:${plain.port}/postgres`;
  strictEqual(await encryption(`${url}?target_session_attrs=primary`), false);
  match((await refusal(`${url}?target_session_attrs=standby`)).message, /is not standby/);
});

Deno.test("a Unix socket is reached by its directory", async () => {
  const url = `postgresql://postgres@/postgres?host=${
    encodeURIComponent(plain.socketDir)
  }&port=${plain.port}`;
  strictEqual(await encryption(url), false);
});

Deno.test("sessions pin settings that could change data, whatever the database's defaults", async () => {
  await exec(plain.url(), "CREATE DATABASE odd");
  await exec(
    plain.url(),
    `ALTER DATABASE odd SET timezone = 'Asia/Tokyo'; ALTER DATABASE odd SET datestyle = 'German';
     ALTER DATABASE odd SET statement_timeout = '1ms'; ALTER DATABASE odd SET bytea_output = 'escape'`,
  );
  await using session = await openSession(withDatabase(await endpoint(plain.url()), "odd"));
  const row = await session.queryOne<Record<string, string>>(
    `SELECT '2020-01-02 03:04:05+00'::timestamptz::text AS at, '\\x00'::bytea::text AS bytes,
            current_setting('statement_timeout') AS timeout, current_setting('search_path') AS path,
            current_setting('row_security') AS rls`,
  );
  strictEqual(
    JSON.stringify(row),
    '{"at":"2020-01-02 03:04:05+00","bytes":"\\\\x00","timeout":"0","path":"","rls":"off"}',
  );
});

Deno.test("parameters arrive unchanged, in both protocols", async () => {
  await using session = await openSession(await endpoint(plain.url()));
  const text = fc.string({ unit: "binary" }).map((each) => each.replaceAll("\0", ""));
  const statement = `SELECT $1::text AS a, '$1' || $2 AS b, ($3::text[])[1] AS c, $4::int AS d`;
  await fc.assert(
    fc.asyncProperty(text, text, fc.integer({ min: -9, max: 9 }), async (one, two, number) => {
      const parameters = [one, two, textArray([one]), number];
      const simple = await session.queryOne(statement, parameters);
      const extended = await session.queryOne(statement, parameters, { extended: true });
      deepStrictEqual(simple, { a: one, b: `$1${two}`, c: one, d: number });
      deepStrictEqual(extended, simple);
    }),
    { numRuns: 50 },
  );
  await rejects(session.query("SELECT $1::int; SELECT 2", [1]), /multiple commands/);
});

Deno.test("an aborted session cancels its statement on the server", async () => {
  const abort = new AbortController();
  await using session = await openSession(await endpoint(plain.url()), { signal: abort.signal });
  const sleeping = session.query("SELECT pg_sleep(600)");
  const watch = "SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(600)%'";
  const runs = async () => (await query(plain.url(), watch)).length > 0;
  await waitUntil("the statement runs", runs, { during: sleeping });
  abort.abort(new InterruptedError());
  await rejects(sleeping, InterruptedError);
  await waitUntil("the statement was cancelled", async () => !await runs());
});

Deno.test("a session whose backend is terminated reports it and does not hang", async () => {
  await using session = await openSession(await endpoint(plain.url()));
  const sleeping = session.query("SELECT pg_sleep(600)");
  sleeping.catch(() => {});
  await query(plain.url(), `SELECT pg_terminate_backend(${session.processId})`);
  await rejects(
    sleeping,
    (error) =>
      error instanceof ConnectionError ||
      error instanceof ServerError && error.sqlState === "57P01",
  );
  await rejects(session.query("SELECT 1"), ConnectionError);
});

/** A pair of sessions on one server with two tables to copy between. */
async function copyPair(url: string) {
  const place = await endpoint(url);
  const from = await openSession(place);
  const to = await openSession({ ...place, side: "target" });
  return {
    from,
    to,
    async [Symbol.asyncDispose]() {
      await Promise.all([from.close(), to.close()]);
    },
  };
}

const job = (name: string, copyOut: string, copyIn: string) => ({
  name,
  copyOut,
  copyIn,
  expectedBytes: 0,
});

Deno.test("relayCopies() copies many tables in one call and counts their rows", async () => {
  await exec(plain.url(), "CREATE TABLE relay_many (i int)");
  await using pair = await copyPair(plain.url());
  const jobs = Array.from(
    { length: 300 },
    (_, i) =>
      job(
        `part ${i}`,
        `COPY (SELECT generate_series(1, ${i})) TO STDOUT`,
        "COPY public.relay_many FROM STDIN",
      ),
  );
  let rows = 0;
  await relayCopies(pair.from, pair.to, {
    next: () => jobs.shift(),
    onFinished: (_, done) => rows += done.rows,
  });
  strictEqual(rows, 44_850);
  const [counted] = await query(plain.url(), "SELECT count(*)::int AS n FROM relay_many");
  strictEqual(counted?.["n"], rows);
  await pair.from.query("SELECT 1"); // both sessions still work
  await pair.to.query("SELECT 1");
});

Deno.test("relayCopies() ends both sides when the target rejects a row, names line and table, and rolls back", async () => {
  await exec(plain.url(), "CREATE TABLE relay_refused (i int PRIMARY KEY)");
  for (const last of [1, 50_000]) { // also the last row, whose error follows CopyDone
    await using pair = await copyPair(plain.url());
    const jobs = [job(
      "relay_refused",
      `COPY (SELECT * FROM generate_series(1, 50000) UNION ALL SELECT ${last}) TO STDOUT`,
      "COPY public.relay_refused FROM STDIN",
    )];
    await rejects(
      relayCopies(pair.from, pair.to, { next: () => jobs.shift(), onFinished: () => {} }),
      (error) =>
        error instanceof ServerError && error.sqlState === "23505" && error.side === "target" &&
        /relay_refused/.test(error.object ?? "") && error.details.some((detail) =>
          /line \d+/.test(detail)
        ),
    );
  }
  const rows = await query(plain.url(), "SELECT * FROM relay_refused");
  strictEqual(rows.length, 0);
  await noSessionsLeft(plain.url());
});

Deno.test("relayCopies() ends both sides when the source fails halfway", async () => {
  await exec(plain.url(), "CREATE TABLE relay_source (i int)");
  await using pair = await copyPair(plain.url());
  const jobs = [job(
    "relay_source",
    "COPY (SELECT 1 / (40000 - i) FROM generate_series(1, 50000) AS i) TO STDOUT",
    "COPY public.relay_source FROM STDIN",
  )];
  await rejects(
    relayCopies(pair.from, pair.to, { next: () => jobs.shift(), onFinished: () => {} }),
    (error) =>
      error instanceof ServerError && error.sqlState === "22012" && error.side === "source",
  );
  strictEqual((await query(plain.url(), "SELECT * FROM relay_source")).length, 0);
  await noSessionsLeft(plain.url());
});

Deno.test("relayCopies() over TLS slows a fast source down when the target stops reading", async () => {
  const params = { sslmode: "require" };
  await exec(lonely.url(), "CREATE TABLE relay_slow (t text)");
  await using proxy = await startProxy(lonely);
  const abort = new AbortController();
  const from = await openSession(await endpoint(lonely.url({ params })), { signal: abort.signal });
  const to = await openSession(
    { ...await endpoint(proxy.url(lonely.url({ params }))), side: "target" },
    { signal: abort.signal },
  );
  const jobs = [job(
    "relay_slow",
    "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 1000000)) TO STDOUT", // 1 GB
    "COPY public.relay_slow FROM STDIN",
  )];
  let relayed = 0;
  const before = Deno.memoryUsage().rss;
  const copying = relayCopies(from, to, {
    next: () => jobs.shift(),
    onBytes: (_, bytes) => {
      relayed += bytes;
      if (relayed > 20_000_000) proxy.stall();
    },
    onFinished: () => {},
  });
  copying.catch(() => {});
  // the source waits for the client to read: it has filled the network's buffers
  const waiting =
    `SELECT FROM pg_stat_activity WHERE pid = ${from.processId} AND wait_event = 'ClientWrite'`;
  await waitUntil(
    "the source waits",
    async () => relayed > 20_000_000 && (await query(lonely.url(), waiting)).length > 0,
    { during: copying },
  );
  const grown = Deno.memoryUsage().rss - before;
  abort.abort(new InterruptedError());
  proxy.cut();
  await rejects(copying, InterruptedError);
  await Promise.all([from.close(), to.close()]);
  ok(relayed < 100_000_000, `${relayed} bytes were taken from the source`);
  ok(grown < 300_000_000, `memory has grown by ${grown} bytes`);
});

Deno.test("relayCopies() under an imported snapshot copies the rows as of that snapshot", async () => {
  await exec(
    plain.url(),
    "CREATE TABLE relay_then AS SELECT 1 AS i; CREATE TABLE relay_now (i int)",
  );
  await using holder = await SnapshotHolder.export(await openSession(await endpoint(plain.url())));
  await exec(plain.url(), "INSERT INTO relay_then VALUES (2)");
  await using pair = await copyPair(plain.url());
  await importSnapshot(pair.from, holder.identifier);
  const jobs = [
    job("relay_then", "COPY public.relay_then TO STDOUT", "COPY public.relay_now FROM STDIN"),
  ];
  await relayCopies(pair.from, pair.to, { next: () => jobs.shift(), onFinished: () => {} });
  strictEqual((await query(plain.url(), "SELECT * FROM relay_now")).length, 1);
});

Deno.test("SnapshotHolder reports that its session has ended", async () => {
  await using holder = await SnapshotHolder.export(await openSession(await endpoint(plain.url())));
  await query(plain.url(), `SELECT pg_terminate_backend(${holder.session.processId})`);
  await rejects(holder.session.query("SELECT 1"));
});

/** Waits until the tool's sessions have ended. */
async function noSessionsLeft(url: string): Promise<void> {
  const sessions =
    `SELECT FROM pg_stat_activity WHERE application_name = 'postgres-seren-replicator'`;
  await waitUntil("no session is left", async () => (await query(url, sessions)).length === 0);
}
