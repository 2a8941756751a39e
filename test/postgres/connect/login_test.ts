/** Authentication: what servers request, what the URL allows, and what a server must prove. */
import { match, ok, strictEqual } from "node:assert/strict";
import { ConnectionError, openSession, resolveEndpoint } from "../../../lib/postgres/internal.ts";
import { CertificateAuthority } from "../../support/certificates.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { authentication, ready, RogueServer } from "../../support/rogue_server.ts";
import { exec } from "../../support/sql.ts";

const authority = await CertificateAuthority.create();
// the first is changed by RFC 4013; the second is not, because Unicode 3.2 has no emoji
const passwords = { scram: "ﬁ​Ⅸ é　x", emoji: "ﬁ🦆" };
const server = await sharedCluster(17, {
  tls: { ...await authority.server(), caPem: authority.certPem },
  hba: [
    "local all all trust",
    "host all postgres all trust",
    "host all by_trust all trust",
    "host all by_password all password",
    "host all by_md5 all md5",
    "hostssl all tls12 all scram-sha-256",
    "host all all all scram-sha-256",
  ],
});
await exec(
  server.url(),
  `CREATE ROLE by_trust LOGIN; CREATE ROLE by_password LOGIN PASSWORD 'plain';
   SET password_encryption = 'md5'; CREATE ROLE by_md5 LOGIN PASSWORD 'md';
   SET password_encryption = 'scram-sha-256'; CREATE ROLE by_scram LOGIN PASSWORD '${passwords.scram}';
   CREATE ROLE by_emoji LOGIN PASSWORD '${passwords.emoji}'`,
);

async function login(user: string, password: string, query: string): Promise<string> {
  const url = `postgresql://${user}:${
    encodeURIComponent(password)
  }@127.0.0.1:${server.port}/postgres?${query}`;
  try {
    await using session = await openSession(await resolveEndpoint(url, { side: "target" }));
    const { version } = await session.queryOne<{ version: string | null }>(
      "SELECT version FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()",
    );
    return version ?? "plain";
  } catch (error) {
    ok(error instanceof Error && !error.message.includes(password), String(error));
    if (error instanceof ConnectionError) strictEqual(error.transient, false);
    return error.message;
  }
}

Deno.test("every method works, and require_auth allows those that it names", async () => {
  const methods = [
    ["by_trust", "none", "none"],
    ["by_password", "plain", "password"],
    ["by_md5", "md", "md5"],
    ["by_scram", passwords.scram, "scram-sha-256"],
    ["by_emoji", passwords.emoji, "scram-sha-256"],
  ] as const;
  for (const [user, password, method] of methods) {
    strictEqual(await login(user, password, ""), "TLSv1.3", user);
    strictEqual(await login(user, password, "sslmode=disable"), "plain", user);
    strictEqual(await login(user, password, `require_auth=${method}`), "TLSv1.3");
    match(await login(user, password, `require_auth=!${method}`), /require_auth does not allow/);
    const others = methods.map(([, , other]) => other).filter((other) => other !== method);
    match(
      await login(user, password, `require_auth=${[...new Set(others)].join(",")}`),
      /require_auth does not allow/,
    );
  }
});

Deno.test("channel_binding=require allows only SCRAM over TLS", async () => {
  const scram = (query: string) => login("by_scram", passwords.scram, query);
  strictEqual(await scram("channel_binding=require&sslmode=require"), "TLSv1.3");
  strictEqual(
    await scram("channel_binding=require&sslmode=require&ssl_max_protocol_version=TLSv1.2"),
    "TLSv1.2",
  );
  strictEqual(await scram("channel_binding=disable"), "TLSv1.3");
  match(await scram("channel_binding=require&sslmode=disable"), /needs TLS/);
  for (const [user, password] of [["by_md5", "md"], ["by_password", "plain"]] as const) {
    match(
      await login(user, password, "channel_binding=require&sslmode=require"),
      /channel_binding=require does not allow/,
    );
  }
  match(
    await login("by_trust", "none", "channel_binding=require&sslmode=require"),
    /without channel binding/,
  );
});

Deno.test("TLS versions and direct negotiation are as in the URL", async () => {
  const scram = (query: string) => login("by_scram", passwords.scram, query);
  strictEqual(await scram("sslmode=require&ssl_min_protocol_version=TLSv1.3"), "TLSv1.3");
  strictEqual(await scram("sslmode=require&ssl_max_protocol_version=TLSv1.2"), "TLSv1.2");
  strictEqual(await scram("sslmode=require&sslnegotiation=direct"), "TLSv1.3");
});

Deno.test("unsupported parameters of URL and environment are all rejected before anything is sent", async () => {
  await using rogue = new RogueServer((connection) => connection.startup());
  const refused = async (query: string, environment: Record<string, string> = {}) => {
    const resolveEnvironment = { environment, readFile: () => Promise.resolve(undefined) };
    const error = await resolveEndpoint(rogue.url(query), { side: "source", resolveEnvironment })
      .then(() => undefined, (error) => error);
    return String(error?.message);
  };
  for (
    const query of [
      "gssencmode=require",
      "requirepeer=postgres",
      "krbsrvname=x",
      "sslcrl=x",
      "sslcrldir=x",
      "sslcertmode=require",
      "require_auth=gss",
      "require_auth=nonsense",
      "require_auth=md5,!password",
      "require_auth=md5,md5",
      "channel_binding=x",
      "ssl_min_protocol_version=SSLv3",
      "ssl_max_protocol_version=TLSv1.1",
      "sslnegotiation=direct&sslmode=prefer",
      "service=x",
      "ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2",
      "min_protocol_version=3.2",
      "channel_binding=require&require_auth=md5&sslmode=require",
      "scram_client_key=x",
      "nonsense=x",
      "channel_binding=require&sslmode=disable",
    ]
  ) ok(await refused(query) !== "undefined", query);
  const all = await refused("sslmode=require", {
    PGGSSENCMODE: "require",
    PGREQUIREAUTH: "nonsense",
    PGCHANNELBINDING: "x",
    PGSSLMINPROTOCOLVERSION: "x",
    PGSSLCRL: "x",
    PGREQUIREPEER: "x",
    PGSERVICE: "x",
    PGKRBSRVNAME: "x",
  });
  strictEqual(all.split("\n").length, 8, all);
  strictEqual(rogue.sessions, 0);
});

Deno.test("a server that does not prove that it knows the password is rejected, and gets no clear-text password", async () => {
  const first = (body: Uint8Array) => /r=([^,]*)$/.exec(new TextDecoder().decode(body))?.[1] ?? "";
  const scram =
    (continued: (nonce: string) => string, final?: number) =>
    async (c: Parameters<ConstructorParameters<typeof RogueServer>[0]>[0]) => {
      await c.startup();
      await c.send(authentication(10, "SCRAM-SHA-256\0\0"));
      const nonce = first((await c.message()).body);
      await c.send(authentication(11, continued(nonce)));
      if (final === undefined) return;
      await c.message();
      await c.send(
        authentication(final, final === 12 ? `v=${"A".repeat(43)}=` : ""),
        authentication(0),
        ready,
      );
      await c.message();
    };
  const salt = "c2FsdHNhbHRzYWx0c2FsdA==";
  const cases: readonly [RegExp, string, Parameters<typeof rogueWith>[0]][] = [
    [/nonce does not extend/, "", scram(() => `r=other,s=${salt},i=4096`)],
    [/nonce does not extend/, "", scram((nonce) => `r=${nonce},s=${salt},i=4096`)],
    [/malformed/, "", scram((nonce) => `m=x,r=${nonce}x,s=${salt},i=4096`)],
    [/malformed/, "", scram((nonce) => `r=${nonce}x,s=${salt},i=0`)],
    [/iterations/, "", scram((nonce) => `r=${nonce}x,s=${salt},i=2147483647`)],
    [/did not prove/, "", scram((nonce) => `r=${nonce}x,s=${salt},i=4096`, 12)],
    [/ended the SCRAM exchange before/, "", scram((nonce) => `r=${nonce}x,s=${salt},i=4096`, 0)],
    [/ended the SCRAM exchange before/, "", async (c) => {
      await c.startup();
      await c.send(authentication(10, "SCRAM-SHA-256\0\0"));
      await c.message();
      await c.send(authentication(0), ready);
    }],
    [/ended the SCRAM exchange before/, "", async (c) => {
      await c.startup();
      await c.send(authentication(10, "SCRAM-SHA-256\0\0"));
      await c.message();
      await c.send(authentication(3));
    }],
    [/authentication more than once/, "", async (c) => {
      await c.startup();
      await c.send(authentication(3));
      await c.message();
      await c.send(authentication(3));
    }],
    [/without TLS/, "", async (c) => {
      await c.startup();
      await c.send(authentication(10, "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"));
    }],
    [/in clear text/, "&require_auth=scram-sha-256", async (c) => {
      await c.startup();
      await c.send(authentication(3));
      await c.message().then(() => Promise.reject(leaks.push("the password")), () => {});
    }],
    [/requests no authentication/, "&require_auth=scram-sha-256", async (c) => {
      await c.startup();
      await c.send(authentication(0), ready);
    }],
    [/GSSAPI/, "", async (c) => {
      await c.startup();
      await c.send(authentication(7));
    }],
  ];
  const leaks: string[] = [];
  function rogueWith(
    behave: (c: Parameters<ConstructorParameters<typeof RogueServer>[0]>[0]) => Promise<void>,
  ) {
    return new RogueServer(behave);
  }
  for (const [expected, query, behave] of cases) {
    await using rogue = rogueWith(behave);
    const error = await openSession(
      await resolveEndpoint(rogue.url(`sslmode=disable${query}`), { side: "source" }),
    ).then(() => undefined, (error) => error);
    ok(error instanceof ConnectionError, String(error));
    match(error.message, expected);
    strictEqual(error.transient, false);
    strictEqual(rogue.sessions, 1);
  }
  strictEqual(leaks.length, 0);
});
