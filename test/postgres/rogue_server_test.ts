/**
 * Servers that violate the protocol: memory stays bounded, and the session ends with an error that
 * is not transient.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import {
  ConnectionError,
  openSession,
  openSessionWithRetry,
  relayCopies,
  resolveEndpoint,
  type Session,
} from "../../lib/postgres/internal.ts";
import {
  authentication,
  commandComplete,
  dataRow,
  fields,
  frame,
  header,
  ready,
  type RogueConnection,
  RogueServer,
  rowDescription,
} from "../support/rogue_server.ts";

const megabyte = new Uint8Array(1024 * 1024);
/** Maximum growth of this process, including its test server. */
const allowedGrowth = 700 * 1024 * 1024;

type Step = (connection: RogueConnection) => Promise<void>;

/**
 * Runs work against a rogue server and returns its error; fails when memory grows or the work does
 * not end.
 */
async function refusal(
  behave: Step,
  use: (session: Session) => Promise<unknown> = (session) => session.query("SELECT 1"),
  parameters?: string,
): Promise<ConnectionError> {
  await using server = new RogueServer(behave);
  const endpoint = await resolveEndpoint(server.url(parameters), { side: "source" });
  const before = Deno.memoryUsage().rss;
  let most = 0;
  const timer = setInterval(() => most = Math.max(most, Deno.memoryUsage().rss - before), 20);
  let failure: unknown;
  try {
    const session = await openSessionWithRetry(endpoint, {
      signal: AbortSignal.timeout(60_000),
      events: () => {},
    });
    try {
      await use(session);
    } finally {
      await session.close();
    }
  } catch (error) {
    failure = error;
  } finally {
    clearInterval(timer);
  }
  ok(failure instanceof ConnectionError, `no refusal but ${failure}`);
  strictEqual(failure.transient, false, failure.message);
  strictEqual(failure.side, "source");
  ok(failure.message.includes(`127.0.0.1:${server.port}`), failure.message);
  ok(!failure.message.includes("the-password"));
  strictEqual(server.sessions, 1, "it is not retried");
  ok(most < allowedGrowth, `memory grew by ${Math.round(most / 1024 / 1024)} MB`);
  return failure;
}

const endless = async (connection: RogueConnection, ...parts: readonly Uint8Array[]) => {
  const many = new Uint8Array(await new Blob(parts as unknown as BlobPart[]).arrayBuffer());
  const times = Math.max(1, Math.floor(megabyte.length / many.length));
  const batch = new Uint8Array(times * many.length);
  for (let at = 0; at < batch.length; at += many.length) batch.set(many, at);
  for (;;) await connection.send(batch);
};

const description = rowDescription([["a", 25]]);

const beforeLogin: Readonly<Record<string, Step>> = {
  "an error announced with 2 GB": async (c) => {
    await c.startup();
    await c.send(header("E", 2_000_000_000));
    await endless(c, megabyte);
  },
  "an authentication request announced with 2 GB": async (c) => {
    await c.startup();
    await c.send(header("R", 2_000_000_000));
    await endless(c, megabyte);
  },
  "endless notices": async (c) => {
    await c.startup();
    await endless(c, fields("N", { S: "NOTICE", M: "x".repeat(100) }));
  },
  "a notice announced with 1 GB": async (c) => {
    await c.startup();
    await c.send(header("N", 1_000_000_000));
    await endless(c, megabyte);
  },
  "endless parameters": async (c) => {
    await c.startup();
    await c.send(authentication(0));
    for (let n = 0;; n++) {
      await c.send(frame("S", new TextEncoder().encode(`p${n}\0${"v".repeat(9_000)}\0`)));
    }
  },
  "endless keys": async (c) => {
    await c.startup();
    await c.send(authentication(0));
    await endless(c, frame("K", new Uint8Array(8)));
  },
  "a row instead of an authentication request": async (c) => {
    await c.startup();
    await c.send(dataRow(["a"]));
    await endless(c, megabyte);
  },
  "a key before authentication": async (c) => {
    await c.startup();
    await c.send(frame("K", new Uint8Array(8)), ready);
  },
  "a length of three": async (c) => {
    await c.startup();
    await c.send(header("R", 3), megabyte);
  },
  "a negative length": async (c) => {
    await c.startup();
    await c.send(header("R", -1), megabyte);
  },
  "an unknown type": async (c) => {
    await c.startup();
    await c.send(header("!", 4));
  },
  "an unsolicited message": async (c) => {
    await c.startup();
    await c.send(authentication(0), ready, description);
    await c.message();
  },
};

const inQuery: Readonly<Record<string, Step>> = {
  "a row announced with 2 GB": async (c) => {
    await c.send(description, header("D", 2_000_000_000));
    await endless(c, megabyte);
  },
  "a row announced with 1 GB": async (c) => {
    await c.send(description, header("D", 1_000_000_000));
    await endless(c, megabyte);
  },
  "endless rows": async (c) => {
    await c.send(description);
    await endless(c, dataRow(["x"]));
  },
  "endless wide rows": async (c) => {
    await c.send(rowDescription(Array.from({ length: 1_600 }, (_, n) => [`c${n}`, 25])));
    await endless(c, dataRow(Array.from({ length: 1_600 }, () => "")));
  },
  "endless results": (c) => endless(c, description, commandComplete("SELECT 0")),
  "endless errors": (c) => endless(c, fields("E", { S: "ERROR", C: "XX000", M: "no" })),
  "endless fields of an error": async (c) => {
    await c.send(header("E", 1_000_000_000));
    await endless(c, new TextEncoder().encode("Mx\0"));
  },
  "endless notices": (c) => endless(c, fields("N", { S: "NOTICE", M: "x".repeat(1_000) })),
  "endless notifications": (c) => endless(c, frame("A", new Uint8Array(1_000))),
  "endless parameters": (c) => endless(c, frame("S", new TextEncoder().encode("name\0value\0"))),
  "an unterminated row description": async (c) => {
    await c.send(frame("T", new Uint8Array([0, 1, 65, 65, 65])));
    await c.message();
  },
  "a row description without its columns": async (c) => {
    await c.send(frame("T", new Uint8Array([255, 255])));
    await c.message();
  },
  "a row without a row description": async (c) => {
    await c.send(dataRow(["x"]));
    await c.message();
  },
  "a row with more columns": async (c) => {
    await c.send(description, dataRow(["x", "y"]));
    await c.message();
  },
  "a value longer than its row": async (c) => {
    await c.send(description, frame("D", new Uint8Array([0, 1, 0x7f, 255, 255, 255, 65])));
    await c.message();
  },
  "a value with a negative length": async (c) => {
    await c.send(description, frame("D", new Uint8Array([0, 1, 255, 255, 255, 0])));
    await c.message();
  },
  "another authentication request": async (c) => {
    await c.send(authentication(3));
    await c.message();
  },
  "an unsolicited COPY": async (c) => {
    await c.send(frame("G", new Uint8Array([0, 0, 0])));
    await c.message();
  },
  "the end of a query that was not sent": async (c) => {
    await c.send(commandComplete("SELECT 0"), ready, ready);
    await c.message();
  },
};

for (const [what, behave] of Object.entries(beforeLogin)) {
  Deno.test(`a server that sends ${what} during session startup is rejected`, async () => {
    match((await refusal(behave)).message, /was closed because the server violated the protocol/);
  });
}

for (const [what, behave] of Object.entries(inQuery)) {
  Deno.test(`a server that sends ${what} in a query is rejected`, async () => {
    const step: Step = async (connection) => {
      await connection.letIn();
      await connection.message();
      await behave(connection);
    };
    match((await refusal(step)).message, /was closed because the server violated the protocol/);
    if (what.startsWith("endless")) return; // slow
    const extended = (session: Session) => session.query("SELECT $1", ["x"], { extended: true });
    match(
      (await refusal(step, extended)).message,
      /was closed because the server violated the protocol/,
    );
  });
}

Deno.test("a server that sends endless rows in the first query of a session is rejected", async () => {
  await refusal(async (connection) => {
    await connection.startup();
    await connection.send(authentication(0), ready);
    await connection.message();
    await connection.send(description);
    await endless(connection, dataRow(["x".repeat(1_000)]));
  });
});

Deno.test("a server whose answer to the embedded pg_dump never ends is rejected", async () => {
  await refusal(async (connection) => {
    await connection.letIn();
    await connection.message();
    await connection.send(description, header("D", 0x3fff_ffff));
    await endless(connection, megabyte);
  }, (session) => session.exchange(new Uint8Array([0x51, 0, 0, 0, 6, 0x3b, 0]))).catch((error) => {
    // the limit of an answer is a gigabyte; nothing may fail before that
    match(String(error), /memory grew/);
  });
});

Deno.test("connect_timeout ends silence in every phase of session startup", async () => {
  const phases: readonly Step[] = [
    (c) => c.startup(),
    async (c) => {
      await c.startup();
      await c.send(authentication(10, "SCRAM-SHA-256\0\0"));
      await c.message();
    },
    async (c) => {
      await c.startup();
      await c.send(authentication(0), header("S", 100));
    },
    async (c) => {
      await c.startup();
      await c.send(authentication(0), ready);
      await c.message();
    },
  ];
  await Promise.all(phases.map(async (phase) => {
    await using server = new RogueServer(async (connection) => {
      await phase(connection);
      await connection.message().then(() => connection.message());
    });
    const endpoint = await resolveEndpoint(server.url("sslmode=disable&connect_timeout=2"), {
      side: "source",
    });
    const error = await openSession(endpoint).catch((error) => error);
    ok(error instanceof ConnectionError, String(error));
    match(error.message, /no answer within 2 s/);
  }));
});

const rogueCopies: Readonly<Record<string, Step>> = {
  "a row of 2 GB": async (c) => {
    await c.send(frame("H", new Uint8Array([0, 0, 0])), header("d", 2_000_000_000));
    await endless(c, megabyte);
  },
  "a row with a negative length": async (c) => {
    await c.send(frame("H", new Uint8Array([0, 0, 0])), header("d", -5));
    await endless(c, megabyte);
  },
  "an error of 1 GB": async (c) => {
    await c.send(header("E", 1_000_000_000));
    await endless(c, megabyte);
  },
  "endless notices": (c) => endless(c, fields("N", { S: "NOTICE", M: "x".repeat(1_000) })),
  "endless starts of a copy": (c) => endless(c, frame("H", new Uint8Array([0, 0, 0]))),
  "endless ends": (c) => endless(c, ready),
  "rows of a query": async (c) => {
    await c.send(description);
    await endless(c, dataRow(["x"]));
  },
  "an unknown message": (c) => endless(c, header("!", 4)),
};

for (const [what, behave] of Object.entries(rogueCopies)) {
  for (const side of ["source", "target"] as const) {
    Deno.test(`a ${side} that sends ${what} during COPY is rejected`, async () => {
      await using honest = new RogueServer(async (connection) => {
        await connection.letIn();
        await connection.message();
        if (side === "target") {
          await connection.send(
            frame("H", new Uint8Array([0, 0, 0])),
            frame("d", new Uint8Array(9)),
          );
        }
        for (;;) await connection.message();
      });
      await refusal(async (connection) => {
        await connection.letIn();
        await connection.message();
        await behave(connection);
      }, async (rogue) => {
        const endpoint = await resolveEndpoint(honest.url(), { side: "target" });
        const other = await openSession(endpoint);
        const jobs = [{
          name: "t",
          copyOut: "COPY t TO STDOUT",
          copyIn: "COPY t FROM STDIN",
          expectedBytes: 1,
        }];
        const options = { next: () => jobs.shift(), onFinished: () => {} };
        await (side === "source"
          ? relayCopies(rogue, other, options)
          : relayCopies(other, rogue, options));
      });
    });
  }
}

Deno.test("large valid messages arrive: an error of megabytes, and many notices", async () => {
  await using server = new RogueServer(async (connection) => {
    await connection.letIn();
    await connection.message();
    for (let n = 0; n < 100; n++) await connection.send(frame("N", megabyte));
    await connection.send(description, dataRow(["x"]), commandComplete("SELECT 1"), ready);
    await connection.message();
    await connection.send(fields("E", { S: "ERROR", C: "P0001", M: "m".repeat(5_000_000) }), ready);
    await connection.message();
  });
  await using session = await openSession(
    await resolveEndpoint(server.url(), { side: "source" }),
  );
  deepStrictEqual(await session.query("SELECT 1"), [{ a: "x" }]);
  const error = await session.query("SELECT 1").catch((error) => error);
  ok(error.message.length > 5_000_000);
});
