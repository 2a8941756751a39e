/** A walsender that is not one: nothing of what it sends may fill memory or be applied. */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { applySchemaStatements } from "../../lib/replication/client/apply_schema.ts";
import { applyChanges } from "../../lib/apply/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import { createDatabase } from "../support/databases.ts";
import { endpointOf } from "../support/init.ts";
import {
  commandComplete,
  dataRow,
  frame,
  header,
  ready,
  type RogueConnection,
  RogueServer,
  rowDescription,
} from "../support/rogue_server.ts";
import { exec, query } from "../support/sql.ts";

const current = await sharedCluster(18);
const encoder = new TextEncoder();
const name = "seren_rogue";

type Part = number | string | bigint | Uint8Array | { readonly int32: number } | {
  readonly int16: number;
};

/** Bytes: a number is one byte, a bigint eight, a string ends with a zero byte. */
function bytes(...parts: readonly Part[]): Uint8Array {
  const pieces = parts.map((part): Uint8Array => {
    if (part instanceof Uint8Array) return part;
    if (typeof part === "number") return new Uint8Array([part]);
    if (typeof part === "string") return encoder.encode(`${part}\0`);
    const view = new DataView(new ArrayBuffer(8));
    if (typeof part === "bigint") {
      view.setBigUint64(0, part);
      return new Uint8Array(view.buffer);
    }
    if ("int32" in part) {
      view.setUint32(0, part.int32);
      return new Uint8Array(view.buffer, 0, 4);
    }
    view.setUint16(0, part.int16);
    return new Uint8Array(view.buffer, 0, 2);
  });
  const joined = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}

const letter = (text: string) => text.charCodeAt(0);

/** XLogData. */
const data = (payload: Uint8Array) => frame("d", bytes(letter("w"), 0n, 0n, 0n, payload));

const begin = (lsn: bigint) => data(bytes(letter("B"), lsn, 0n, { int32: 7 }));
const commit = (lsn: bigint, end = lsn + 8n) => data(bytes(letter("C"), 0, lsn, end, 0n));

const relation = (columns: readonly string[], { oid = 1, table = "a" } = {}) =>
  data(bytes(
    letter("R"),
    { int32: oid },
    "public",
    table,
    letter("d"),
    { int16: columns.length },
    ...columns.flatMap((
      column,
      at,
    ): Part[] => [at === 0 ? 1 : 0, column, { int32: 23 }, { int32: -1 }]),
  ));

const value = (text: string) => {
  const encoded = encoder.encode(text);
  return bytes(letter("t"), { int32: encoded.length }, encoded);
};

const insert = (values: readonly string[], { oid = 1 } = {}) =>
  data(bytes(
    letter("I"),
    { int32: oid },
    letter("N"),
    { int16: values.length },
    ...values.map(value),
  ));

/** Answers what the applier asks, then starts to stream. */
async function stream(connection: RogueConnection): Promise<void> {
  await connection.letIn();
  for (;;) {
    const { type, body } = await connection.message();
    if (type !== "Q") continue;
    const sql = new TextDecoder().decode(body);
    if (sql.includes("START_REPLICATION")) break;
    const row = Object.entries(
      sql.includes("confirmed_flush_lsn")
        ? { found: name, lsn: "0/10", decodable: "0/1000", wal_end: "0/1000" }
        : sql.includes("pg_publication")
        ? { oid: "0" }
        : { encoding: "UTF8" },
    );
    await connection.send(
      rowDescription(row.map(([column]) => [column, column === "oid" ? 26 : 25])),
      dataRow(row.map(([, text]) => text)),
      commandComplete("SELECT 1"),
      ready,
    );
  }
  await connection.send(frame("W", new Uint8Array(3)));
}

/** Applies what a server sends to a table with the columns `id` and `v`. */
async function applying(
  send: (connection: RogueConnection) => Promise<void>,
  use: (place: { readonly url: string; readonly ended: Promise<void> }) => Promise<void>,
): Promise<void> {
  await using target = await createDatabase(
    current,
    "CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY)",
  );
  await exec(target.url, `BEGIN; ${applySchemaStatements.join(";\n")}; COMMIT`);
  await exec(
    target.url,
    `INSERT INTO seren_apply.stream (name, enabled, comment, slot_name, end_lsn)
       VALUES ('${name}', true, '{}', '${name}', '0/100');
     INSERT INTO seren_apply.stream_table VALUES ('${name}', 'public', 'a'), ('${name}', 'public', 'b')`,
  );
  await using server = new RogueServer(async (connection) => {
    await stream(connection);
    await send(connection);
    // until the client closes the connection
    for (;;) await connection.message();
  });
  const end = new AbortController();
  const ended = applyChanges({
    source: await endpointOf(server.url(), "source"),
    target: await endpointOf(target.url, "target"),
    name,
    signal: end.signal,
    events: () => {},
  });
  ended.catch(() => {});
  try {
    await use({ url: target.url, ended });
  } finally {
    end.abort();
    await ended.catch(() => {});
  }
}

const row = [relation(["id", "v"]), insert(["1", "x"])];
const violations: readonly {
  readonly what: string;
  readonly sends: readonly Uint8Array[];
  readonly says: RegExp;
  /** Rows that are on the target: those of complete transactions before it. */
  readonly rows?: number;
}[] = [
  {
    what: "a frame of more than 1 GB",
    sends: [begin(0x200n), header("d", 0x7fff_ffff)],
    says: /announced a message of type "d" with a length of/,
  },
  { what: "a frame of an unknown type", sends: [header("y", 100)], says: /unknown type "y"/ },
  {
    what: "a message of SQL in the stream",
    sends: [begin(0x200n), ...row, commandComplete("COMMIT")],
    says: /ended the stream of changes/,
  },
  {
    what: "an unknown kind of change",
    sends: [begin(0x200n), ...row, data(bytes(letter("S"), { int32: 1 }, 1))],
    says: /a change of an unknown kind, "S"/,
  },
  {
    what: "a message that is shorter than its header",
    sends: [frame("d", bytes(letter("w"), 0n))],
    says: /malformed message/,
  },
  {
    what: "a value that is longer than its message",
    sends: [
      begin(0x200n),
      relation(["id", "v"]),
      data(bytes(letter("I"), { int32: 1 }, letter("N"), { int16: 2 }, letter("t"), {
        int32: 0x3fff_ffff,
      }, 1)),
    ],
    says: /malformed change/,
  },
  {
    what: "bytes after a change",
    sends: [
      begin(0x200n),
      relation(["id"]),
      data(bytes(letter("I"), { int32: 1 }, letter("N"), { int16: 1 }, value("1"), 0)),
    ],
    says: /malformed change/,
  },
  {
    what: "a table whose columns change between its changes, without a description",
    sends: [begin(0x200n), ...row, insert(["2"]), commit(0x200n)],
    says: /malformed change/,
  },
  {
    what: "a change of a table that was not described",
    sends: [begin(0x200n), insert(["1", "x"], { oid: 9 })],
    says: /had not described, 9/,
  },
  {
    what: "a name without an end",
    sends: [data(bytes(letter("R"), { int32: 1 }, encoder.encode("p".repeat(100_000))))],
    says: /malformed change/,
  },
  {
    what: "a name of 100,000 bytes",
    sends: [relation(["c".repeat(100_000)])],
    says: /malformed change/,
  },
  {
    what: "a TRUNCATE of more tables than its message has",
    sends: [
      begin(0x200n),
      relation(["id"]),
      data(bytes(letter("T"), { int32: 0xffff_ffff }, 0, { int32: 1 })),
    ],
    says: /malformed change/,
  },
  {
    what: "a change outside a transaction",
    sends: row,
    says: /a change outside a transaction/,
  },
  {
    what: "a transaction within another",
    sends: [begin(0x200n), ...row, begin(0x300n)],
    says: /began a transaction within another/,
  },
  {
    what: "a commit of another transaction",
    sends: [begin(0x200n), ...row, commit(0x300n)],
    says: /committed another transaction/,
  },
  {
    what: "a commit that ends before it begins",
    sends: [begin(0x200n), ...row, commit(0x200n, 0x1f0n)],
    says: /committed another transaction/,
  },
  {
    what: "a transaction that commits before the previous one",
    sends: [
      begin(0x300n),
      ...row,
      commit(0x300n),
      begin(0x280n),
      insert(["2", "y"]),
      commit(0x280n),
    ],
    says: /commits at 0\/280 after 0\/308/,
    rows: 1,
  },
];

for (const { what, sends, says, rows = 0 } of violations) {
  Deno.test(`${what} ends the stream, and nothing of its transaction is applied`, async () => {
    await applying(async (connection) => {
      await connection.send(...sends);
    }, async ({ url, ended }) => {
      const isRetried = /ended the stream/.test(String(says));
      if (!isRetried) await rejects(ended, says);
      else await new Promise((resolve) => setTimeout(resolve, 500));
      const [row] = await query(url, "SELECT count(*)::int AS n FROM a");
      ok(Number(row!["n"]) <= rows, "rows of an incomplete transaction");
      const [record] = await query(
        url,
        "SELECT end_lsn <= '0/308' AS ok, error FROM seren_apply.stream",
      );
      deepStrictEqual({ ...record }, { ok: true, error: null });
    });
  });
}

Deno.test("a table that becomes another one between two changes is written under its last description", async () => {
  await applying(async (connection) => {
    await connection.send(
      begin(0x200n),
      ...row,
      relation(["id"], { table: "b" }),
      insert(["7"]),
      commit(0x200n),
      // applied already, and sent again
      begin(0x200n),
      relation(["id", "v"]),
      insert(["2", "y"]),
      commit(0x200n),
    );
  }, async ({ url, ended }) => {
    await rejects(ended, /commits at 0\/200 after 0\/208/);
    deepStrictEqual(await query(url, "SELECT id FROM a WHERE id = 2"), []);
    const found = await query(
      url,
      "SELECT (SELECT count(*) FROM a)::int AS a, (SELECT count(*) FROM b)::int AS b",
    );
    ok(found[0]!["a"] === found[0]!["b"]);
  });
});

Deno.test("an endless transaction, descriptions without end and old positions fill no memory, and nothing is committed", async () => {
  const wide = insert(["1", "x".repeat(100_000)]);
  const before = Deno.memoryUsage().rss;
  let sent = 0;
  await applying(async (connection) => {
    await connection.send(begin(0x200n), relation(["id", "v"]));
    for (let id = 0; sent < 300_000_000; id++) {
      const next = insert([String(id), "x".repeat(100_000)]);
      sent += wide.length;
      await connection.send(next);
      if (id % 100 === 0) {
        await connection.send(
          frame("d", bytes(letter("k"), 0x10n, 0n, 0)),
          relation(Array.from({ length: 1_600 }, (_, at) => `c${at}`), { oid: 100 + id }),
        );
      }
    }
  }, async ({ url, ended }) => {
    while (sent < 300_000_000) {
      await Promise.race([new Promise((resolve) => setTimeout(resolve, 50)), ended]);
    }
    const grown = (Deno.memoryUsage().rss - before) / 1024 / 1024;
    ok(grown < 300, `${Math.round(grown)} MB`);
    const [row] = await query(url, "SELECT count(*)::int AS n FROM a");
    strictEqual(row!["n"], 0);
    const [record] = await query(url, "SELECT end_lsn::text AS lsn FROM seren_apply.stream");
    match(String(record!["lsn"]), /^0\/100$/);
  });
});
