/** Login event triggers, which run with the privileges of the connecting role. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import net from "node:net";
import {
  type Endpoint,
  openSession,
  withDatabase as inDatabase,
} from "../../lib/postgres/internal.ts";
import { conninfoFor, dumpSchemaText } from "../../lib/schema/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import { endpointOf, runInit } from "../support/init.ts";
import { exec, query } from "../support/sql.ts";
import { startupRefusal } from "../support/startup_refusal.ts";

const source = await sharedCluster(17);
const target = await sharedCluster(18);
const old = await sharedCluster(15);

/** Records that it fired, and becomes superuser where possible. */
const loginTrigger = `
  CREATE TABLE public.t (a int PRIMARY KEY); INSERT INTO public.t VALUES (1);
  CREATE TABLE public.logins (who text, program text);
  GRANT INSERT ON public.logins TO PUBLIC;
  CREATE FUNCTION public.at_login() RETURNS event_trigger LANGUAGE plpgsql AS $b$BEGIN
    INSERT INTO public.logins VALUES (current_user, current_setting('application_name'));
    IF current_setting('is_superuser') = 'on' THEN
      BEGIN CREATE ROLE made_at_login SUPERUSER; EXCEPTION WHEN duplicate_object THEN NULL; END;
    END IF;
  END$b$;
  CREATE EVENT TRIGGER at_login ON login EXECUTE FUNCTION public.at_login();
  ALTER EVENT TRIGGER at_login ENABLE ALWAYS;`;

/** The recorded logins, read by a session that fires no trigger. */
function logins(url: string): Promise<Record<string, unknown>[]> {
  const quiet = new URL(url);
  quiet.searchParams.set("event_triggers", "off");
  return query(quiet.href, "SELECT who, program FROM public.logins");
}

async function superuserMade(): Promise<boolean> {
  const statement = "SELECT FROM pg_roles WHERE rolname = 'made_at_login'";
  return (await query(source.url(), statement)).length > 0 ||
    (await query(target.url(), statement)).length > 0;
}

async function settingIn(endpoint: Endpoint, replication = false): Promise<string> {
  await using session = await openSession(endpoint, { replication });
  const { setting } = await session.queryOne<{ setting: string }>(
    "SELECT pg_catalog.current_setting('event_triggers', true) AS setting",
  );
  return setting;
}

Deno.test("no session of a superuser fires a login trigger", async () => {
  await withDatabase(target, undefined, async ({ url, name }) => {
    await exec(url, loginTrigger);
    const endpoint = await endpointOf(url, "target");
    strictEqual(await settingIn(endpoint), "off");
    strictEqual(await settingIn(endpoint, true), "off", "walsender");
    const tool = { kind: "embedded", major: 18, description: "embedded" } as const;
    const dump = await dumpSchemaText({ endpoint, tool });
    ok(dump.includes("CREATE EVENT TRIGGER"));
    ok(conninfoFor(endpoint, 17).includes("options='-c event_triggers=off'"), name);
    deepStrictEqual(await logins(url), []);
    ok(!await superuserMade());
  });
});

Deno.test("init fires no login trigger on either side, and copies them", async () => {
  await withDatabase(source, undefined, async (from) => {
    await exec(from.url, loginTrigger);
    await withDatabase(target, undefined, async (to) => {
      await exec(to.url, loginTrigger.replaceAll("at_login", "there_at_login"));
      await runInit(from.url, to.url, {
        include: [from.name],
        map: { [from.name]: to.name },
        dropExisting: true,
      });
      deepStrictEqual(await logins(from.url), []);
      deepStrictEqual(await logins(to.url), []);
      ok(!await superuserMade());
    });
  });
});

Deno.test("a role that may not disable event triggers can connect", async () => {
  await exec(
    target.url(),
    "CREATE ROLE ordinary LOGIN; CREATE ROLE trusted LOGIN; GRANT SET ON PARAMETER event_triggers TO trusted",
  );
  await withDatabase(target, undefined, async ({ url, urlFor }) => {
    await exec(url, loginTrigger);
    const ordinary = await endpointOf(urlFor({ user: "ordinary" }), "target");
    strictEqual(await settingIn(ordinary), "on");
    strictEqual(await settingIn(ordinary), "on", "and again, without asking");
    ok(!conninfoFor(ordinary, 17).includes("event_triggers"));
    const trusted = await endpointOf(urlFor({ user: "trusted" }), "target");
    strictEqual(await settingIn(trusted), "off");
    ok(conninfoFor(trusted, 17).includes("event_triggers"));
    const names = (await logins(url)).map(({ who }) => who);
    deepStrictEqual(names, ["ordinary", "ordinary"]);
  });
});

Deno.test("connections to servers before 17 work, with the user's options", async () => {
  const url = old.url({ params: { options: "-c work_mem=77kB" } });
  const endpoint = await endpointOf(url, "source");
  for (let turn = 0; turn < 2; turn++) {
    await using session = await openSession(endpoint);
    const { memory } = await session.queryOne<{ memory: string }>(
      "SELECT pg_catalog.current_setting('work_mem') AS memory",
    );
    strictEqual(memory, "77kB");
  }
  ok(conninfoFor(endpoint, 17).includes("options='-c work_mem=77kB'"));
});

Deno.test("a connection rejected for another reason is reported unchanged", async () => {
  const endpoint = inDatabase(await endpointOf(target.url(), "target"), "nowhere");
  await openSession(endpoint).then(
    () => ok(false),
    (error) => strictEqual(error.sqlState, "3D000"),
  );
});

Deno.test("connections through a pooler that does not know the parameter work", async () => {
  await withDatabase(target, undefined, async ({ name, url }) => {
    await exec(url, loginTrigger);
    for (const sqlState of ["08P01", "0A000", "XX000"]) {
      await using pooler = await strictPooler(target.port, sqlState);
      const endpoint = await endpointOf(
        `postgresql://postgres@127.0.0.1:${pooler.port}/${name}`,
        "target",
      );
      strictEqual(await settingIn(endpoint), "off", "from the first statement on");
      strictEqual(await settingIn(endpoint), "off");
      strictEqual(pooler.refused, 1);
      ok(!conninfoFor(endpoint, 17).includes("event_triggers"));
    }
  });
});

/**
 * Rejects a startup packet with an unknown parameter, as PgBouncer does; forwards everything else
 * to the server.
 */
async function strictPooler(serverPort: number, sqlState: string) {
  let refused = 0;
  const sockets = new Set<net.Socket>();
  const server = net.createServer((client) => {
    sockets.add(client);
    client.on("error", () => {});
    client.on("close", () => sockets.delete(client));
    client.on("data", function first(chunk: Uint8Array) {
      const text = new TextDecoder("latin1").decode(chunk);
      if (chunk.length === 8) return void client.write("N"); // SSLRequest
      client.off("data", first);
      if (text.includes("event_triggers")) {
        refused++;
        return void client.end(startupRefusal("event_triggers", sqlState));
      }
      const upstream = net.connect(serverPort, "127.0.0.1");
      sockets.add(upstream);
      upstream.on("error", () => client.destroy());
      upstream.on("close", () => (sockets.delete(upstream), client.destroy()));
      client.on("close", () => upstream.destroy());
      upstream.write(chunk);
      client.pipe(upstream).pipe(client);
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    port: (server.address() as net.AddressInfo).port,
    get refused() {
      return refused;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}
