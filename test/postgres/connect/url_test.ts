import { deepStrictEqual, match, ok } from "node:assert/strict";
import fc from "fast-check";
import { parseUrl, type UrlParts } from "../../../lib/postgres/connect/url.ts";

const parts = (url: string): UrlParts => {
  const parsed = parseUrl(url, "--source");
  ok(parsed.parts !== undefined, parsed.problems.map(({ message }) => message).join("; "));
  return parsed.parts;
};
const problems = (url: string): string =>
  parseUrl(url, "--source").problems.map(({ message }) => message).join("; ");

Deno.test("parseUrl() accepts what libpq accepts", () => {
  deepStrictEqual(parts("postgresql://"), { hosts: [], parameters: {} });
  deepStrictEqual(parts("postgres://localhost"), {
    hosts: [{ host: "localhost" }],
    parameters: {},
  });
  deepStrictEqual(
    parts("postgresql://u:p%40ss@h:5433/my%20db?sslmode=require&application_name=a%26b"),
    {
      hosts: [{ host: "h", port: 5433 }],
      user: "u",
      password: "p@ss",
      database: "my db",
      parameters: { sslmode: "require", application_name: "a&b" },
    },
  );
  deepStrictEqual(parts("postgresql://[2001:db8::1]:5432,other:5433/db").hosts, [
    { host: "2001:db8::1", port: 5432 },
    { host: "other", port: 5433 },
  ]);
  deepStrictEqual(parts("postgresql://%2Fvar%2Frun%2Fpostgresql/db").hosts, [{
    host: "/var/run/postgresql",
  }]);
  deepStrictEqual(parts("postgresql:///db?host=/tmp&port=5444").parameters, {
    host: "/tmp",
    port: "5444",
  });
  deepStrictEqual(parts("postgresql://u@h/db?ssl=true").parameters, { sslmode: "require" });
  deepStrictEqual(parts("postgresql://u:a:b@h/").password, "a:b");
});

Deno.test("parseUrl() preserves every valid user, password and database", () => {
  const text = fc.string({ unit: "binary", minLength: 1 }).filter((value) =>
    !value.includes("\0") && value.isWellFormed()
  );
  fc.assert(fc.property(text, text, text, (user, password, database) => {
    const url = `postgresql://${[user, password].map(encodeURIComponent).join(":")}@h/${
      encodeURIComponent(database)
    }`;
    const read = parts(url);
    deepStrictEqual([read.user, read.password, read.database], [user, password, database]);
  }));
});

Deno.test("parseUrl() reports what is wrong and how to fix it", () => {
  match(problems("mysql://h/db"), /begins with "mysql:\/\/"/);
  match(problems("h/db"), /must begin with "postgresql:\/\/"/);
  match(problems(""), /is empty/);
  match(problems("postgresql://host/db; DROP TABLE users;"), /space or control character/);
  match(problems("postgresql://u:sec@ret@h/db"), /more than one "@".*%40/);
  match(problems("postgresql://u:sec/ret@h/db"), /"\/" or "\?" in the password/);
  match(problems("postgresql://u:sec?ret@h/db"), /"@" after the "\?".*%3F/);
  match(problems("postgresql://u@h:70000/db"), /a port is not a number/);
  match(problems("postgresql://u@h:54x/db"), /a port is not a number/);
  match(
    problems("postgresql://u@h/db?a=1&sslmod=require"),
    /unknown parameter, the 2nd after the "\?"; did you mean sslmode/,
  );
  match(problems("postgresql://u@h/100%"), /%25/);
  match(problems("postgresql://u@h/db?pgbouncer=true"), /pgbouncer: .*Prisma/);
  match(problems("postgresql://u@h/db?service=x"), /service files/);
  match(problems("postgresql://u@h/db?valueOf=x"), /unknown parameter, the 1st after the "\?"/);
  match(problems("postgresql://u@2001:db8::1/db"), /port|brackets/);
});

/** Whether a message contains four or more consecutive characters of a secret. */
function shows(message: string, secret: string): boolean {
  // punctuation that messages contain anyway, as in: more than one "@"
  const text = message.replaceAll(/"[@?/:]"|%[0-9A-F]{2}/g, "…");
  for (let at = 0; at + 4 <= secret.length; at++) {
    if (text.includes(secret.slice(at, at + 4))) return true;
  }
  return false;
}

Deno.test("no message about a malformed URL contains any part of its password", () => {
  // none of the parts occurs in the messages themselves, which is why there are no double quotes
  const piece = fc.stringMatching(/^[QXZ0-9~?#/@:[\]%&=+ ,;!'\\é]{1,30}$/);
  const before = fc.constantFrom(
    "postgresql://app:",
    "postgresql://",
    "postgres://app:x@y:",
    "host=h password=",
    "postgresql://h/db?password=",
    "postgresql://app@h/db?sslpassword=1&passwd=",
    "postgresql://h/db?options=",
    "postgresql://app@",
    "postgresql://app@[",
    "postgresql://app@h:",
    "mysql://app:",
    "app:",
    "",
  );
  const after = fc.constantFrom(
    "@h/db",
    "@h:5432/db?sslmode=require",
    "@h:x/db?nonsense=1",
    "@h",
    "@",
    "",
    "&sslmode=nonsense&channel_binding=x",
    "]/db?require_auth=nonsense",
  );
  fc.assert(
    fc.property(before, piece, after, (before, secret, after) => {
      const text = problems(before + secret + after);
      ok(!shows(text, secret), `${before}${secret}${after}: ${text}`);
    }),
    { numRuns: 20_000 },
  );
});

Deno.test("parseUrl() reports several problems at once", () => {
  const { problems } = parseUrl("postgresql://u@h:0/db?nonsense=1&sslcrl=x", "--target");
  deepStrictEqual(problems.map(({ path }) => path), ["--target", "--target", "--target"]);
});
