import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { Redactor } from "../../../lib/remote/worker/redactor.ts";

const redactor = new Redactor({
  urls: ["postgresql://u:p%3Bss%26word@host/db", "postgresql://u@h/db?password=query-secret"],
  predicates: ["email = 'o''neil@example.com' AND tenant = 42", "name LIKE '%planted%'"],
});

Deno.test("passwords are redacted, in plain and encoded form", () => {
  strictEqual(redactor.text("p;ss&word, p%3Bss%26word, query-secret"), "***, ***, ***");
  strictEqual(redactor.text("connect to postgresql://u:p%3Bss%26word@host/db"), "connect to ***");
  strictEqual(redactor.text("postgresql://u:other@host/db"), "postgresql://u:***@host/db");
});

Deno.test("conditions are redacted, and so are values in them that servers quote", () => {
  strictEqual(
    redactor.text("rows with (email = 'o''neil@example.com' AND tenant = 42)"),
    "rows with (***)",
  );
  strictEqual(
    redactor.text(`invalid input syntax for type uuid: "o'neil@example.com"`),
    'invalid input syntax for type uuid: "***"',
  );
  strictEqual(redactor.text("no match for planted"), "no match for ***");
});

Deno.test("plain data is redacted at every level; numbers and structure are kept", () => {
  deepStrictEqual(
    redactor.value({ a: [{ "query-secret": 1, b: "x query-secret" }], c: null, d: 42 }),
    { a: [{ "***": 1, b: "x ***" }], c: null, d: 42 },
  );
});
