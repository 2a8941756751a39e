/** Attacks on the service by strangers: guessed keys, and text that cannot be stored. */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { ReplicatorError } from "../../lib/core/internal.ts";
import { resolveEndpoint, SessionPool } from "../../lib/postgres/internal.ts";
import { migrate } from "../../lib/remote/store/mod.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import { jobSpec, openTestService, serviceTemplate, type TestService } from "../support/service.ts";
import { exec, query } from "../support/sql.ts";

const cluster = await sharedCluster(16);
const template = await serviceTemplate(cluster);

async function withService(use: (service: TestService) => Promise<void>): Promise<void> {
  await withDatabase(cluster, template, async ({ url }) => {
    await using service = await openTestService(url);
    await use(service);
  });
}

/** The same key with another secret. */
function withAnotherSecret(key: string, seed: number): string {
  return key.slice(0, 17) + String(seed).padStart(43, "x");
}

Deno.test("knowing a key's prefix does not allow locking out its owner", async () => {
  await withService(async ({ service, key }) => {
    const alice = await key("alice");
    const statuses = new Set<number>();
    for (let round = 0; round < 10; round++) {
      const wrong = await Promise.all(
        Array.from({ length: 20 }, (_, each) =>
          fetch(`${service.url}/v1/me`, {
            headers: { "x-api-key": withAnotherSecret(alice.key, round * 20 + each) },
          })),
      );
      for (const response of wrong) {
        statuses.add(response.status);
        await response.body?.cancel();
      }
      const right = await alice.request("/v1/me");
      await right.body?.cancel();
      strictEqual(right.status, 200);
    }
    deepStrictEqual([...statuses].sort(), [401, 429]);
    const others = await fetch(`${service.url}/v1/me`, {
      headers: { "x-api-key": `srk_000000000000_${"A".repeat(43)}` },
    });
    strictEqual(others.status, 429);
    ok(Number(others.headers.get("retry-after")) > 0);
    await others.body?.cancel();
  });
});

Deno.test("a key created before digests were stored gets its digest on first use, but an invalid key does not", async () => {
  await withService(async ({ databaseUrl, service, key }) => {
    const alice = await key("alice");
    const digest = async () =>
      (await query(databaseUrl, "SELECT digest FROM seren_remote.api_keys"))[0]?.["digest"];
    const kept = await digest();
    ok(kept);
    await exec(databaseUrl, "UPDATE seren_remote.api_keys SET digest = NULL");
    const wrong = await fetch(`${service.url}/v1/me`, {
      headers: { "x-api-key": withAnotherSecret(alice.key, 1) },
    });
    await wrong.body?.cancel();
    deepStrictEqual([wrong.status, await digest()], [401, null]);
    const right = await alice.request("/v1/me");
    await right.body?.cancel();
    deepStrictEqual([right.status, await digest()], [200, kept]);
  });
});

/** Paths of a job's text properties; each is set to the text in turn. */
const places: readonly ((text: string) => Record<string, unknown>)[] = [
  (text) => ({ schema_version: text }),
  (text) => ({ command: text }),
  (text) => ({ source_url: `postgresql://u:p@127.0.0.1:1/${text}` }),
  (text) => ({ target_url: `postgresql://u:${text}@127.0.0.1:1/b` }),
  (text) => ({ source_from_target_url: `postgresql://u@${text}:1/b` }),
  (text) => ({ filters: { include_databases: [text] } }),
  (text) => ({ filters: { exclude_databases: [`a${text}`] } }),
  (text) => ({ filters: { map: { [`a${text}`]: "b" } } }),
  (text) => ({ filters: { map: { a: text } } }),
  (text) => ({ rules: { include_tables: [`public.a${text}`] } }),
  (text) => ({ rules: { include_tables: [{ table: "a", database: text }] } }),
  (text) => ({ rules: { schema_only: [text] } }),
  (text) => ({ rules: { table_filters: [{ table: "a", where: `v = '${text}'` }] } }),
  (text) => ({ rules: { time_filters: [{ table: "a", column: text, last: "1 day" }] } }),
  (text) => ({ rules: { now: text } }),
  (text) => ({ command: "init", options: { subscription_passfile: `/${text}` } }),
  (text) => ({ [text]: 1 }),
];

Deno.test("NUL and unpaired surrogates anywhere in a request are rejected, and cause no internal error", async () => {
  await withService(async ({ key, service }) => {
    const alice = await key("alice");
    const admin = await key("root", { scopes: ["admin"] });
    const isRefused = async (what: string, request: Promise<Response>) => {
      const response = await request;
      const text = await response.text();
      strictEqual(response.status, 400, `${what}: ${response.status} ${text}`);
      ok(JSON.parse(text).trace_id);
    };
    for (const text of ["a\0b", "\ud800", "x\udfff", "\udc00\ud800"]) {
      for (const place of places) {
        const json = jobSpec(place(text));
        await isRefused(JSON.stringify(place(text)), alice.request("/v1/jobs", { json }));
      }
      const name = { owner: "o", name: "n", scopes: ["jobs:read"] };
      for (const json of [{ ...name, owner: text }, { ...name, name: text }]) {
        await isRefused("a key", admin.request("/v1/keys", { json }));
      }
    }
    for (
      const path of [
        "/v1/jobs?owner=%00",
        "/v1/jobs?owner=a%ED%A0%80",
        "/v1/jobs?%00=1",
        "/v1/jobs/%00",
        "/v1/jobs/%ED%A0%80/events",
        "/v1/keys/%00/rotate",
        "/v1/audit?limit=%00",
        "/metrics?a=%00",
        "/nowhere/%00",
        "/%ff",
      ]
    ) await isRefused(path, admin.request(path));
    const body = new Uint8Array([0x22, 0xff, 0x22]);
    const headers = { "content-type": "application/json" };
    await isRefused("bytes", alice.request("/v1/jobs", { method: "POST", body, headers }));
    // valid UTF-8 is still accepted
    const good = await alice.request("/v1/jobs", {
      json: jobSpec({ rules: { table_filters: [{ table: "größe", where: "v = '😀'" }] } }),
    });
    strictEqual(good.status, 201, await good.text());
    const metrics = await (await key("m", { scopes: ["metrics:read"] })).request("/metrics");
    ok(!/status="5\d\d"/.test(await metrics.text()));
    strictEqual(
      (await fetch(`${service.url}/healthz`).then((answer) => answer.json())).status,
      "ok",
    );
  });
});

Deno.test("dangerous property names and excessively nested documents are rejected", async () => {
  await withService(async ({ key }) => {
    const alice = await key("alice");
    const headers = { "content-type": "application/json" };
    const spec = JSON.stringify(jobSpec());
    const bodies = [
      spec.replace("{", '{"__proto__": {"command": "init"}, '),
      spec.replace("{", '{"constructor": {"prototype": {"a": 1}}, '),
      spec.replace("{", '{"filters": {"map": {"__proto__": "b"}}, '),
      spec.replace("{", '{"filters": {"__proto__": {"map": {"a": "b"}}}, '),
      spec.replace(
        "{",
        '{"rules": {"table_filters": [{"__proto__": {}, "table": "a", "where": "v"}]}, ',
      ),
      spec.replace("{", `{"filters": ${"[".repeat(6_000)}${"]".repeat(6_000)}, `),
      `${'{"a":'.repeat(2_500)}1${"}".repeat(2_500)}`,
    ];
    for (const body of bodies) {
      const response = await alice.request("/v1/jobs", { method: "POST", body, headers });
      strictEqual(response.status, 400, `${body.slice(0, 80)}: ${await response.text()}`);
    }
  });
});

Deno.test("made-up methods do not create metric series", async () => {
  await withService(async ({ key, service }) => {
    const monitor = await key("m", { scopes: ["metrics:read"] });
    for (let each = 0; each < 20; each++) {
      const response = await fetch(`${service.url}/v1/none`, { method: `MADEUP${each}` });
      await response.body?.cancel();
    }
    const text = await (await monitor.request("/metrics")).text();
    ok(!text.includes("MADEUP"));
    ok(text.includes('method="OTHER"'));
  });
});

Deno.test("schemas created by another role are rejected before anything in them is used", async () => {
  await exec(cluster.url(), "CREATE ROLE squatter LOGIN");
  const hostile = [
    "CREATE SCHEMA seren_remote AUTHORIZATION squatter",
    "CREATE SCHEMA seren_remote_queue AUTHORIZATION squatter",
    `CREATE SCHEMA seren_remote; CREATE TABLE seren_remote.migrations (version int, applied_at timestamptz);
     ALTER TABLE seren_remote.migrations OWNER TO squatter`,
    `CREATE SCHEMA seren_remote; CREATE FUNCTION seren_remote.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
     ALTER FUNCTION seren_remote.refuse_change() OWNER TO squatter`,
  ];
  for (const sql of hostile) {
    await withDatabase(cluster, undefined, async ({ url }) => {
      await exec(url, sql);
      const database = await resolveEndpoint(url, { side: "target" });
      await using pool = new SessionPool(database, { size: 1 });
      await rejects(migrate(pool), (error) => {
        ok(error instanceof ReplicatorError, String(error));
        strictEqual(error.exitCode, 3);
        match(error.details.join(), /seren_remote\S* belongs to role "squatter"/);
        return true;
      });
    });
  }
});

Deno.test("a service whose role is a member of the tables' owner keeps running", async () => {
  await exec(cluster.url(), "CREATE ROLE owners; CREATE ROLE app LOGIN IN ROLE owners");
  await withDatabase(cluster, undefined, async ({ name, url, urlFor }) => {
    await exec(
      url,
      `GRANT CREATE ON DATABASE "${name}" TO owners; CREATE SCHEMA seren_remote AUTHORIZATION owners`,
    );
    const database = await resolveEndpoint(urlFor({ user: "app" }), { side: "target" });
    await using pool = new SessionPool(database, { size: 1 });
    await migrate(pool);
    await migrate(pool);
  });
});
