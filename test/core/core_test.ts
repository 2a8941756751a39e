import { deepStrictEqual, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { runConcurrently } from "../../lib/core/concurrency.ts";
import { describeError, ReplicatorError } from "../../lib/core/errors.ts";
import { displayName, quoteIdentifier, quoteLiteral } from "../../lib/core/identifiers.ts";
import { formatBytes, formatDuration, parseBytes } from "../../lib/core/quantities.ts";
import { redact, Secret } from "../../lib/core/secret.ts";
import { suggest } from "../../lib/core/suggestion.ts";

Deno.test("quoteIdentifier() and quoteLiteral() handle every valid character", () => {
  strictEqual(quoteIdentifier('we"ird'), '"we""ird"');
  strictEqual(quoteLiteral("it's"), "'it''s'");
  strictEqual(quoteLiteral("a\\b"), " E'a\\\\b'");
  throws(() => quoteIdentifier("a\0b"));
  throws(() => quoteIdentifier(""));
});

Deno.test("displayName() quotes only where it would be ambiguous", () => {
  strictEqual(displayName({ schema: "public", name: "orders" }), "orders");
  strictEqual(displayName({ schema: "Sales", name: "my table" }), '"Sales"."my table"');
});

Deno.test("formatBytes() and parseBytes() use PostgreSQL's units", () => {
  strictEqual(formatBytes(1536), "1.50 kB");
  strictEqual(formatBytes(0), "0 B");
  strictEqual(parseBytes("512MB"), 512 * 1024 ** 2);
  strictEqual(parseBytes("1.5 GiB"), 1.5 * 1024 ** 3);
  strictEqual(parseBytes("12"), 12);
  strictEqual(parseBytes("twelve"), undefined);
});

Deno.test("formatDuration() reads well at every scale", () => {
  deepStrictEqual([12, 1500, 65_000, 3_900_000, 180_000_000].map(formatDuration), [
    "12 ms",
    "1.5 s",
    "1 min 05 s",
    "1 h 05 min",
    "2 d 02 h",
  ]);
});

Deno.test("Secret never shows its value", () => {
  const secret = new Secret("hunter2");
  for (const text of [`${secret}`, JSON.stringify({ secret }), Deno.inspect({ secret })]) {
    ok(!text.includes("hunter2"), text);
  }
});

Deno.test("redact() removes passwords from URLs, parameters and statements", () => {
  for (
    const text of [
      "postgresql://u:hunter2@h/db",
      "postgresql://u:p@hunter2@h/db",
      "postgresql://u:p/hunter2@h/db",
      "postgresql://u:p?x#hunter2@h/db?sslmode=require",
      "host=h password='hunter2' user=u",
      "https://h/?password=hunter2&x=1",
      "ALTER ROLE u PASSWORD 'hunter2'",
      "ALTER ROLE u PASSWORD 'cut off, hunter2",
      // as in a dump with --quote-all-identifiers
      `CREATE SERVER "s" FOREIGN DATA WRAPPER "f" OPTIONS (\n    "sslpassword" 'hunter2'\n);`,
      `CREATE USER MAPPING FOR "u" SERVER "s" OPTIONS (\n    "user" 'x',\n    "secret_key" 'it''s hunter2'\n);`,
      "CREATE SUBSCRIPTION s CONNECTION 'host=h password=''a hunter2'' user=u' PUBLICATION p",
    ]
  ) ok(!redact(text).includes("hunter2"), redact(text));
});

Deno.test("describeError() says where, what, why and what to do", () => {
  deepStrictEqual(
    describeError(
      new ReplicatorError("it broke", {
        side: "target",
        object: "table t",
        details: ["because"],
        remedy: "mend it",
      }),
    ),
    ["target, table t: it broke", "  because", "  → mend it"],
  );
});

Deno.test("suggest() returns close candidates, closest first", () => {
  deepStrictEqual(suggest("--sorce", ["--source", "--target", "--jobs"]), ["--source"]);
  deepStrictEqual(suggest("zebra", ["--source"]), []);
});

Deno.test("runConcurrently() ends all work at the first failure and waits for it", async () => {
  const ended: number[] = [];
  await rejects(
    runConcurrently([1, 2, 3, 4], async (item, signal) => {
      if (item === 1) throw new Error("first");
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        else signal.addEventListener("abort", () => resolve());
      });
      ended.push(item);
    }, { limit: 2 }),
    /first/,
  );
  deepStrictEqual(ended, [2]);
});
