/**
 * Connection URLs, read as libpq reads them.
 *
 * Source: PostgreSQL documentation, "34.1.1.2. Connection URIs" and "34.1.2. Parameter Key Words".
 *
 * @module
 */
import { type Problem, suggest } from "../../core/internal.ts";
import { ConnectionParameters, isKeyword, usableKeywords } from "./url_parameters.ts";

/**
 * One server to try. `host` is a name, an address, or the folder of a Unix socket when it starts
 * with `/`.
 */
export interface HostPort {
  readonly host: string;
  readonly port: number;
  /**
   * Where to connect, in turn, instead of asking what the name resolves to: for who has checked
   * them. TLS goes on verifying `host`.
   */
  readonly addresses?: readonly string[];
}

/** What a URL said, decoded; what it left out is left out. */
export interface UrlParts {
  readonly hosts: readonly { readonly host?: string; readonly port?: number }[];
  readonly user?: string;
  readonly password?: string;
  readonly database?: string;
  /** The query parameters by libpq's keyword. */
  readonly parameters: Readonly<Record<string, string>>;
}

/** The outcome of {@linkcode parseUrl}: parts, or everything that is wrong. */
export type ParsedUrl =
  | { readonly parts: UrlParts; readonly problems: readonly [] }
  | { readonly parts: undefined; readonly problems: readonly Problem[] };

/**
 * Reads a connection URL.
 *
 * Never throws. Problems name the part concerned and quote nothing of the URL: a password that was
 * not percent-encoded may be in any part of what could not be read.
 *
 * @param url `postgresql://[user[:password]@][host[:port][,…]][/database][?keyword=value&…]`
 * @param path where the URL came from, for the problems (`--source`)
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
  // deno-lint-ignore no-control-regex -- control characters are exactly what is looked for
  if (/[\s\x00-\x1f\x7f]/.test(text)) {
    problem(
      "has a space or control character in it; a space in a name or password is written %20, " +
        "and nothing may follow the URL",
    );
    return { parts: undefined, problems };
  }

  const decode = (raw: string, what: string): string => {
    try {
      const decoded = decodeURIComponent(raw);
      if (decoded.includes("\0")) problem(`${what} contains %00, which PostgreSQL cannot hold`);
      return decoded;
    } catch {
      problem(
        `${what} has a "%" that does not begin a percent-encoding; a literal % is written %25`,
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
      'has more than one "@", or a "/" or "?" in the password; in a password @ is written %40, / is %2F, ? is %3F',
    );
    return { parts: undefined, problems };
  }

  const query = queryAt < 0 ? "" : rest.slice(queryAt + 1);
  if (query.includes("@")) {
    // libpq takes it; but far more often it is the end of a password that has a ? in it, and the
    // rest would be taken for a host
    problem(
      'has an "@" after the "?"; in a password ? is written %3F, and in a parameter @ is written %40',
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
      problem(`${which} after the "?" has no value; a ? in a password is written %3F`);
      continue;
    }
    const keyword = decode(pair.slice(0, equals), `the name of ${which}`);
    const known = isKeyword(keyword);
    const value = decode(pair.slice(equals + 1), known ? `parameter "${keyword}"` : which);
    // as JDBC writes it
    if (keyword === "ssl" && value === "true") parameters["sslmode"] ??= "require";
    else if (known) parameters[keyword] = value;
    else {
      const near = suggest(keyword, usableKeywords);
      problem(
        `unknown parameter, the ${ordinal(index + 1)} after the "?"; ${
          near.length > 0 ? `did you mean ${near.join(" or ")}? ` : ""
        }A ? in a password is written %3F`,
      );
    }
  }
  for (const message of new ConnectionParameters(parameters, {}).problems()) problem(message);

  const hosts = hostPart === ""
    ? []
    : hostPart.split(",").map((one) => parseHost(one, decode, problem));
  const [user, ...passwordParts] = userInfo?.split(":") ?? [];
  if (problems.length > 0) {
    // decoding below could only repeat what is known already
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

function schemeProblem(text: string): string {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1];
  if (scheme !== undefined) {
    // any other could be a password that begins like one
    const known = otherSchemes.includes(scheme.toLowerCase()) ? `"${scheme}://"` : "another scheme";
    return `begins with ${known}; a connection URL begins with "postgresql://"`;
  }
  return text === ""
    ? "is empty; give a URL like postgresql://user@host:5432/database"
    : 'is not a connection URL; it must begin with "postgresql://"';
}

function parseHost(
  text: string,
  decode: (raw: string, what: string) => string,
  problem: (message: string) => void,
): { host?: string; port?: number } {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(.*))?$/.exec(text);
  if (match === null) {
    problem("a host is malformed; an IPv6 address is written in brackets: [::1]:5432");
    return {};
  }
  const [, bracketed, plain = "", portText] = match;
  if (bracketed !== undefined && !/^[0-9a-f:.]+(?:%25?[\w.-]+)?$/i.test(bracketed)) {
    problem("what is in brackets is not an IPv6 address");
  }
  const host = bracketed ?? decode(plain, "the host");
  if (bracketed === undefined && !host.startsWith("/") && !/^[\p{L}\p{N}._-]*$/u.test(host)) {
    problem("a host has a character that no host name may have");
  }
  const port = portText === undefined || portText === "" ? undefined : parsePort(portText);
  if (portText && port === undefined) {
    problem(
      'a port is not a number from 1 to 65535; in a password ":" is written %3A, "/" is %2F, "?" is %3F',
    );
  }
  return { ...(host === "" ? {} : { host }), ...(port === undefined ? {} : { port }) };
}

/** A TCP port, or undefined when the text is none. */
export function parsePort(text: string): number | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65535 ? port : undefined;
}
