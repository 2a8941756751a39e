/**
 * libpq's password file: parses `~/.pgpass` and formats its lines.
 *
 * Source: PostgreSQL documentation, "34.16. The Password File".
 *
 * @module
 */
import { Secret } from "../../core/internal.ts";

/** One line of a password file; a field that is `*` matches anything. */
export interface PassfileEntry {
  /** Host name, address or socket directory; `*` for any. */
  readonly host: string;
  /** Port number as text: `5432`; `*` for any. */
  readonly port: string;
  /** Database name, unquoted; `*` for any. */
  readonly database: string;
  /** Role name, unquoted; `*` for any. */
  readonly user: string;
  /** Password with escapes removed. */
  readonly password: Secret;
}

/** Connection parameters to look up in a password file. */
export interface PassfileKey {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
}

/**
 * Parses a password file; comments and malformed lines are skipped, as in libpq.
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
 * Splits at colons; a backslash makes the next character literal. To libpq an escaped `*` still
 * matches anything.
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
 * The password of the first matching entry, as in libpq. A Unix socket matches `localhost`.
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
 * One escaped line of a password file.
 *
 * @throws TypeError when the password contains a line break, which libpq cannot read
 */
export function formatPassfileEntry(entry: PassfileEntry): string {
  const password = entry.password.reveal();
  if (/[\r\n]/.test(password)) {
    throw new TypeError(
      "a password with a line break cannot be passed to PostgreSQL's client programs",
    );
  }
  const escape = (field: string) => field.replace(/[\\:]/g, "\\$&");
  return [entry.host, entry.port, entry.database, entry.user, password].map(escape).join(":");
}
