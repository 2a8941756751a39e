/**
 * How the target's server reaches the source: the connection string of a subscription.
 *
 * Source: PostgreSQL documentation, "34.1.1.1. Keyword/Value Connection Strings".
 *
 * @module
 */
import { type Endpoint, libpqParameters, namesRole, passwordFor } from "../../postgres/internal.ts";

/**
 * Whether the target server's own Kerberos tickets and certificates are used is its admin's choice.
 */
const serversOwn: ReadonlySet<string> = new Set(["gssencmode", "sslcertmode"]);

/** What {@linkcode subscriptionConninfo} takes besides the source. */
export interface ConninfoOptions {
  /** A file with the password on the target's server, which keeps it out of the catalog. */
  readonly passfile: string | undefined;
  /** Major version of the target, whose libpq parses the string. */
  readonly targetMajor: number;
}

/**
 * Settings that the walsender needs, whatever its database or role sets. Subscribers since 15
 * request the formats of dates, intervals and floats themselves; older ones would misread another
 * `DateStyle` of the source.
 */
const publisherSettings: Readonly<Record<string, string>> = {
  datestyle: "ISO",
  intervalstyle: "postgres",
  extra_float_digits: "3",
  statement_timeout: "0",
  lock_timeout: "0",
  // a cutover starts a stream from the side that it has closed; with several hosts and
  // target_session_attrs=read-write, libpq would not connect to it
  default_transaction_read_only: "off",
};

function publisherOptions(source: Endpoint): string {
  const settings = namesRole(source) ? publisherSettings : { ...publisherSettings, role: "none" };
  const options = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`);
  return [...(source.options === undefined ? [] : [source.options]), ...options].join(" ");
}

/**
 * The connection string, with keepalives that detect a dead connection.
 *
 * Paths of certificates are those of the URL: the target's server opens them on its own disk.
 *
 * @param source at the address by which the target reaches it
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
