/**
 * Connection URLs, read as libpq reads them.
 *
 * Source: PostgreSQL documentation, "34.1.1.2. Connection URIs" and "34.1.2. Parameter Key Words".
 *
 * @module
 */
import { type Problem, suggest } from "../core/mod.ts";

/** One server to try. `host` is a name, an address, or the folder of a Unix socket when it starts with `/`. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
  /** Where to connect, in turn, instead of asking what the name resolves to: for who has checked them. TLS goes on verifying `host`. */
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

/** Keywords that change how this tool connects. */
const honoured = [
  "host",
  "hostaddr",
  "port",
  "dbname",
  "user",
  "password",
  "passfile",
  "connect_timeout",
  "options",
  "application_name",
  "fallback_application_name",
  "sslmode",
  "sslcert",
  "sslkey",
  "sslpassword",
  "sslrootcert",
  "sslsni",
  "target_session_attrs",
] as const;

/** Keywords of libpq that change nothing here: accepted, so that a URL that works elsewhere works here. */
const accepted = [
  "channel_binding",
  "client_encoding",
  "gssencmode",
  "keepalives",
  "keepalives_count",
  "keepalives_idle",
  "keepalives_interval",
  "krbsrvname",
  "load_balance_hosts",
  "max_protocol_version",
  "min_protocol_version",
  "require_auth",
  "scram_client_key",
  "scram_server_key",
  "sslcertmode",
  "sslcompression",
  "sslkeylogfile",
  "ssl_max_protocol_version",
  "ssl_min_protocol_version",
  "sslnegotiation",
  "tcp_user_timeout",
] as const;

/** Keywords whose neglect would weaken or change the connection: refused with a reason. */
const refused: Readonly<Record<string, string>> = {
  sslcrl: "certificate revocation lists are not supported; remove it or tunnel through a TLS proxy",
  sslcrldir:
    "certificate revocation lists are not supported; remove it or tunnel through a TLS proxy",
  requirepeer: "requirepeer is not supported; remove it",
  service: "service files are not read; write the parameters into the URL",
  servicefile: "service files are not read; write the parameters into the URL",
  replication: "the tool sets this itself where it is needed; remove it",
  pgbouncer:
    "this is a setting of Prisma, not of PostgreSQL; remove it and connect past the pooler",
  schema: "this is a setting of Prisma, not of PostgreSQL; remove it",
  connection_limit: "this is a setting of Prisma, not of PostgreSQL; remove it and use --jobs",
};

/** The outcome of {@linkcode parseUrl}: parts, or everything that is wrong. */
export type ParsedUrl =
  | { readonly parts: UrlParts; readonly problems: readonly [] }
  | { readonly parts: undefined; readonly problems: readonly Problem[] };

/**
 * Reads a connection URL.
 *
 * Never throws; problems quote the part concerned but never a password.
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

  const parameters: Record<string, string> = {};
  for (const pair of queryAt < 0 ? [] : rest.slice(queryAt + 1).split("&")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    if (equals < 0) {
      problem(`parameter "${pair}" has no value`);
      continue;
    }
    const keyword = decode(pair.slice(0, equals), "a parameter's name");
    const value = decode(pair.slice(equals + 1), `parameter "${keyword}"`);
    if (keyword === "ssl" && value === "true") parameters["sslmode"] ??= "require"; // as JDBC writes it
    else if (Object.hasOwn(refused, keyword)) {
      problem(`parameter "${keyword}": ${refused[keyword]}`);
    } else if (!isKeyword(keyword)) {
      const near = suggest(keyword, [...honoured, ...accepted]);
      problem(
        `unknown parameter "${keyword}"` +
          (near.length > 0 ? `; did you mean ${near.join(" or ")}?` : ""),
      );
    } else parameters[keyword] = value;
  }

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

function isKeyword(keyword: string): boolean {
  return (honoured as readonly string[]).includes(keyword) ||
    (accepted as readonly string[]).includes(keyword);
}

function schemeProblem(text: string): string {
  const other = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1];
  if (other !== undefined) {
    return `begins with "${other}://"; a connection URL begins with "postgresql://"`;
  }
  return text === ""
    ? "is empty; give a URL like postgresql://user@host:5432/database"
    : 'is no connection URL; it must begin with "postgresql://"';
}

function parseHost(
  text: string,
  decode: (raw: string, what: string) => string,
  problem: (message: string) => void,
): { host?: string; port?: number } {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(.*))?$/.exec(text);
  if (match === null) {
    problem(`host "${text}" is malformed; an IPv6 address is written in brackets: [::1]:5432`);
    return {};
  }
  const [, bracketed, plain = "", portText] = match;
  if (bracketed !== undefined && !/^[0-9a-f:.]+(?:%25?[\w.-]+)?$/i.test(bracketed)) {
    problem(`"[${bracketed}]" is no IPv6 address`);
  }
  const host = bracketed ?? decode(plain, "the host");
  if (bracketed === undefined && !host.startsWith("/") && !/^[\p{L}\p{N}._-]*$/u.test(host)) {
    problem(`host "${host}" has a character that no host name may have`);
  }
  const port = portText === undefined || portText === "" ? undefined : parsePort(portText);
  if (portText && port === undefined) {
    problem(`port "${portText}" is not a number from 1 to 65535`);
  }
  return { ...(host === "" ? {} : { host }), ...(port === undefined ? {} : { port }) };
}

/** A TCP port, or undefined when the text is none. */
export function parsePort(text: string): number | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65535 ? port : undefined;
}
