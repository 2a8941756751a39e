/**
 * libpq's password file: reading `~/.pgpass`, and writing a line that cannot be misread.
 *
 * Source: PostgreSQL documentation, "34.16. The Password File".
 *
 * @module
 */
import { Secret } from "../../core/internal.ts";

/** One line of a password file; a field that is `*` matches anything. */
export interface PassfileEntry {
  readonly host: string;
  readonly port: string;
  readonly database: string;
  readonly user: string;
  readonly password: Secret;
}

/** What a connection looks for in a password file. */
export interface PassfileKey {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
}

/**
 * Reads the text of a password file; comments and lines that are no entry are skipped, as libpq
 * does.
 */
export function parsePassfile(text: string): readonly PassfileEntry[] {
  const entries: PassfileEntry[] = [];
  for (const line of text.split(/\r?\n/)) {
    if (line === "" || line.startsWith("#")) continue;
    const fields = splitFields(line);
    const [host, port, database, user, ...password] = fields;
    if (host === undefined || port === undefined || database === undefined || user === undefined) {
      continue;
    }
    if (password.length === 0) continue;
    entries.push({ host, port, database, user, password: new Secret(password.join(":")) });
  }
  return entries;
}

/**
 * Splits at colons; a backslash makes the next character literal. A `*` that was escaped still is
 * one to libpq.
 */
function splitFields(line: string): readonly string[] {
  const fields: string[] = [];
  let field = "";
  for (let at = 0; at < line.length; at++) {
    const character = line.charAt(at);
    if (character === "\\" && at + 1 < line.length) field += line.charAt(++at);
    else if (character === ":") {
      fields.push(field);
      field = "";
    } else field += character;
  }
  fields.push(field);
  return fields;
}

/**
 * The password of the first entry that matches, as libpq picks it. A Unix socket matches
 * `localhost`.
 */
export function findPassword(
  entries: readonly PassfileEntry[],
  key: PassfileKey,
): Secret | undefined {
  const host = key.host.startsWith("/") ? "localhost" : key.host;
  const matches = (pattern: string, value: string) => pattern === "*" || pattern === value;
  return entries.find((entry) =>
    (matches(entry.host, host) || entry.host === key.host) &&
    matches(entry.port, String(key.port)) &&
    matches(entry.database, key.database) && matches(entry.user, key.user)
  )?.password;
}

/**
 * One line of a password file, escaped. The password must have no line break: libpq cannot read
 * one.
 */
export function formatPassfileEntry(entry: PassfileEntry): string {
  const password = entry.password.reveal();
  if (/[\r\n]/.test(password)) {
    throw new TypeError(
      "a password with a line break cannot be given to PostgreSQL's client programs",
    );
  }
  const escape = (field: string) => field.replace(/[\\:]/g, "\\$&");
  return [entry.host, entry.port, entry.database, entry.user, password].map(escape).join(":");
}
