/**
 * An endpoint as a libpq connection string for client programs, without secrets.
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
} from "../../postgres/internal.ts";

/**
 * Settings that the programs do not set, or set only after statements that the database's or role's
 * settings could abort. All versions know them, and any role may set them.
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
  // money literals in definitions are read by sessions with the same setting
  lc_monetary: "C",
};

/**
 * Adds `options` that shield client programs from settings of the database or role; other options
 * of the URL are kept.
 *
 * Source: PostgreSQL documentation, "options" in "34.1.2. Parameter Key Words": spaces within a
 * value need a backslash.
 */
export function withToolSettings(endpoint: Endpoint): Endpoint {
  const settings = namesRole(endpoint) ? toolSettings : { ...toolSettings, role: "none" };
  const options = Object.entries(settings).map(([name, value]) =>
    `-c ${name}=${value.replace(/[\s\\]/g, "\\$&")}`
  );
  return { ...endpoint, options: [endpoint.options ?? "", ...options].join(" ").trim() };
}

/**
 * The connection string, without password and key passphrase.
 *
 * @param major version of the program; parameters that its libpq does not know are omitted
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
 * The user's options, plus event triggers off where a session has found that the server accepts it.
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
