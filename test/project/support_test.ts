import { deepStrictEqual as equal, ok, rejects } from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import tls from "node:tls";
import {
  type Certificate,
  CertificateAuthority,
  selfSignedCertificate,
} from "../support/certificates.ts";
import { sharedCluster } from "../support/clusters.ts";
import { createTemplate, withDatabase } from "../support/databases.ts";
import { startProxy } from "../support/proxy.ts";
import { exec, query, withSession } from "../support/sql.ts";
import { startTestCluster } from "../support/test_cluster.ts";
import { waitUntil } from "../support/wait.ts";

const cluster = await sharedCluster(17);
const template = await createTemplate(
  cluster,
  "support_template",
  "CREATE TABLE t AS SELECT 1 AS i",
);

Deno.test("withDatabase() copies the template and drops the copy with its sessions and slots", async () => {
  let name = "";
  let session: Promise<unknown> | undefined;
  await withDatabase(cluster, template, async (database) => {
    name = database.name;
    equal(await query(database.url, "SELECT i FROM t"), [{ i: 1 }]);
    await query(database.url, "SELECT pg_create_logical_replication_slot('s', 'pgoutput')");
    await exec(database.url, "CREATE PUBLICATION p FOR ALL TABLES");
    await exec(
      database.url,
      `CREATE SUBSCRIPTION x CONNECTION 'host=127.0.0.1 port=1 dbname=x'
       PUBLICATION p WITH (connect = false, slot_name = 's')`,
    );
    session = rejects(query(database.url, "SELECT pg_sleep(60)"));
    const asleep = "SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'";
    const sleeps = async () => (await query(cluster.url(), asleep)).length > 0;
    await waitUntil("the session sleeps", sleeps, { during: session });
  });
  await session;
  equal(await query(cluster.url(), "SELECT FROM pg_database WHERE datname = $1", [name]), []);
  equal(await query(cluster.url(), "SELECT slot_name FROM pg_replication_slots"), []);
});

Deno.test("withDatabase() drops the database when the test fails", async () => {
  let name = "";
  await rejects(
    withDatabase(cluster, undefined, (database) => {
      name = database.name;
      return Promise.reject(new Error("test failed"));
    }),
    /test failed/,
  );
  equal(await query(cluster.url(), "SELECT FROM pg_database WHERE datname = $1", [name]), []);
});

Deno.test("a proxy forwards every byte and counts them", async () => {
  await using proxy = await startProxy(cluster);
  const [row] = await query(proxy.url(cluster.url()), "SELECT repeat('x', 20000000) AS x");
  equal(String(row?.x).length, 20_000_000);
  ok(proxy.bytesDown > 20_000_000 && proxy.bytesDown < 20_100_000);
  ok(proxy.bytesUp > 0);
  equal(proxy.connections, 1);
});

Deno.test("a proxy adds latency to each direction and limits the rate", async () => {
  await using proxy = await startProxy(cluster, { latencyMs: 30 });
  const url = proxy.url(cluster.url());
  await withSession(url, async (session) => {
    await session`SELECT 1`;
    const started = performance.now();
    await session`SELECT 1`;
    ok(performance.now() - started >= 60);
    proxy.latencyMs = 0;
    proxy.bytesPerSecond = 2_000_000;
    const began = performance.now();
    await session`SELECT repeat('x', 1000000)`;
    ok(performance.now() - began >= 450);
  });
});

Deno.test("cutting a proxy resets its connections; new ones are accepted", async () => {
  await using proxy = await startProxy(cluster);
  const url = proxy.url(cluster.url());
  await withSession(url, async (session) => {
    await session`SELECT 1`;
    const running = rejects(session`SELECT pg_sleep(60)`, /CONNECTION_CLOSED|ECONNRESET|EPIPE/);
    await proxy.cut();
    await running;
  });
  equal(await query(url, "SELECT 1 AS one"), [{ one: 1 }]);
});

Deno.test("a stalled proxy forwards nothing until it resumes", async () => {
  await using proxy = await startProxy(cluster);
  await withSession(proxy.url(cluster.url()), async (session) => {
    await session`SELECT 1`;
    proxy.stall();
    const bytes = proxy.bytesDown;
    const answer = session`SELECT 2 AS two`.execute();
    let settled = false;
    answer.then(() => settled = true);
    await new Promise((resolve) => setTimeout(resolve, 50));
    equal([settled, proxy.bytesDown], [false, bytes]);
    proxy.resume();
    equal([...await answer], [{ two: 2 }]);
  });
});

Deno.test("a stalled proxy can be disposed of", async () => {
  let running: Promise<void>;
  {
    await using proxy = await startProxy(cluster);
    proxy.stall();
    running = rejects(query(proxy.url(cluster.url()), "SELECT 1"));
  }
  await running;
});

Deno.test("a server with a certificate from a private CA requests a client certificate", async () => {
  const ca = await CertificateAuthority.create();
  const certificate = await ca.server();
  await using server = await startTestCluster({
    major: 15,
    tls: { ...certificate, caPem: ca.certPem },
    hba: [
      "local all all trust",
      "hostssl all postgres 127.0.0.1/32 cert",
      "hostssl all all 127.0.0.1/32 trust",
    ],
  });
  equal(await tlsTo(server.port, ca.certPem), "E");
  equal(await tlsTo(server.port, ca.certPem, await ca.client("somebody")), "E");
  equal(await tlsTo(server.port, ca.certPem, await ca.client("postgres")), "R");
});

Deno.test("certificates for a wrong host, from another CA, expired or self-signed are rejected", async () => {
  const ca = await CertificateAuthority.create();
  const other = await CertificateAuthority.create("Other CA");
  const bad = [
    await ca.server({ hosts: ["db.example.com"] }),
    await other.server(),
    await ca.server({ expired: true }),
    await selfSignedCertificate(),
  ];
  for (const certificate of bad) {
    await using server = await startTestCluster({ major: 18, tls: certificate });
    await rejects(tlsTo(server.port, ca.certPem), /certificate/i);
  }
});

/**
 * Sends SSLRequest, verifies the handshake, and returns the first byte of the response to a startup
 * packet.
 */
async function tlsTo(port: number, ca: string, client?: Certificate): Promise<string> {
  const socket = net.connect({ host: "127.0.0.1", port });
  let secure: tls.TLSSocket | undefined;
  try {
    socket.write(new Uint8Array([0, 0, 0, 8, 4, 210, 22, 47]));
    await once(socket, "data");
    // Deno.startTls() does not support client certificates
    const own = client ? { cert: client.certPem, key: client.keyPem } : {};
    secure = tls.connect({ socket, host: "127.0.0.1", ca, ...own });
    await once(secure, "secureConnect");
    const body = new TextEncoder().encode("\0\x03\0\0user\0postgres\0\0");
    secure.write(new Uint8Array([0, 0, 0, body.length + 4, ...body]));
    const [reply]: Uint8Array[] = await once(secure, "data");
    return String.fromCharCode(reply?.[0] ?? 0);
  } finally {
    for (const each of [secure, socket]) {
      if (!each || each.closed) continue;
      each.destroy();
      await once(each, "close");
    }
  }
}
