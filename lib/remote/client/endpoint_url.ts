import type { Problem } from "../../core/internal.ts";
import { type Endpoint, libpqParameters, passwordFor } from "../../postgres/internal.ts";

/** The service supports all parameters that this program supports. */
const newestMajor = Infinity;
/** Parameters that the service sets itself. */
const impliedWords: ReadonlySet<string> = new Set(["gssencmode", "sslcertmode"]);

/**
 * A complete URL of an endpoint, for a service without access to the client's environment and
 * files.
 */
export type EndpointUrl =
  | { readonly url: string; readonly problems: readonly [] }
  | { readonly url: undefined; readonly problems: readonly Problem[] };

/**
 * Writes a resolved endpoint as a single URL, including the password and settings from `PG*`
 * variables and the password file.
 *
 * Certificate files cannot be passed in a URL; only `sslrootcert=system` can.
 *
 * @param path the option the endpoint came from (`--source`), for the problems
 */
export function endpointUrl(endpoint: Endpoint, path: string): EndpointUrl {
  const { hosts, user, database, databaseGiven, tls } = endpoint;
  const problems: Problem[] = [];
  const problem = (message: string) => void problems.push({ path, message });
  if (hosts.some(({ host }) => host.startsWith("/"))) {
    problem("is a Unix socket on this machine, which the service cannot reach");
  }
  if (tls.client !== undefined) {
    problem("uses a client certificate, which cannot be passed to the service");
  }
  const checksCertificate = tls.mode === "verify-ca" || tls.mode === "verify-full";
  if (checksCertificate && tls.rootCertificates !== "system") {
    problem(
      "uses a root certificate file on this machine; the service only supports public authorities: sslrootcert=system",
    );
  }
  if (problems.length > 0) return { url: undefined, problems };
  const password = hosts[0] === undefined ? undefined : passwordFor(endpoint, hosts[0])?.reveal();
  const login = encodeURIComponent(user) +
    (password === undefined ? "" : `:${encodeURIComponent(password)}`);
  const places = hosts.map(({ host, port }) =>
    host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
  ).join(",");
  const parameters: readonly (readonly [string, string | undefined])[] = [
    ["sslmode", tls.mode === "prefer" ? undefined : tls.mode],
    ["sslrootcert", tls.rootCertificates === "system" ? "system" : undefined],
    ["sslsni", tls.serverNameIndication ? undefined : "0"],
    ...libpqParameters(endpoint, newestMajor).filter(([keyword]) => !impliedWords.has(keyword)),
    [
      "application_name",
      endpoint.applicationName === "postgres-seren-replicator"
        ? undefined
        : endpoint.applicationName,
    ],
    ["options", endpoint.options],
    ["connect_timeout", String(Math.round(endpoint.connectTimeoutMs / 1000))],
    [
      "target_session_attrs",
      endpoint.targetSessionAttributes === "any" ? undefined : endpoint.targetSessionAttributes,
    ],
  ];
  const query = parameters.flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`]
  ).join("&");
  const databasePart = databaseGiven ? `/${encodeURIComponent(database)}` : "/";
  return {
    url: `postgresql://${login}@${places}${encodeQuotes(databasePart)}?${query}`,
    problems: [],
  };
}

/** Encodes what `encodeURIComponent` leaves as is, but the service rejects. */
function encodeQuotes(text: string): string {
  return text.replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
