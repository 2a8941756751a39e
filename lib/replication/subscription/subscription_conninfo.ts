/**
 * How the target's server reaches the source: the connection string of a subscription.
 *
 * Source: PostgreSQL documentation, "34.1.1.1. Keyword/Value Connection Strings".
 *
 * @module
 */
import { type Endpoint, libpqParameters, namesRole, passwordFor } from "../../postgres/internal.ts";

/**
 * Kerberos tickets and certificates of the target server's own user are for its administrator to
 * allow.
 */
const serversOwn: ReadonlySet<string> = new Set(["gssencmode", "sslcertmode"]);

/** What {@linkcode subscriptionConninfo} takes besides the source. */
export interface ConninfoOptions {
  /** A file on the target's server with the password, which then is not in the catalog. */
  readonly passfile: string | undefined;
  /** Of the target's server, whose libpq reads the string. */
  readonly targetMajor: number;
}

/**
 * What the source's end of a subscription needs whatever its database's or role's settings are. How
 * dates, intervals and floats are written is what subscribers from 15 on ask for by themselves;
 * older ones would misread what `DateStyle` of the source's database says.
 */
const publisherSettings: Readonly<Record<string, string>> = {
  datestyle: "ISO",
  intervalstyle: "postgres",
  extra_float_digits: "3",
  statement_timeout: "0",
  lock_timeout: "0",
};

function publisherOptions(source: Endpoint): string {
  const settings = namesRole(source) ? publisherSettings : { ...publisherSettings, role: "none" };
  const ours = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`);
  return [...(source.options === undefined ? [] : [source.options]), ...ours].join(" ");
}

/**
 * The connection string, with keepalives so that a dead path is noticed.
 *
 * Files of certificates are named as the URL names them: the target's server opens them, on its own
 * disk.
 *
 * @param source as the target sees it
 */
export function subscriptionConninfo(
  source: Endpoint,
  { passfile, targetMajor }: ConninfoOptions,
): string {
  const { hosts, tls } = source;
  const [first] = hosts;
  const password = passfile === undefined && first !== undefined
    ? passwordFor(source, first)?.reveal()
    : undefined;
  const words: readonly (readonly [string, string | undefined])[] = [
    ["host", hosts.map(({ host }) => host).join(",")],
    ["port", hosts.map(({ port }) => port).join(",")],
    ["user", source.user],
    ["dbname", source.database],
    ["password", password],
    ["passfile", passfile],
    ["sslmode", tls.mode],
    ["sslrootcert", tls.files.sslrootcert],
    ["sslcert", tls.files.sslcert],
    ["sslkey", tls.files.sslkey],
    ["sslpassword", tls.client?.passphrase?.reveal()],
    ["sslsni", tls.serverNameIndication ? undefined : "0"],
    ...libpqParameters(source, targetMajor).filter(([keyword]) => !serversOwn.has(keyword)),
    ["options", publisherOptions(source)],
    ["connect_timeout", String(Math.max(2, Math.round(source.connectTimeoutMs / 1_000)))],
    ["keepalives_idle", "60"],
    ["keepalives_interval", "10"],
    [
      "target_session_attrs",
      hosts.length > 1 ? source.targetSessionAttributes : undefined,
    ],
  ];
  return words.flatMap(([keyword, value]) =>
    value === undefined ? [] : [`${keyword}=${quoteValue(value)}`]
  ).join(" ");
}

function quoteValue(value: string): string {
  return /^[\w.,:/@-]+$/.test(value) ? value : `'${value.replace(/[\\']/g, "\\$&")}'`;
}
