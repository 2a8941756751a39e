import { type CorpusEntry, literal, quote } from "./entry.ts";

/** Valid identifiers that break tools. None is longer than 63 bytes. */
export const NASTY_NAMES: readonly string[] = [
  "sp ace",
  "UPPER Mixed",
  'quo"te',
  '"',
  "apo'strophe",
  "dot.ted",
  "back\\slash",
  "\\.",
  "per%cent %s %I",
  "new\nline",
  "carriage\rreturn",
  "tab\there",
  "select",
  "user",
  "ünïcödé 表 ß",
  "emoji 🐘",
  "x23456789_123456789_123456789_123456789_123456789_123456789_123",
  // 63 bytes, but fewer characters.
  "ä".repeat(31) + "x",
  "$dollar$",
  "$1",
  "-- comment",
  "/* comment",
  "a,b;c",
  "(paren) [bracket] {brace}",
  " leading",
  "trailing ",
  "1digit",
  "*",
  "=",
  "r",
  "oid",
  "-Fd",
];

/**
 * Every nasty name as a schema, and in it as a table, column, key, index, check, type, sequence,
 * function, trigger, view and policy.
 */
export const names: CorpusEntry = {
  name: "names",
  minMajor: 12,
  sql: NASTY_NAMES.map(objectsNamed).join("\n"),
};

function objectsNamed(name: string, index: number): string {
  // Tables, indexes, sequences and types of one schema share their names.
  const [n, type, key, indexName, sequence] = ["", "!", "^", "?", "+"]
    .map((mark) => quote(marked(name, mark))) as [string, string, string, string, string];
  const schema = name === "oid" ? quote("oid schema") : n;
  return `
CREATE SCHEMA ${schema};
CREATE TYPE ${schema}.${type} AS ENUM (${literal(name)}, 'other');
CREATE TABLE ${schema}.${n} (
  ${n} integer NOT NULL DEFAULT ${index},
  ${type} ${schema}.${type} DEFAULT ${literal(name)},
  plain text DEFAULT ${literal(name)},
  CONSTRAINT ${key} PRIMARY KEY (${n}),
  CONSTRAINT ${type} CHECK (${n} >= 0 AND plain <> '')
);
INSERT INTO ${schema}.${n} (${n}) VALUES (1), (2), (3);
CREATE INDEX ${indexName} ON ${schema}.${n} (${type}, ${n} DESC) WHERE plain <> ${literal(name)};
CREATE SEQUENCE ${schema}.${sequence} OWNED BY ${schema}.${n}.${n};
SELECT setval('${`${schema}.${sequence}`.replaceAll("'", "''")}', ${index + 10});
CREATE FUNCTION ${schema}.${n}(${n} integer) RETURNS integer LANGUAGE sql AS ${
    literal(`SELECT $1 -- ${name.replaceAll(/[\n\r]/g, " ")}`)
  };
CREATE FUNCTION ${schema}.${type}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER ${n} BEFORE UPDATE OF ${n} ON ${schema}.${n} FOR EACH ROW EXECUTE FUNCTION ${schema}.${type}(${
    literal(name)
  });
CREATE POLICY ${n} ON ${schema}.${n} USING (${n} > 0);
CREATE RULE ${n} AS ON DELETE TO ${schema}.${n} WHERE OLD.${n} = 0 DO INSTEAD NOTHING;
CREATE VIEW ${schema}.${
    quote(`view ${index}`)
  } AS SELECT ${n} AS ${type}, ${type} AS ${n} FROM ${schema}.${n};
CREATE STATISTICS ${schema}.${n} ON ${n}, plain FROM ${schema}.${n};
COMMENT ON TABLE ${schema}.${n} IS ${literal(name)};
COMMENT ON COLUMN ${schema}.${n}.${n} IS ${literal(name)};
`;
}

/** The name with a prefix, which replaces the first letter if the name has the maximum length. */
function marked(name: string, mark: string): string {
  const fits = new TextEncoder().encode(name + mark).length <= 63;
  return fits ? name + mark : mark + name.slice(mark.length);
}
