/**
 * How a connection is encrypted: libpq's `ssl…` parameters resolved, every file read.
 *
 * @module
 */
import { Secret } from "../../core/internal.ts";
import type { FilePermissions, ResolveEnvironment } from "./resolve_environment.ts";
import type { HostPort } from "./url.ts";
import type { ConnectionParameters } from "./url_parameters.ts";

/** libpq's `sslmode`; see "34.19.3. Protection Provided in Different Modes". */
export const sslModes = [
  "disable",
  "allow",
  "prefer",
  "require",
  "verify-ca",
  "verify-full",
] as const;
/** One of {@linkcode sslModes}. */
export type SslMode = typeof sslModes[number];

/** Supported versions of TLS. */
export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/**
 * libpq's `sslnegotiation`: whether TLS is requested before the handshake, or started directly
 * (PostgreSQL 17 and later).
 */
export type TlsNegotiation = "postgres" | "direct";

/** How a connection is encrypted, with the contents of all files. */
export interface TlsSettings {
  /** libpq's `sslmode`: `disable` to `verify-full`. */
  readonly mode: SslMode;
  /** libpq's `sslnegotiation`: `postgres` or `direct`. */
  readonly negotiation: TlsNegotiation;
  /** Oldest acceptable TLS version: `TLSv1.2`. */
  readonly minVersion: TlsVersion;
  /** Newest acceptable TLS version: `TLSv1.3`. */
  readonly maxVersion: TlsVersion;
  /**
   * Trusted certificates as PEM, `"system"` for the runtime's; undefined for no verification.
   */
  readonly rootCertificates: string | "system" | undefined;
  /** Client certificate and key as PEM. */
  readonly client:
    | {
      readonly certificate: string;
      readonly key: Secret;
      readonly passphrase: Secret | undefined;
    }
    | undefined;
  /** Whether the handshake contains the host name (providers route by it). */
  readonly serverNameIndication: boolean;
  /** The user's files, for client programs. */
  readonly files: Readonly<Record<"sslrootcert" | "sslcert" | "sslkey", string | undefined>>;
}

/** Context of resolving. */
export interface ResolveTlsOptions {
  readonly hosts: readonly HostPort[];
  readonly resolveEnvironment: ResolveEnvironment;
  readonly problem: (message: string) => void;
}

/** Resolves the `ssl…` parameters; reports problems to `problem`. */
export async function resolveTls(
  parameters: ConnectionParameters,
  options: ResolveTlsOptions,
): Promise<TlsSettings> {
  const { hosts, resolveEnvironment: { environment } } = options;
  const home = environment["HOME"] ?? environment["USERPROFILE"];
  const inHome = (name: string) => home === undefined ? undefined : `${home}/.postgresql/${name}`;
  const mode = resolveMode(parameters, options);
  const sockets = hosts.every(({ host }) => host.startsWith("/"));
  const roots = await resolveRoots(parameters, { ...options, mode, sockets, inHome });
  const client = await resolveClient(parameters, {
    ...options,
    usesTls: !sockets && mode !== "disable",
    inHome,
  });
  return {
    mode,
    negotiation: resolveNegotiation(parameters, { ...options, mode }),
    ...resolveVersions(parameters, options),
    rootCertificates: roots.certificates,
    client: client?.settings,
    serverNameIndication: parameters.value("sslsni") !== "0",
    files: { sslrootcert: roots.file, sslcert: client?.certificatePath, sslkey: client?.keyPath },
  };
}

type TlsContext = Pick<ResolveTlsOptions, "resolveEnvironment" | "problem">;

function resolveMode(
  parameters: ConnectionParameters,
  { resolveEnvironment, problem }: TlsContext,
): SslMode {
  const given = parameters.given("sslmode");
  const system = parameters.value("sslrootcert") === "system";
  const required = resolveEnvironment.environment["PGREQUIRESSL"] === "1" ? "require" : "prefer";
  const fallback = system ? "verify-full" : required;
  const mode = sslModes.find((each) => each === (given?.value ?? fallback));
  if (mode === undefined) problem(`${given?.shown} must be one of ${sslModes.join(", ")}`);
  if (system && mode !== undefined && mode !== "verify-full") {
    problem(`sslrootcert=system needs sslmode=verify-full, not ${mode}`);
  }
  return mode ?? fallback;
}

function resolveNegotiation(
  parameters: ConnectionParameters,
  { mode, problem }: TlsContext & { readonly mode: SslMode },
): TlsNegotiation {
  const given = parameters.given("sslnegotiation");
  const negotiation = given?.value ?? "postgres";
  if (negotiation !== "postgres" && negotiation !== "direct") {
    problem(`${given?.shown} must be postgres or direct`);
    return "postgres";
  }
  if (negotiation === "direct" && (mode === "disable" || mode === "allow" || mode === "prefer")) {
    problem(`sslnegotiation=direct needs sslmode=require or stricter, not ${mode}`);
  }
  return negotiation;
}

const versions = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

function resolveVersions(parameters: ConnectionParameters, { problem }: TlsContext) {
  const read = (keyword: string) => {
    const given = parameters.given(keyword);
    // libpq takes them in any case
    const known = versions.find((each) => each.toLowerCase() === given?.value.toLowerCase());
    if (given !== undefined && known === undefined) {
      problem(`${given.shown} must be one of ${versions.join(", ")}`);
    }
    return { given, known };
  };
  const min = read("ssl_min_protocol_version");
  const max = read("ssl_max_protocol_version");
  if (max.known === "TLSv1" || max.known === "TLSv1.1") {
    problem(
      `${max.given?.shown}: TLS before 1.2 is insecure and not supported; use TLSv1.2 or TLSv1.3`,
    );
  } else if (min.known === "TLSv1.3" && max.known === "TLSv1.2") {
    problem("ssl_min_protocol_version is later than ssl_max_protocol_version");
  }
  return {
    minVersion: min.known === "TLSv1.3" ? "TLSv1.3" : "TLSv1.2",
    maxVersion: max.known === "TLSv1.2" ? "TLSv1.2" : "TLSv1.3",
  } as const;
}

async function resolveRoots(
  parameters: ConnectionParameters,
  { mode, sockets, inHome, resolveEnvironment: { readFile }, problem }: TlsContext & {
    readonly mode: SslMode;
    readonly sockets: boolean;
    readonly inHome: (name: string) => string | undefined;
  },
) {
  const given = parameters.value("sslrootcert");
  if (given === "system") return { certificates: "system", file: "system" } as const;
  const verifies = mode === "verify-ca" || mode === "verify-full";
  const path = given ?? inHome("root.crt");
  const isUsed = !sockets && (verifies || mode === "require") && path !== undefined;
  const certificates = isUsed ? await readFile(path) : undefined;
  if (verifies && !sockets && certificates === undefined) {
    problem(
      `sslmode=${mode} needs the certificate of the authority that signed the server's certificate: ` +
        `${
          given === undefined ? "~/.postgresql/root.crt" : "the file named by sslrootcert"
        } does not exist. Specify it with sslrootcert=FILE, ` +
        `or use sslrootcert=system for a public authority`,
    );
  }
  const revoked = inHome("root.crl");
  if (certificates !== undefined && revoked !== undefined && await readFile(revoked)) {
    problem(
      "~/.postgresql/root.crl exists, and certificate revocation lists are not supported: move the file, or connect through a TLS proxy that checks it",
    );
  }
  return { certificates, file: certificates === undefined ? undefined : path };
}

async function resolveClient(
  parameters: ConnectionParameters,
  { usesTls, inHome, resolveEnvironment: { readFile, permissionsOf }, problem }: TlsContext & {
    readonly usesTls: boolean;
    readonly inHome: (name: string) => string | undefined;
  },
) {
  if (!usesTls || parameters.value("sslcertmode") === "disable") return undefined;
  const given = parameters.value("sslcert");
  const certificatePath = given ?? inHome("postgresql.crt");
  const certificate = certificatePath === undefined ? undefined : await readFile(certificatePath);
  if (certificate === undefined) {
    if (given !== undefined) problem("the file named by sslcert does not exist");
    return undefined;
  }
  const givenKey = parameters.value("sslkey");
  const keyPath = givenKey ?? inHome("postgresql.key");
  const key = keyPath === undefined ? undefined : await readFile(keyPath);
  if (key === undefined) {
    problem(
      `the client certificate needs its key; ${
        givenKey === undefined ? "~/.postgresql/postgresql.key" : "the file named by sslkey"
      } does not exist`,
    );
    return undefined;
  }
  const permissions = keyPath === undefined ? undefined : await permissionsOf?.(keyPath);
  if (permissions !== undefined && isReadByOthers(permissions)) {
    problem(
      `private key file "${keyPath}" has group or world access; file must have permissions u=rw (0600) or less if owned by the current user, or permissions u=rw,g=r (0640) or less if owned by root`,
    );
  }
  const passphrase = parameters.value("sslpassword");
  return {
    certificatePath,
    keyPath,
    settings: {
      certificate,
      key: new Secret(key),
      passphrase: passphrase === undefined ? undefined : new Secret(passphrase),
    },
  };
}

/** The rule of libpq: a key of root may be readable by a group. */
function isReadByOthers({ mode, uid }: FilePermissions): boolean {
  return (mode & (uid === 0 ? 0o037 : 0o077)) !== 0;
}
