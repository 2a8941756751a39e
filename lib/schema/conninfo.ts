/**
 * An endpoint as libpq's connection string, for client programs. Secrets are not in it.
 *
 * Source: PostgreSQL documentation, "34.1.1.1. Keyword/Value Connection Strings".
 *
 * @module
 */
import {
  acceptsStartupOption,
  type Endpoint,
  libpqParameters,
  namesRole,
  startupOption,
} from "../postgres/internal.ts";

/**
 * What the programs do not set themselves, or only after statements that a setting of the database
 * or role can end already. Known to all versions, and to be set by anybody.
 */
const toolSettings: Readonly<Record<string, string>> = {
  statement_timeout: "0",
  lock_timeout: "0",
  idle_in_transaction_session_timeout: "0",
  default_transaction_read_only: "off",
  default_transaction_isolation: "read committed",
  default_transaction_deferrable: "off",
  standard_conforming_strings: "on",
  quote_all_identifiers: "off",
  array_nulls: "on",
  transform_null_equals: "off",
  xmloption: "content",
  // amounts of money in definitions are read by sessions that have the same
  lc_monetary: "C",
};

/**
 * The endpoint with `options` by which nothing of its database's or role's settings reaches a
 * client program; what the URL's own options say of anything else stays.
 *
 * Source: PostgreSQL documentation, "options" in "34.1.2. Parameter Key Words": spaces within a
 * value need a backslash.
 */
export function withToolSettings(endpoint: Endpoint): Endpoint {
  const settings = namesRole(endpoint) ? toolSettings : { ...toolSettings, role: "none" };
  const ours = Object.entries(settings).map(([name, value]) =>
    `-c ${name}=${value.replace(/[\s\\]/g, "\\$&")}`
  );
  return { ...endpoint, options: [endpoint.options ?? "", ...ours].join(" ").trim() };
}

/**
 * The connection string; password and key passphrase go by other ways.
 *
 * @param major of the program: what its libpq does not know is left out
 */
export function conninfoFor(endpoint: Endpoint, major: number): string {
  const { hosts, tls } = endpoint;
  const parameters: Readonly<Record<string, string | undefined>> = {
    host: hosts.map(({ host }) => host).join(","),
    port: hosts.map(({ port }) => port).join(","),
    user: endpoint.user,
    dbname: endpoint.database,
    sslmode: tls.mode,
    sslrootcert: tls.files.sslrootcert,
    sslcert: tls.files.sslcert,
    sslkey: tls.files.sslkey,
    sslsni: tls.serverNameIndication ? undefined : "0",
    ...Object.fromEntries(libpqParameters(endpoint, major)),
    options: optionsFor(endpoint),
    application_name: endpoint.applicationName,
    target_session_attrs: endpoint.targetSessionAttributes === "any"
      ? undefined
      : endpoint.targetSessionAttributes,
    connect_timeout: String(Math.ceil(endpoint.connectTimeoutMs / 1000)),
    // the environment cannot set these
    keepalives: "1",
    keepalives_idle: "60",
    keepalives_interval: "10",
  };
  return Object.entries(parameters)
    .flatMap(([keyword, value]) => value === undefined ? [] : [`${keyword}=${quoteValue(value)}`])
    .join(" ");
}

/**
 * The user's options, and no event triggers where a session has found that the server takes that.
 */
function optionsFor(endpoint: Endpoint): string | undefined {
  const options = [
    ...(endpoint.options === undefined ? [] : [endpoint.options]),
    ...(acceptsStartupOption(endpoint) ? [startupOption] : []),
  ];
  return options.length === 0 ? undefined : options.join(" ");
}

function quoteValue(value: string): string {
  return `'${value.replace(/['\\]/g, "\\$&")}'`;
}
