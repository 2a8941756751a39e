import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { migrate, migrations } from "../../lib/remote/store/mod.ts";
import { resolveEndpoint, SessionPool } from "../../lib/postgres/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import {
  jobSpec,
  openTestService,
  serviceTemplate,
  type TestKey,
  type TestService,
} from "../support/service.ts";
import { exec, query } from "../support/sql.ts";

const cluster = await sharedCluster(16);
const template = await serviceTemplate(cluster);

async function withService(use: (service: TestService) => Promise<void>): Promise<void> {
  await withDatabase(cluster, template, async ({ url }) => {
    await using service = await openTestService(url);
    await use(service);
  });
}

async function submit(key: TestKey, change: Record<string, unknown> = {}): Promise<{ id: string }> {
  const response = await key.request("/v1/jobs", { json: jobSpec(change) });
  strictEqual(response.status, 201, await response.clone().text());
  return await response.json();
}

Deno.test("the API rejects invalid requests with a status, a problem and a trace id, and accepts valid ones", async (t) => {
  await withService(async ({ service, key }) => {
    const alice = await key("alice");
    const reader = await key("alice", { scopes: ["jobs:read"] });
    const expired = await key("alice");
    const revoked = await key("alice");
    await service.pool.use((session) =>
      session.query(
        "UPDATE seren_remote.api_keys SET expires_at = now() WHERE id = $1::text::uuid",
        [expired.id],
      )
    );
    await service.pool.use((session) =>
      session.query(
        "UPDATE seren_remote.api_keys SET revoked_at = now() WHERE id = $1::text::uuid",
        [revoked.id],
      )
    );
    const json = { "content-type": "application/json" };
    const body = JSON.stringify(jobSpec());
    const missing = crypto.randomUUID();
    const wrongSecret = alice.key.slice(0, -1) + (alice.key.endsWith("A") ? "B" : "A");
    type Case = readonly [status: number, path: string, init: RequestInit, detail?: RegExp];
    const as = (key: string | undefined, init: RequestInit = {}): RequestInit => ({
      ...init,
      headers: { ...(key === undefined ? {} : { "x-api-key": key }), ...init.headers },
    });
    const post = (text: string, headers: Record<string, string> = json): RequestInit => ({
      method: "POST",
      body: text,
      headers,
    });
    const url = (source_url: string) => JSON.stringify(jobSpec({ source_url }));
    const cases: Readonly<Record<string, Case>> = {
      "no key": [401, "/v1/jobs", as(undefined)],
      "a text that is not a key": [401, "/v1/jobs", as("hello")],
      "a key that nobody has": [401, "/v1/jobs", as(`srk_000000000000_${"A".repeat(43)}`)],
      "a key with another secret": [401, "/v1/jobs", as(wrongSecret)],
      "an expired key": [401, "/v1/jobs", as(expired.key)],
      "a revoked key": [401, "/v1/jobs", as(revoked.key)],
      "a key without the scope": [403, "/v1/jobs", as(reader.key, post(body)), /jobs:write/],
      "an admin's route": [403, "/v1/keys", as(alice.key)],
      "the audit trail": [403, "/v1/audit", as(alice.key)],
      "metrics without their scope": [403, "/metrics", as(alice.key)],
      "metrics without a key": [401, "/metrics", as(undefined)],
      "a job that is not there": [404, `/v1/jobs/${missing}`, as(alice.key)],
      "an id that is none": [404, "/v1/jobs/1;DROP", as(alice.key)],
      "a path that is not there": [404, "/v1/nothing", as(alice.key)],
      "an unknown parameter": [400, "/v1/jobs?limt=3", as(alice.key)],
      "a limit out of bounds": [400, "/v1/jobs?limit=1000000", as(alice.key)],
      "a body that is not JSON": [400, "/v1/jobs", as(alice.key, post("{")), /not valid JSON/],
      "a body that is not a job": [400, "/v1/jobs", as(alice.key, post("[]"))],
      "another content type": [
        415,
        "/v1/jobs",
        as(alice.key, post(body, { "content-type": "text/plain" })),
      ],
      "no content type": [415, "/v1/jobs", as(alice.key, post(body, { "content-type": "" }))],
      "a body that is too large": [
        413,
        "/v1/jobs",
        as(alice.key, post(`${body}${" ".repeat(16_000)}`)),
      ],
      "an unknown command": [
        400,
        "/v1/jobs",
        as(alice.key, post(JSON.stringify(jobSpec({ command: "shell" })))),
      ],
      "an injection in a URL": [
        400,
        "/v1/jobs",
        as(alice.key, post(url("postgresql://u@host/db; DROP TABLE users;"))),
      ],
      "a URL of the cloud's metadata": [
        400,
        "/v1/jobs",
        as(alice.key, post(url("postgresql://u@169.254.169.254/db"))),
      ],
      "a URL of a private network": [
        400,
        "/v1/jobs",
        as(alice.key, post(url("postgresql://u@10.0.0.1/db"))),
      ],
      "an IPv4-mapped address of a private network": [
        400,
        "/v1/jobs",
        as(alice.key, post(url("postgresql://u@[::ffff:10.0.0.1]/db"))),
      ],
      "a bad idempotency key": [
        400,
        "/v1/jobs",
        as(alice.key, post(body, { ...json, "idempotency-key": "a b" })),
      ],
      "a bad event id": [
        404,
        `/v1/jobs/${missing}/events`,
        as(alice.key, { headers: { "last-event-id": "x" } }),
      ],
    };
    for (const [what, [status, path, init, detail]] of Object.entries(cases)) {
      await t.step(`${what}: ${status}`, async () => {
        const traceId = crypto.randomUUID().replaceAll("-", "");
        const response = await fetch(`${service.url}${path}`, {
          ...init,
          headers: { ...init.headers, traceparent: `00-${traceId}-0123456789abcdef-01` },
        });
        const problem = await response.json();
        strictEqual(response.status, status, JSON.stringify(problem));
        strictEqual(response.headers.get("content-type"), "application/problem+json");
        match(
          response.headers.get("traceparent") ?? "",
          new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`),
        );
        deepStrictEqual([problem.status, problem.trace_id], [status, traceId]);
        if (detail !== undefined) match(problem.detail, detail);
        ok(!/planted/.test(JSON.stringify(problem)));
      });
    }
    await t.step("legal passwords, IPv6, several hosts and unicode: 201", async () => {
      for (
        const source_url of [
          "postgresql://u:%3B%7C%26%40%24%27@127.0.0.1/db",
          "postgresql://u:a;b&c$d@127.0.0.1/db",
          "postgresql://u@127.0.0.1:1,127.0.0.2:2/größe",
          "postgresql://u@[2606:4700::1111]:5433/gr%C3%B6%C3%9Fe",
        ]
      ) await submit(alice, { source_url });
    });
    await t.step("no rejected request was stored", async () => {
      const { jobs } = await (await alice.request("/v1/jobs")).json();
      strictEqual(jobs.length, 4);
    });
  });
});

Deno.test("no route reveals anything about another user's job", async (t) => {
  await withService(async ({ service, key }) => {
    const alice = await key("alice");
    const mallory = await key("mallory");
    const admin = await key("root", { scopes: ["admin"] });
    const { id } = await submit(alice);
    const routes: readonly (readonly [string, RequestInit])[] = [
      [`/v1/jobs/${id}`, {}],
      [`/v1/jobs/${id}/logs`, {}],
      [`/v1/jobs/${id}/events`, {}],
      [`/v1/jobs/${id}/cancel`, { method: "POST" }],
    ];
    for (const [path, init] of routes) {
      await t.step(`${init.method ?? "GET"} ${path.replace(id, "{id}")}`, async () => {
        const theirs = await mallory.request(path, init);
        const nobodys = await mallory.request(path.replace(id, crypto.randomUUID()), init);
        strictEqual(theirs.status, 404);
        const [a, b] = [await theirs.json(), await nobodys.json()];
        deepStrictEqual({ ...a, trace_id: 0 }, { ...b, trace_id: 0 });
      });
    }
    await t.step("all routes that name a job are covered", async () => {
      const { paths } = await (await fetch(`${service.url}/v1/openapi.json`)).json();
      deepStrictEqual(
        Object.keys(paths).filter((path) => path.startsWith("/v1/jobs/")).sort(),
        routes.map(([path]) => path.replace(id, "{id}")).sort(),
      );
    });
    const list = async (who: TestKey, query = "") =>
      (await (await who.request(`/v1/jobs${query}`)).json()).jobs.length;
    deepStrictEqual([await list(alice), await list(mallory), await list(admin)], [1, 0, 1]);
    strictEqual(await list(mallory, "?owner=alice"), 0);
    strictEqual(await list(mallory, `?after=${id}`), 0);
    for (const path of ["/v1/keys", "/v1/audit"]) {
      strictEqual((await alice.request(path).then(async (r) => (await r.text(), r))).status, 403);
    }
    for (
      const [path, method] of [[`/v1/keys/${alice.id}`, "DELETE"], [
        `/v1/keys/${alice.id}/rotate`,
        "POST",
      ]] as const
    ) {
      const response = await mallory.request(path, method === "POST" ? { json: {} } : { method });
      await response.text();
      strictEqual(response.status, 403);
    }
    // the job is unchanged, and the same user's second key can see it
    const again = await key("alice");
    strictEqual((await (await again.request(`/v1/jobs/${id}`)).json()).state, "queued");
  });
});

Deno.test("two instances share a key's rate limit, and say when to retry", async () => {
  await withService(async ({ key, another, service }) => {
    await using second = await another();
    const alice = await key("alice", { limits: { requests_per_second: 0.01, request_burst: 6 } });
    const statuses: number[] = [];
    for (let request = 0; request < 10; request++) {
      const response = await alice.request("/v1/jobs", {
        base: request % 2 === 0 ? service.url : second.url,
      });
      await response.text();
      statuses.push(response.status);
      if (response.status === 429) ok(Number(response.headers.get("retry-after")) > 50);
    }
    deepStrictEqual(statuses, [200, 200, 200, 200, 200, 200, 429, 429, 429, 429]);
    const bob = await key("bob");
    strictEqual(await bob.request("/v1/jobs").then(async (r) => (await r.text(), r.status)), 200);
  });
});

Deno.test("many keys at once on an instance that has seen none of them: no request is rejected", async () => {
  await withService(async ({ key, another }) => {
    await using second = await another();
    const keys = await Promise.all(Array.from({ length: 20 }, (_, each) => key(`user-${each}`)));
    const statuses = await Promise.all(
      [...keys, ...keys, ...keys].map(async (each) => {
        const response = await each.request("/v1/me", { base: second.url });
        await response.text();
        return response.status;
      }),
    );
    deepStrictEqual(new Set(statuses), new Set([200]));
  });
});

Deno.test("a key has a quota of jobs", async () => {
  await withService(async ({ key }) => {
    const alice = await key("alice", { limits: { most_queued: 2 } });
    const { id } = await submit(alice);
    await submit(alice);
    const refused = await alice.request("/v1/jobs", { json: jobSpec() });
    strictEqual(refused.status, 429, await refused.text());
    await (await alice.request(`/v1/jobs/${id}/cancel`, { method: "POST" })).text();
    await submit(alice);
  });
});

Deno.test("a key has a limited number of streams, and can open another once one has ended", async () => {
  await withService(async ({ key }) => {
    const alice = await key("alice");
    const { id } = await submit(alice);
    const open = async () => {
      const response = await alice.request(`/v1/jobs/${id}/events`);
      const reader = response.body!.getReader();
      await reader.read();
      return { response, end: () => reader.cancel() };
    };
    const streams = await Promise.all(Array.from({ length: 50 }, open));
    deepStrictEqual([...new Set(streams.map(({ response }) => response.status))], [200]);
    const refused = await open();
    deepStrictEqual(
      [refused.response.status, refused.response.headers.get("retry-after")],
      [429, "5"],
    );
    await refused.end();
    const bob = await key("bob", { scopes: ["admin"] });
    const theirs = await bob.request(`/v1/jobs/${id}/events`);
    strictEqual(theirs.status, 200);
    await theirs.body!.cancel();
    await streams.pop()!.end();
    let another = await open();
    while (another.response.status === 429) {
      await another.end();
      another = await open();
    }
    strictEqual(another.response.status, 200);
    for (const { end } of [...streams, another]) await end();
  });
});

Deno.test("requests with the same body and idempotency key create one job, even concurrently on several instances", async () => {
  await withService(async ({ key, another, service }) => {
    await using second = await another();
    const alice = await key("alice");
    const bob = await key("bob");
    const headers = { "idempotency-key": "a" };
    const send = async (who: TestKey, base: string, change = {}) => {
      const response = await who.request("/v1/jobs", { json: jobSpec(change), headers, base });
      return { status: response.status, body: await response.json() };
    };
    const answers = await Promise.all(
      Array.from(
        { length: 8 },
        (_, index) => send(alice, index % 2 === 0 ? service.url : second.url),
      ),
    );
    strictEqual(new Set(answers.map(({ body }) => body.id)).size, 1);
    deepStrictEqual(answers.map(({ status }) => status).sort(), [
      200,
      200,
      200,
      200,
      200,
      200,
      200,
      201,
    ]);
    strictEqual((await send(alice, service.url, { command: "init" })).status, 409);
    const other = await send(bob, service.url);
    strictEqual(other.status, 201);
    ok(other.body.id !== answers[0]!.body.id);
  });
});

Deno.test("admins create, rotate and revoke keys; the old key remains valid for the overlap", async () => {
  await withService(async ({ key, service }) => {
    const admin = await key("root", { scopes: ["admin"] });
    const made = await (await admin.request("/v1/keys", {
      json: {
        owner: "carol",
        name: "laptop",
        scopes: ["jobs:read"],
        expires_in_days: 30,
        limits: { most_running: 7 },
      },
    })).json();
    const use = async (secret: string) => {
      const response = await fetch(`${service.url}/v1/me`, { headers: { "x-api-key": secret } });
      return [response.status, await response.json()] as const;
    };
    const [status, me] = await use(made.key);
    deepStrictEqual([status, me.owner, me.limits.most_running, me.key], [
      200,
      "carol",
      7,
      undefined,
    ]);
    const rotated =
      await (await admin.request(`/v1/keys/${made.id}/rotate`, { json: { overlap_seconds: 3600 } }))
        .json();
    strictEqual((await use(made.key))[0], 200);
    const [, successor] = await use(rotated.key);
    deepStrictEqual([successor.owner, successor.scopes, successor.limits.most_running], ["carol", [
      "jobs:read",
    ], 7]);
    const [, old] = await use(made.key);
    strictEqual(old.replaced_by, rotated.id);
    ok(new Date(old.expires_at).getTime() < Date.now() + 3_700_000);
    strictEqual(
      await admin.request(`/v1/keys/${made.id}/rotate`, { json: {} }).then(async (
        r,
      ) => (await r.text(), r.status)),
      409,
    );
    strictEqual((await admin.request(`/v1/keys/${rotated.id}`, { method: "DELETE" })).status, 204);
    strictEqual((await use(rotated.key))[0], 401);
    const now = await (await admin.request(`/v1/keys/${made.id}/rotate`, { json: { overlap: 1 } }))
      .json();
    deepStrictEqual(now.problems, [{ path: "overlap", message: "is not a known property" }]);
    const wrong = await (await admin.request("/v1/jobs?limt=3&state=x")).json();
    deepStrictEqual(wrong.problems.map(({ path }: { path: string }) => path), ["state", "limt"]);
    const short = await key("dave");
    const { key: next } = await (await admin.request(`/v1/keys/${short.id}/rotate`, {
      json: { overlap_seconds: 0 },
    })).json();
    deepStrictEqual([(await use(short.key))[0], (await use(next))[0]], [401, 200]);
    const { keys } = await (await admin.request("/v1/keys")).json();
    ok(keys.length >= 3 && keys.every((each: object) => !("key" in each) && !("hash" in each)));
    const stored = await service.pool.use((session) =>
      session.query<{ hash: string }>("SELECT hash FROM seren_remote.api_keys")
    );
    ok(stored.every(({ hash }) => hash.startsWith("scrypt$")));
    const { entries } = await (await admin.request("/v1/audit")).json();
    deepStrictEqual(
      entries.filter(({ actor }: { actor: string }) => actor === "root").map((
        { action }: { action: string },
      ) => action),
      ["key.rotate", "key.revoke", "key.rotate", "key.create"],
    );
  });
});

Deno.test("the audit trail is append-only, even for direct database access", async () => {
  await withService(async ({ key, databaseUrl }) => {
    const alice = await key("alice", { scopes: ["jobs:read"] });
    await (await alice.request("/v1/keys")).text();
    const [entry] = await query(
      databaseUrl,
      "SELECT actor, outcome FROM seren_remote.audit ORDER BY id DESC LIMIT 1",
    );
    deepStrictEqual(entry, { actor: "alice", outcome: "denied" });
    for (
      const statement of [
        "UPDATE seren_remote.audit SET actor = 'bob'",
        "DELETE FROM seren_remote.audit",
        "TRUNCATE seren_remote.audit",
        "SET session_replication_role = replica; DELETE FROM seren_remote.audit",
      ]
    ) await rejects(exec(databaseUrl, statement), /append-only/);
  });
});

Deno.test("instances that start at the same time apply migrations once", async () => {
  await withDatabase(cluster, undefined, async ({ url }) => {
    const database = await resolveEndpoint(url, { side: "target" });
    await Promise.all(Array.from({ length: 5 }, async () => {
      await using pool = new SessionPool(database, { size: 1, values: "native" });
      await migrate(pool);
    }));
    const versions = await query(url, "SELECT version FROM seren_remote.migrations ORDER BY 1");
    deepStrictEqual(versions, migrations.map(({ version }) => ({ version })));
    await exec(url, "INSERT INTO seren_remote.migrations (version) VALUES (999)");
    await using pool = new SessionPool(database, { size: 1, values: "native" });
    await rejects(migrate(pool), /version 999/);
  });
});

Deno.test("the OpenAPI document describes all routes for jobs, keys and audit", async () => {
  await withService(async ({ service }) => {
    const document = await (await fetch(`${service.url}/v1/openapi.json`)).json();
    strictEqual(document.openapi, "3.1.0");
    deepStrictEqual(Object.keys(document.paths).sort(), [
      "/v1/audit",
      "/v1/jobs",
      "/v1/jobs/{id}",
      "/v1/jobs/{id}/cancel",
      "/v1/jobs/{id}/events",
      "/v1/jobs/{id}/logs",
      "/v1/keys",
      "/v1/keys/{id}",
      "/v1/keys/{id}/rotate",
      "/v1/me",
    ]);
    const spec = document.paths["/v1/jobs"].post.requestBody.content["application/json"].schema;
    ok(JSON.stringify(spec).includes("table_filters"));
    for (const path of ["/healthz", "/readyz"]) {
      strictEqual((await (await fetch(`${service.url}${path}`)).json()).status, "ok");
    }
  });
});
