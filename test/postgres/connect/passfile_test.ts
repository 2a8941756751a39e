import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import { Secret } from "../../../lib/core/internal.ts";
import {
  findPassword,
  formatPassfileEntry,
  parsePassfile,
} from "../../../lib/postgres/connect/passfile.ts";

const key = { host: "h", port: 5432, database: "db", user: "u" };

Deno.test("findPassword() returns the first matching entry, like libpq", () => {
  const entries = parsePassfile(
    "# comment\nother:5432:db:u:no\nh:*:*:u:first\n*:*:*:*:second\nbroken\n",
  );
  strictEqual(findPassword(entries, key)?.reveal(), "first");
  strictEqual(findPassword(entries, { ...key, user: "x" })?.reveal(), "second");
  strictEqual(findPassword(parsePassfile("h:5433:db:u:p"), key), undefined);
});

Deno.test("findPassword() finds the entry of a Unix socket by localhost", () => {
  strictEqual(
    findPassword(parsePassfile("localhost:*:*:*:p"), { ...key, host: "/var/run/postgresql" })
      ?.reveal(),
    "p",
  );
});

Deno.test("parsePassfile() reads what formatPassfileEntry() writes, for any password", () => {
  const text = fc.string({ minLength: 1 }).filter((value) => !/[\r\n]/.test(value));
  fc.assert(fc.property(text, text, (user, password) => {
    const line = formatPassfileEntry({
      host: "*",
      port: "*",
      database: "*",
      user,
      password: new Secret(password),
    });
    const [entry] = parsePassfile(`${line}\n`);
    deepStrictEqual([entry?.user, entry?.password.reveal()], [user, password]);
  }));
});

Deno.test("formatPassfileEntry() rejects a password that libpq cannot read back", () => {
  throws(() =>
    formatPassfileEntry({
      host: "*",
      port: "*",
      database: "*",
      user: "u",
      password: new Secret("a\nb"),
    })
  );
});
