import { strictEqual } from "node:assert/strict";
import { Front } from "../lib/remote/api/front.ts";

/** A front before a small server; `sendSlowly` opens a connection whose request never ends. */
async function withFront(
  limits: { readonly most: number; readonly patienceMs: number },
  use: (
    url: string,
    sendSlowly: () => Promise<{ readonly closed: Promise<boolean> } & Disposable>,
  ) => Promise<void>,
): Promise<void> {
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (_, info) => {
    const { port } = info.remoteAddr as Deno.NetAddr;
    return new Response(front.addressOf(port));
  });
  await using front: Front = new Front({
    hostname: "127.0.0.1",
    port: 0,
    tls: undefined,
    behind: () => server.addr,
    onError: () => {},
    ...limits,
  });
  await use(`http://127.0.0.1:${front.port}`, async () => {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: front.port });
    await connection.write(new TextEncoder().encode("GET / HTTP/1.1\r\nhost: x\r\nx-slow: "));
    const closed = connection.read(new Uint8Array(1)).then((read) => read === null, () => true);
    return { closed, [Symbol.dispose]: () => connection.close() };
  });
}

Deno.test("Front lets the connection that waits longest for an answer give way when there are too many", async () => {
  await withFront({ most: 3, patienceMs: 600_000 }, async (url, sendSlowly) => {
    using first = await sendSlowly();
    using _second = await sendSlowly();
    using _third = await sendSlowly();
    const client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
    try {
      strictEqual(await (await fetch(url, { client })).text(), "127.0.0.1");
    } finally {
      client.close();
    }
    strictEqual(await first.closed, true);
  });
});

Deno.test("Front closes a connection that gets no answer in time", async () => {
  await withFront({ most: 300, patienceMs: 100 }, async (_, sendSlowly) => {
    using slow = await sendSlowly();
    strictEqual(await slow.closed, true);
  });
});
