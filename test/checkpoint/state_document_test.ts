import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert/strict";
import { ReplicatorError } from "../../lib/core/internal.ts";
import { resolveEndpoint } from "../../lib/postgres/internal.ts";
import { FileCheckpointStore } from "../../lib/checkpoint/file_store.ts";
import { digestEnds, operationOf } from "../../lib/checkpoint/operation.ts";
import {
  readStateDocument,
  type StateDocument,
  writeStateDocument,
} from "../../lib/checkpoint/state_document.ts";

const ends = { source: "a", target: "b" };
const document: StateDocument = {
  format: 1,
  tool: "0.1.0",
  operation: "o",
  ends,
  run: "r",
  startedAt: "2026-01-01T00:00:00.000Z",
  scope: { databases: { app: "app" }, fingerprint: "f", now: "2026-01-01", sync: false },
  dropExisting: false,
  databases: [{ source: "app", target: "app", state: "begun" }],
  memberships: [],
  finished: false,
};
const options = { operation: "o", ends, place: "folder/o.json" };

Deno.test("a state document is read back as written", () => {
  deepStrictEqual(readStateDocument(writeStateDocument(document), options), document);
});

Deno.test("readStateDocument() reports what is wrong with a document, with a remedy", () => {
  const refusals: readonly (readonly [string, RegExp])[] = [
    ["", /is empty/],
    [writeStateDocument(document).slice(0, 100), /damaged: it is not valid JSON/],
    ["[]", /no format number/],
    [JSON.stringify({ ...document, format: 0 }), /older version.*format 0.*version 0\.1\.0/],
    [JSON.stringify({ ...document, format: 2 }), /newer version.*format 2/],
    [
      JSON.stringify({ ...document, run: 1, databases: undefined }),
      /"run" is invalid, "databases" is missing/,
    ],
    [JSON.stringify({ ...document, databases: [{ source: "app" }] }), /"databases" is invalid/],
    [JSON.stringify({ ...document, ends: { source: "x", target: "b" } }), /another source/],
    [JSON.stringify({ ...document, ends: { source: "a", target: "x" } }), /another target/],
    [JSON.stringify({ ...document, ends: { source: "x", target: "x" } }), /other servers/],
    [JSON.stringify({ ...document, operation: "p" }), /another operation/],
  ];
  for (const [text, message] of refusals) {
    throws(() => readStateDocument(text, options), (error) => {
      ok(error instanceof ReplicatorError);
      match(error.message, message);
      strictEqual(error.object, options.place);
      ok(error.remedy);
      return true;
    });
  }
});

Deno.test("an operation is identified by its ends, without passwords", async () => {
  const operation = async (source: string, target: string) =>
    await operationOf(
      await digestEnds({
        source: await resolveEndpoint(source, { side: "source" }),
        target: await resolveEndpoint(target, { side: "target" }),
      }),
    );
  const first = await operation("postgresql://u:one@a/db", "postgresql://u:two@b/db");
  match(first, /^[0-9a-f]{32}$/);
  strictEqual(
    await operation("postgresql://u:new@A:5432/db", "postgresql://u@b/db?sslmode=require"),
    first,
  );
  for (
    const source of [
      "postgresql://u@b/db",
      "postgresql://v@a/db",
      "postgresql://u@a/other",
      "postgresql://u@a:5433/db",
    ]
  ) {
    ok(await operation(source, "postgresql://u@b/db") !== first);
  }
});

Deno.test("FileCheckpointStore writes, replaces and removes a text that only its owner can read", async () => {
  const folder = await Deno.makeTempDir({ prefix: "psr-checkpoint-" });
  try {
    const store = new FileCheckpointStore("0123", `${folder}/new`);
    strictEqual(await store.read(), undefined);
    await store.remove();
    await store.write("one");
    await store.write("two");
    strictEqual(await store.read(), "two");
    strictEqual((await Deno.stat(store.place)).mode! & 0o777, 0o600);
    strictEqual([...Deno.readDirSync(`${folder}/new`)].length, 1);
    await store.remove();
    strictEqual(await store.read(), undefined);
    deepStrictEqual([...Deno.readDirSync(folder)], []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
