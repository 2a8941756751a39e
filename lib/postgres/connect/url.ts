/**
 * Parses connection URLs as libpq does.
 *
 * Source: PostgreSQL documentation, "34.1.1.2. Connection URIs" and "34.1.2. Parameter Key Words".
 *
 * @module
 */
import { type Problem, suggest } from "../../core/internal.ts";
import { ConnectionParameters, isKeyword, usableKeywords } from "./url_parameters.ts";

/**
 * A server to try. `host` is a name, an address, or the directory of a Unix socket when it starts
 * with `/`.
 */
export interface HostPort {
  /** Host name, address or socket directory: `db.example.com`. */
  readonly host: string;
  /** TCP port, or the number in the socket's name: 5432. */
  readonly port: number;
  /**
   * Addresses to connect to, in order, instead of resolving the name: for callers that have
   * validated them. TLS still verifies `host`.
   */
  readonly addresses?: readonly string[];
}

/** The decoded parts of a URL, without defaults. */
export interface UrlParts {
  /** Hosts in the order in which they are tried. */
  readonly hosts: readonly { readonly host?: string; readonly port?: number }[];
  /** Role name, decoded; undefined if the URL has none. */
  readonly user?: string;
  /** Password in clear text; undefined if the URL has none. */
  readonly password?: string;
  /** Database name, decoded; undefined if the URL has none. */
  readonly database?: string;
  /** The query parameters by libpq's keyword. */
  readonly parameters: Readonly<Record<string, string>>;
}

/** Result of {@linkcode parseUrl}: the parts, or all problems. */
export type ParsedUrl =
  | { readonly parts: UrlParts; readonly problems: readonly [] }
  | { readonly parts: undefined; readonly problems: readonly Problem[] };

/**
 * Parses a connection URL.
 *
 * Never throws. Problems name the part concerned without quoting the URL: a password that is not
 * percent-encoded may end up in any part.
 *
 * @param url `postgresql://[user[:password]@][host[:port][,…]][/database][?keyword=value&…]`
 * @param path origin of the URL, for problems (`--source`)
 */
export function parseUrl(url: string, path: string): ParsedUrl {
  const problems: Problem[] = [];
  const problem = (message: string) => void problems.push({ path, message });
  const text = url.trim();

  const scheme = /^postgres(?:ql)?:\/\//.exec(text);
  if (scheme === null) {
    problem(schemeProblem(text));
    return { parts: undefined, problems };
  }
  // deno-lint-ignore no-control-regex -- matches control characters on purpose
  if (/[\s\x00-\x1f\x7f]/.test(text)) {
    problem(
      "contains a space or control character; write a space in a name or password as %20, " +
        "and nothing after the URL",
    );
    return { parts: undefined, problems };
  }

  const decode = (raw: string, what: string): string => {
    try {
      const decoded = decodeURIComponent(raw);
      if (decoded.includes("\0")) problem(`${what} contains %00, which PostgreSQL cannot store`);
      return decoded;
    } catch {
      problem(
        `${what} has a "%" that does not start a percent-encoding; write a literal % as %25`,
      );
      return raw;
    }
  };

  const rest = text.slice(scheme[0].length);
  const queryAt = rest.indexOf("?");
  const beforeQuery = queryAt < 0 ? rest : rest.slice(0, queryAt);
  const slashAt = beforeQuery.indexOf("/");
  const authority = slashAt < 0 ? beforeQuery : beforeQuery.slice(0, slashAt);
  const databasePart = slashAt < 0 ? "" : beforeQuery.slice(slashAt + 1);

  const atAt = authority.indexOf("@");
  const userInfo = atAt < 0 ? undefined : authority.slice(0, atAt);
  const hostPart = atAt < 0 ? authority : authority.slice(atAt + 1);
  if (hostPart.includes("@") || databasePart.includes("@")) {
    problem(
      'has more than one "@", or a "/" or "?" in the password; in a password write @ as %40, / as %2F, ? as %3F',
    );
    return { parts: undefined, problems };
  }

  const query = queryAt < 0 ? "" : rest.slice(queryAt + 1);
  if (query.includes("@")) {
    // libpq accepts this, but it is usually the end of a password that contains a ?, and the rest
    // would become a host
    problem(
      'has an "@" after the "?"; write ? in a password as %3F, and @ in a parameter as %40',
    );
    return { parts: undefined, problems };
  }

  const parameters: Record<string, string> = {};
  const pairs = query.split("&");
  for (const [index, pair] of pairs.entries()) {
    if (pair === "") continue;
    const which = `the ${ordinal(index + 1)} parameter`;
    const equals = pair.indexOf("=");
    if (equals < 0) {
      problem(`${which} after the "?" has no value; write ? in a password as %3F`);
      continue;
    }
    const keyword = decode(pair.slice(0, equals), `the name of ${which}`);
    const known = isKeyword(keyword);
    const value = decode(pair.slice(equals + 1), known ? `parameter "${keyword}"` : which);
    // JDBC's form
    if (keyword === "ssl" && value === "true") parameters["sslmode"] ??= "require";
    else if (known) parameters[keyword] = value;
    else {
      const near = suggest(keyword, usableKeywords);
      problem(
        `unknown parameter, the ${ordinal(index + 1)} after the "?"; ${
          near.length > 0 ? `did you mean ${near.join(" or ")}? ` : ""
        }Write ? in a password as %3F`,
      );
    }
  }
  for (const message of new ConnectionParameters(parameters, {}).problems()) problem(message);

  const hosts = hostPart === ""
    ? []
    : hostPart.split(",").map((one) => parseHost(one, decode, problem));
  const [user, ...passwordParts] = userInfo?.split(":") ?? [];
  if (problems.length > 0) {
    return { parts: undefined, problems };
  }
  const parts: UrlParts = {
    hosts,
    parameters,
    ...(user ? { user: decode(user, "the user") } : {}),
    ...(passwordParts.length > 0
      ? { password: decode(passwordParts.join(":"), "the password") }
      : {}),
    ...(databasePart === "" ? {} : { database: decode(databasePart, "the database") }),
  };
  return problems.length > 0 ? { parts: undefined, problems } : { parts, problems: [] };
}

function ordinal(position: number): string {
  return position === 1 ? "1st" : position === 2 ? "2nd" : position === 3 ? "3rd" : `${position}th`;
}

const otherSchemes: readonly string[] = [
  "cockroachdb",
  "file",
  "ftp",
  "http",
  "https",
  "mariadb",
  "mongodb",
  "mssql",
  "mysql",
  "oracle",
  "redis",
  "sqlite",
  "sqlserver",
];

/** What to do about a URL that is missing or empty. */
export const urlHint = "use a URL like postgresql://user@host:5432/database";

function schemeProblem(text: string): string {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1];
  if (scheme !== undefined) {
    // others are not quoted: one could be part of a password
    const known = otherSchemes.includes(scheme.toLowerCase()) ? `"${scheme}://"` : "another scheme";
    return `begins with ${known}; a connection URL begins with "postgresql://"`;
  }
  return text === ""
    ? `is empty; ${urlHint}`
    : 'is not a connection URL; it must begin with "postgresql://"';
}

function parseHost(
  text: string,
  decode: (raw: string, what: string) => string,
  problem: (message: string) => void,
): { host?: string; port?: number } {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(.*))?$/.exec(text);
  if (match === null) {
    problem("a host is malformed; write an IPv6 address in brackets: [::1]:5432");
    return {};
  }
  const [, bracketed, plain = "", portText] = match;
  if (bracketed !== undefined && !/^[0-9a-f:.]+(?:%25?[\w.-]+)?$/i.test(bracketed)) {
    problem("the text in brackets is not an IPv6 address");
  }
  const host = bracketed ?? decode(plain, "the host");
  if (bracketed === undefined && !host.startsWith("/") && !/^[\p{L}\p{N}._-]*$/u.test(host)) {
    problem("a host contains a character that is not allowed in host names");
  }
  const port = portText === undefined || portText === "" ? undefined : parsePort(portText);
  if (portText && port === undefined) {
    problem(
      'a port is not a number from 1 to 65535; in a password write ":" as %3A, "/" as %2F, "?" as %3F',
    );
  }
  return { ...(host === "" ? {} : { host }), ...(port === undefined ? {} : { port }) };
}

/** Parses a TCP port; undefined when it is not valid. */
export function parsePort(text: string): number | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65535 ? port : undefined;
}
