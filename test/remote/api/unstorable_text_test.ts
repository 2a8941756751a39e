import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { hasUnstorableText, unstorableText } from "../../../lib/remote/api/unstorable_text.ts";

Deno.test("finds strings and keys with NUL or an unpaired surrogate, with their paths", () => {
  const places = (document: unknown) => unstorableText(document).map(({ path }) => path);
  deepStrictEqual(places({ a: "x\0", b: ["ok", "\ud800"], c: { d: "\udc00x" } }), [
    "a",
    "b[1]",
    "c.d",
  ]);
  deepStrictEqual(places({ a: { "k\0": "\0" } }), ["a", "a.?"]);
  deepStrictEqual(places("\0"), ["body"]);
  deepStrictEqual(places(JSON.parse('{"__proto__": "\\u0000"}')), ["__proto__"]);
  deepStrictEqual(places({ a: "naïve 😀", n: 1, b: [true, null] }), []);
});

Deno.test("a document nested too deeply for the stack is reported as one problem", () => {
  let document: unknown = "\0";
  for (let i = 0; i < 100_000; i++) document = [document];
  deepStrictEqual(unstorableText(document).map(({ path }) => path), ["body"]);
});

Deno.test("a URL whose path or query does not decode to storable text is found", () => {
  const is = (path: string) => hasUnstorableText(new URL(path, "http://localhost"));
  for (const bad of ["/v1/%00", "/a?b=%00", "/a?%00=b", "/a?b=%ED%A0%80", "/%ff", "/a?b=%zz"]) {
    strictEqual(is(bad), true, bad);
  }
  for (const good of ["/v1/jobs", "/a?b=%C3%A9+%26", "/a?b=%F0%9F%98%80", "/?x=%20"]) {
    strictEqual(is(good), false, good);
  }
});
