import { deepStrictEqual, match, ok } from "node:assert/strict";
import fc from "fast-check";
import { parseUrl, type UrlParts } from "./url.ts";

const parts = (url: string): UrlParts => {
  const parsed = parseUrl(url, "--source");
  ok(parsed.parts !== undefined, parsed.problems.map(({ message }) => message).join("; "));
  return parsed.parts;
};
const problems = (url: string): string =>
  parseUrl(url, "--source").problems.map(({ message }) => message).join("; ");

Deno.test("parseUrl() reads what libpq reads", () => {
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

Deno.test("parseUrl() keeps every legal user, password and database", () => {
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

Deno.test("parseUrl() says what is wrong and how to write it, and never shows a password", () => {
  match(problems("mysql://h/db"), /begins with "mysql:\/\/"/);
  match(problems("h/db"), /must begin with "postgresql:\/\/"/);
  match(problems(""), /is empty/);
  match(problems("postgresql://host/db; DROP TABLE users;"), /space or control character/);
  match(problems("postgresql://u:sec@ret@h/db"), /more than one "@".*%40/);
  match(problems("postgresql://u:sec/ret@h/db"), /"\/" or "\?" in the password/);
  match(problems("postgresql://u@h:70000/db"), /port "70000"/);
  match(problems("postgresql://u@h:54x/db"), /port "54x"/);
  match(
    problems("postgresql://u@h/db?sslmod=require"),
    /unknown parameter "sslmod"; did you mean sslmode/,
  );
  match(problems("postgresql://u@h/100%"), /%25/);
  match(problems("postgresql://u@h/db?pgbouncer=true"), /Prisma/);
  match(problems("postgresql://u@h/db?service=x"), /service files/);
  match(problems("postgresql://u@h/db?valueOf=x"), /unknown parameter "valueOf"/);
  match(problems("postgresql://u@2001:db8::1/db"), /port|brackets/);
  for (
    const url of [
      "postgresql://u:s3cret@x@h/db",
      "postgresql://u:s3cret @h/db",
      "postgresql://u:s3cret@h:x/?a=b",
    ]
  ) {
    ok(!problems(url).includes("s3cret"), url);
  }
});

Deno.test("parseUrl() tells several problems at once", () => {
  const { problems } = parseUrl("postgresql://u@h:0/db?nonsense=1&sslcrl=x", "--target");
  deepStrictEqual(problems.map(({ path }) => path), ["--target", "--target", "--target"]);
});
