import type { Problem } from "../../core/internal.ts";
import { type Endpoint, libpqParameters, passwordFor } from "../../postgres/internal.ts";

/** The service knows every parameter that this program knows. */
const newestMajor = Infinity;
/** What the service does anyway. */
const impliedWords: ReadonlySet<string> = new Set(["gssencmode", "sslcertmode"]);

/**
 * A URL that says all that an endpoint says, for a service that has none of the caller's variables
 * and files.
 */
export type EndpointUrl =
  | { readonly url: string; readonly problems: readonly [] }
  | { readonly url: undefined; readonly problems: readonly Problem[] };

/**
 * Writes a resolved endpoint as one URL, password included: what came from `PG*` variables and the
 * password file is in it.
 *
 * Certificates cannot be in a URL, and the service reads none of its own files for a stranger;
 * `sslrootcert=system` can.
 *
 * @param path where the endpoint came from, for the problems (`--source`)
 */
export function endpointUrl(endpoint: Endpoint, path: string): EndpointUrl {
  const { hosts, user, database, databaseGiven, tls } = endpoint;
  const problems: Problem[] = [];
  const problem = (message: string) => void problems.push({ path, message });
  if (hosts.some(({ host }) => host.startsWith("/"))) {
    problem("is a Unix socket of this machine, which a service cannot reach");
  }
  if (tls.client !== undefined) problem("has a client certificate, which no service can be given");
  const checksCertificate = tls.mode === "verify-ca" || tls.mode === "verify-full";
  if (checksCertificate && tls.rootCertificates !== "system") {
    problem(
      "trusts an authority of a file of this machine; a service knows the public ones: sslrootcert=system",
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

/** What `encodeURIComponent` leaves and the service takes for an injection. */
function encodeQuotes(text: string): string {
  return text.replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
