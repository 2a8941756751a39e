import { deepStrictEqual, rejects, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import { resolveEndpoint } from "../../../lib/postgres/internal.ts";
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

/** The endpoint of a URL whose password file and key have these permissions. */
async function resolveWith(mode: number, uid = 1000) {
  const warnings: string[] = [];
  const endpoint = await resolveEndpoint(
    "postgresql://u@h/db?passfile=/home/u/pass&sslcert=/c.crt&sslkey=/c.key",
    {
      side: "source",
      resolveEnvironment: {
        environment: {},
        readFile: (path) => Promise.resolve(path === "/home/u/pass" ? "*:*:*:*:secret" : "PEM"),
        permissionsOf: (path) =>
          Promise.resolve({
            mode: 0o100_000 | (path === "/home/u/pass" ? mode : mode & 0o740),
            uid,
          }),
        warn: (message) => warnings.push(message),
      },
    },
  );
  return { endpoint, warnings };
}

Deno.test("a password file that others can read is ignored with psql's warning", async () => {
  for (const mode of [0o644, 0o640, 0o604, 0o620, 0o601]) {
    const { endpoint, warnings } = await resolveWith(mode, 0);
    deepStrictEqual(endpoint.passfile, []);
    deepStrictEqual(warnings, [
      'password file "/home/u/pass" has group or world access and is ignored; permissions should be u=rw (0600) or less',
    ]);
  }
  for (const mode of [0o600, 0o400]) {
    const { endpoint, warnings } = await resolveWith(mode);
    strictEqual(endpoint.passfile[0]?.password.reveal(), "secret");
    deepStrictEqual(warnings, []);
  }
});

Deno.test("a private key that others can read is refused; one of root may be readable by its group", async () => {
  await rejects(resolveWith(0o640), /private key file "\/c\.key" has group or world access/);
  await resolveWith(0o640, 0);
});
