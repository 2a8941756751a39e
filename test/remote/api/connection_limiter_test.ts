/**
 * The HTTP server in front of the API: slow, silent, disconnected and numerous clients, and a
 * process with few file descriptors.
 */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { HttpServer, type HttpServerOptions } from "../../../lib/remote/api/http_server.ts";
import { CertificateAuthority } from "../../support/certificates.ts";
import { waitUntil } from "../../support/wait.ts";

/** A server with a given handler; by default it responds with the client's address. */
function serve(options: Partial<HttpServerOptions> = {}): HttpServer {
  return new HttpServer({
    hostname: "127.0.0.1",
    port: 0,
    tls: undefined,
    maxConnections: 300,
    graceMs: 600_000,
    drainMs: 10_000,
    onError: (error) => {
      throw error;
    },
    answer: (_, address) => new Response(address),
    ...options,
  });
}

/** A client that sends arbitrary bytes and records the response. */
class RawClient implements AsyncDisposable {
  readonly connection: Deno.Conn;
  answered = "";
  readonly #reading: Promise<void>;
  #wanted: { readonly pattern: RegExp; readonly found: () => void } | undefined;

  /** @param reads whether to read the response */
  constructor(connection: Deno.Conn, { reads = true } = {}) {
    this.connection = connection;
    this.#reading = reads ? this.#read() : Promise.resolve();
    this.#reading.catch(() => {}); // reported by `closed`
  }

  static async connect(server: HttpServer, options?: { reads: boolean }): Promise<RawClient> {
    return new RawClient(
      await Deno.connect({ hostname: "127.0.0.1", port: server.port }),
      options,
    );
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(64 * 1024);
    for (
      let read = await this.connection.read(buffer);
      read !== null;
      read = await this.connection.read(buffer)
    ) {
      this.answered += decoder.decode(buffer.subarray(0, read), { stream: true });
      if (this.#wanted?.pattern.test(this.answered)) this.#wanted.found();
    }
  }

  /** How the connection ended. */
  get closed(): Promise<"closed" | "broken"> {
    return this.#reading.then(() => "closed", () => "broken");
  }

  async send(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let sent = 0; sent < bytes.length;) {
      sent += await this.connection.write(bytes.subarray(sent));
    }
  }

  /** Resolves when the response matches; rejects if the connection ends first. */
  async receives(pattern: RegExp): Promise<void> {
    if (pattern.test(this.answered)) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wanted = { pattern, found: resolve };
    const ended = this.closed.then((how) => {
      if (!pattern.test(this.answered)) throw new Error(`${how} after: ${this.answered}`);
    });
    await Promise.race([promise, ended]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.connection.close();
    } catch {
      // the server has already closed it
    }
    await this.closed;
  }
}

const ask = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
/** An endless request head. */
const endlessHead = "GET / HTTP/1.1\r\nhost: x\r\nx-slow: ";

async function sendSlowly(server: HttpServer): Promise<RawClient> {
  const client = await RawClient.connect(server);
  await client.send(endlessHead);
  return client;
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function fetchOnce(url: string): Promise<string> {
  const client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
  try {
    return await (await fetch(url, { client })).text();
  } finally {
    client.close();
  }
}

Deno.test("if there are too many connections, the one waiting longest for a response is closed", async () => {
  await using server = serve({ maxConnections: 3 });
  await using first = await sendSlowly(server);
  await using _second = await sendSlowly(server);
  await using _third = await sendSlowly(server);
  strictEqual(await fetchOnce(`http://127.0.0.1:${server.port}`), "127.0.0.1");
  await first.closed;
});

Deno.test("a connection without a response in time is closed", async () => {
  await using server = serve({ graceMs: 100 });
  await using slow = await sendSlowly(server);
  await slow.closed;
});

Deno.test("a request on an idle connection gets the full time for its response", async () => {
  const graceMs = 600;
  await using server = serve({
    graceMs,
    answer: async () => {
      await after(graceMs * 0.7);
      return new Response("late");
    },
  });
  await using client = await RawClient.connect(server);
  await client.send(ask);
  await client.receives(/late/);
  client.answered = "";
  await after(graceMs * 0.7);
  await client.send(ask);
  await client.receives(/late/);
});

Deno.test("a client that has shut down its sending side still gets its response", async () => {
  await using server = serve({
    answer: async () => {
      await after(50);
      return new Response("answer");
    },
  });
  await using client = await RawClient.connect(server);
  await client.send(ask.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n"));
  await client.receives(/answer/);
  await client.connection.closeWrite();
  strictEqual(await client.closed, "closed");
});

Deno.test("a client that keeps sending a rejected body can read why it was rejected", async () => {
  await using server = serve({
    answer: async (request) => {
      await request.body?.cancel();
      return new Response("too large", { status: 413, headers: { connection: "close" } });
    },
  });
  for (let round = 0; round < 3; round++) {
    await using client = await RawClient.connect(server);
    const head = `POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${64 << 20}\r\n\r\n`;
    await client.send(head);
    const sending = (async () => {
      for (let sent = 0; sent < 64; sent++) await client.send(" ".repeat(1 << 20));
      return "everything";
    })().catch(() => "a part");
    await client.closed;
    match(client.answered, /^HTTP\/1.1 413 .*too large$/s);
    strictEqual(await sending, "a part");
  }
});

Deno.test("a stream ends on the server when its client disconnects", async () => {
  const cancelled = Promise.withResolvers<void>();
  await using server = serve({
    answer: () =>
      new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(new TextEncoder().encode(": here\n\n")),
          cancel: () => cancelled.resolve(),
        }),
      ),
  });
  {
    await using client = await RawClient.connect(server);
    await client.send(ask);
    await client.receives(/: here/);
  }
  await cancelled.promise;
});

Deno.test("a client that does not read its response is closed after the grace period", async () => {
  let pulled = 0;
  const cancelled = Promise.withResolvers<void>();
  await using server = serve({
    graceMs: 500,
    answer: () =>
      new Response(
        new ReadableStream({
          pull: (controller) => {
            pulled += 64 * 1024;
            controller.enqueue(new Uint8Array(64 * 1024));
          },
          cancel: () => cancelled.resolve(),
        }, { highWaterMark: 0 }),
      ),
  });
  await using client = await RawClient.connect(server, { reads: false });
  await client.send(ask);
  await cancelled.promise;
  ok(pulled < 32 << 20, `${pulled} bytes were made for nobody`);
});

Deno.test("an endless request head is rejected before it uses memory", async () => {
  await using server = serve();
  await using client = await RawClient.connect(server);
  await client.send(endlessHead);
  const sending = (async () => {
    for (let sent = 0; sent < 16; sent++) await client.send("x".repeat(1 << 20));
    return "everything";
  })().catch(() => "a part");
  await client.closed;
  match(client.answered, /^HTTP\/1.1 4(31|00) /);
  strictEqual(await sending, "a part");
});

Deno.test("requests in progress are answered at shutdown, and idle connections do not delay it", async () => {
  const asked = Promise.withResolvers<void>();
  const server = serve({
    answer: async () => {
      asked.resolve();
      await after(300);
      return new Response("answer");
    },
  });
  await using slow = await sendSlowly(server);
  await using idle = await RawClient.connect(server);
  await using client = await RawClient.connect(server);
  await client.send(ask);
  await asked.promise;
  const began = performance.now();
  await server[Symbol.asyncDispose]();
  await client.receives(/answer/);
  await Promise.all([slow.closed, idle.closed]);
  ok(performance.now() - began < 5_000);
  await rejects(Deno.connect({ hostname: "127.0.0.1", port: server.port }));
});

Deno.test("a response that never comes delays shutdown no longer than allowed", async () => {
  const asked = Promise.withResolvers<void>();
  const never = Promise.withResolvers<Response>();
  const server = serve({
    drainMs: 100,
    answer: () => {
      asked.resolve();
      return never.promise;
    },
  });
  await using client = await RawClient.connect(server);
  await client.send(ask);
  await asked.promise;
  await server[Symbol.asyncDispose]();
  await client.closed;
  never.resolve(new Response());
  await after(0);
});

Deno.test("over TLS, stalled handshakes delay no other client, and responses are complete", async () => {
  const authority = await CertificateAuthority.create();
  const { certPem, keyPem } = await authority.server();
  await using server = serve({
    tls: { certificate: certPem, key: keyPem },
    answer: () => new Response("x".repeat(1 << 20), { headers: { connection: "close" } }),
  });
  await using _silent = await RawClient.connect(server);
  await using garbage = await RawClient.connect(server);
  await garbage.send(ask);
  await garbage.closed;
  const client = Deno.createHttpClient({ caCerts: [authority.certPem], poolMaxIdlePerHost: 0 });
  try {
    const response = await fetch(`https://localhost:${server.port}/`, { client });
    strictEqual((await response.text()).length, 1 << 20);
  } finally {
    client.close();
  }
});

Deno.test({
  name:
    "a process that ran out of file descriptors recovers, and answers clients that connected meanwhile",
  ignore: Deno.build.os === "windows",
  async fn() {
    const program = fileURLToPath(new URL("../../support/crowded_server.ts", import.meta.url));
    const config = fileURLToPath(new URL("../../../deno.json", import.meta.url));
    const run = `ulimit -n 80; exec "$0" run -q --no-prompt --config="$1" -A "$2"`;
    const child = new Deno.Command("sh", {
      args: ["-c", run, Deno.execPath(), config, program],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const errors = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
    const port = Number((await lines.read()).value);
    const clients: RawClient[] = [];
    try {
      for (let each = 0; each < 60; each++) {
        const client = new RawClient(await Deno.connect({ hostname: "127.0.0.1", port }));
        clients.push(client);
        await client.send(endlessHead);
      }
      match((await errors.read()).value ?? "", /Too many open files/);
      // the slow clients still hold their connections
      await waitUntil(
        "the server responds",
        async () => await fetchOnce(`http://127.0.0.1:${port}`).catch(() => "") === "here",
      );
      for (let each = 0; each < 20; each++) {
        strictEqual(await fetchOnce(`http://127.0.0.1:${port}`), "here");
      }
    } finally {
      for (const client of clients) await client[Symbol.asyncDispose]();
      await child.stdin.close();
      await Promise.all([lines.cancel(), errors.cancel()]);
      deepStrictEqual((await child.status).code, 0);
    }
  },
});
