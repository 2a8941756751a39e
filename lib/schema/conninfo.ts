/**
 * An endpoint as libpq's connection string, for client programs. Secrets are not in it.
 *
 * Source: PostgreSQL documentation, "34.1.1.1. Keyword/Value Connection Strings".
 *
 * @module
 */
import { acceptsStartupOption, type Endpoint, startupOption } from "../postgres/mod.ts";

/** The connection string; password and key passphrase go by other ways. */
export function conninfoFor(endpoint: Endpoint): string {
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

/** The user's options, and no event triggers where a session has found that the server takes that. */
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
