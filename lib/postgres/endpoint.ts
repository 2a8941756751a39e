/**
 * A server as the tool will reach it: URL, environment and files of libpq resolved into one plain value.
 *
 * @module
 */
import { type Problem, Secret, type Side, UsageError } from "../core/mod.ts";
import type { LockWaitSink } from "./lock_wait.ts";
import { findPassword, parsePassfile, type PassfileEntry } from "./passfile.ts";
import { type HostPort, parsePort, parseUrl } from "./url.ts";

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

/** libpq's `target_session_attrs`. */
export const targetSessionAttributes = [
  "any",
  "read-write",
  "read-only",
  "primary",
  "standby",
  "prefer-standby",
] as const;
/** One of {@linkcode targetSessionAttributes}. */
export type TargetSessionAttributes = typeof targetSessionAttributes[number];

/** How a connection is encrypted, every file already read. */
export interface TlsSettings {
  readonly mode: SslMode;
  /** Trusted certificates as PEM, `"system"` for those of the runtime, undefined for no verification. */
  readonly rootCertificates: string | "system" | undefined;
  /** Certificate and key that we show to the server, as PEM. */
  readonly client:
    | {
      readonly certificate: string;
      readonly key: Secret;
      readonly passphrase: Secret | undefined;
    }
    | undefined;
  /** Whether the host's name is sent in the handshake (providers route by it). */
  readonly serverNameIndication: boolean;
  /** The files named by the user, for the client programs. */
  readonly files: Readonly<Record<"sslrootcert" | "sslcert" | "sslkey", string | undefined>>;
}

/** A database of a server, with all that is needed to connect. No defaults remain open. */
export interface Endpoint {
  readonly side: Side;
  /** Tried in turn. */
  readonly hosts: readonly HostPort[];
  readonly user: string;
  readonly database: string;
  /** Whether the database was named, or follows from the user's name as in libpq. */
  readonly databaseGiven: boolean;
  readonly password: Secret | undefined;
  readonly passfile: readonly PassfileEntry[];
  readonly tls: TlsSettings;
  readonly applicationName: string;
  /** Command-line options for the server process (libpq's `options`), e.g. `endpoint=…` for Neon. */
  readonly options: string | undefined;
  readonly connectTimeoutMs: number;
  readonly targetSessionAttributes: TargetSessionAttributes;
  /**
   * A session advisory lock that every session takes, shared, when it is opened: who gets it exclusively knows that all of them
   * have ended.
   */
  readonly sharedLock?: AdvisoryLock;
  /**
   * How long a session that waits for an answer may hear nothing before the server is asked over another connection whether one can still come.
   * Default: 5 minutes; Infinity: it never is.
   */
  readonly silenceMs?: number;
  /** Receives the locks that sessions wait for; without it nobody looks. */
  readonly onLockWait?: LockWaitSink | undefined;
}

/** The two keys of an advisory lock: "9.28.10. Advisory Lock Functions". */
export type AdvisoryLock = readonly [classId: number, objectId: number];

/** What resolving may look at. The library reads no environment of its own. */
export interface Surroundings {
  /** The environment (`PG*`, `HOME`, `USER`). */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Reads a file; undefined when there is none. Requires `--allow-read` of the files of libpq that exist. */
  readonly readFile: (path: string) => Promise<string | undefined>;
}

/** Surroundings for a library caller who wants the URL alone to count. */
export const noSurroundings: Surroundings = {
  environment: {},
  readFile: () => Promise.resolve(undefined),
};

const defaultConnectTimeoutMs = 15_000;

/**
 * Resolves a connection URL against `PG*` variables, `~/.pgpass` and the certificate files.
 *
 * @param url see {@linkcode parseUrl}
 * @throws UsageError with everything that is wrong
 */
export async function resolveEndpoint(
  url: string,
  { side, path = `--${side}`, surroundings = noSurroundings }: {
    readonly side: Side;
    readonly path?: string;
    readonly surroundings?: Surroundings;
  },
): Promise<Endpoint> {
  const { environment } = surroundings;
  const parsed = parseUrl(url, path);
  if (parsed.parts === undefined) throw new UsageError(parsed.problems);
  const { parts } = parsed;
  const problems: Problem[] = [];
  const problem = (message: string) => void problems.push({ path, message });
  const setting = (keyword: string, variable: string) =>
    parts.parameters[keyword] ?? nonEmpty(environment[variable]);

  const user = parts.user ?? setting("user", "PGUSER") ?? environment["USER"] ??
    environment["LOGNAME"] ?? environment["USERNAME"];
  if (!user) problem("names no user; write postgresql://USER@host/database");

  const timeout = setting("connect_timeout", "PGCONNECT_TIMEOUT");
  if (timeout !== undefined && !/^-?\d+$/.test(timeout)) {
    problem(`connect_timeout "${timeout}" is not a whole number of seconds`);
  }
  const attributes = setting("target_session_attrs", "PGTARGETSESSIONATTRS") ?? "any";
  if (!includes(targetSessionAttributes, attributes)) {
    problem(
      `target_session_attrs "${attributes}" is none of ${targetSessionAttributes.join(", ")}`,
    );
  }
  const hosts = resolveHosts(parts, setting, problem);
  const tls = await resolveTls(hosts, setting, surroundings, problem);
  const home = environment["HOME"] ?? environment["USERPROFILE"];
  const passfilePath = setting("passfile", "PGPASSFILE") ?? (home && `${home}/.pgpass`);
  const passfileText = passfilePath ? await surroundings.readFile(passfilePath) : undefined;
  const password = parts.password ?? setting("password", "PGPASSWORD");
  const database = parts.database ?? setting("dbname", "PGDATABASE");

  if (problems.length > 0 || !user || !includes(targetSessionAttributes, attributes)) {
    throw new UsageError(problems);
  }
  return {
    side,
    hosts,
    user,
    database: database ?? user,
    databaseGiven: database !== undefined,
    password: password === undefined ? undefined : new Secret(password),
    passfile: passfileText === undefined ? [] : parsePassfile(passfileText),
    tls,
    applicationName: setting("application_name", "PGAPPNAME") ??
      parts.parameters["fallback_application_name"] ?? "postgres-seren-replicator",
    options: setting("options", "PGOPTIONS"),
    connectTimeoutMs: timeout === undefined || Number(timeout) <= 0
      ? defaultConnectTimeoutMs
      : Math.max(2, Number(timeout)) * 1000, // libpq rounds 1 up to 2
    targetSessionAttributes: attributes,
  };
}

type Setting = (keyword: string, variable: string) => string | undefined;

function resolveHosts(
  { hosts, parameters }: {
    hosts: readonly Partial<HostPort>[];
    parameters: Readonly<Record<string, string>>;
  },
  setting: Setting,
  problem: (message: string) => void,
): readonly HostPort[] {
  const hostList = setting("host", "PGHOST")?.split(",");
  const portList = setting("port", "PGPORT")?.split(",");
  const given: readonly Partial<HostPort>[] = hosts.some(({ host }) => host !== undefined)
    ? hosts
    : (hostList ?? ["localhost"]).map((host, index) => ({ host, ...hosts[index] }));
  const addresses = parameters["hostaddr"]?.split(",");
  return given.map(({ host, port }, index) => {
    const portText = portList?.length === 1 ? portList[0] : portList?.[index];
    const fallback = portText === undefined || portText === "" ? 5432 : parsePort(portText);
    if (fallback === undefined) problem(`port "${portText}" is not a number from 1 to 65535`);
    return { host: addresses?.[index] ?? (host || "localhost"), port: port ?? fallback ?? 5432 };
  });
}

async function resolveTls(
  hosts: readonly HostPort[],
  setting: Setting,
  { environment, readFile }: Surroundings,
  problem: (message: string) => void,
): Promise<TlsSettings> {
  const home = environment["HOME"] ?? environment["USERPROFILE"];
  const inHome = (name: string) => home === undefined ? undefined : `${home}/.postgresql/${name}`;
  const rootSetting = setting("sslrootcert", "PGSSLROOTCERT");
  const system = rootSetting === "system";
  const modeText = setting("sslmode", "PGSSLMODE") ?? (system ? "verify-full" : "prefer");
  const mode = includes(sslModes, modeText) ? modeText : "prefer";
  if (!includes(sslModes, modeText)) {
    problem(`sslmode "${modeText}" is none of ${sslModes.join(", ")}`);
  }
  if (system && mode !== "verify-full") {
    problem(`sslrootcert=system needs sslmode=verify-full, not "${mode}"`);
  }

  const sockets = hosts.every(({ host }) => host.startsWith("/"));
  const verifying = mode === "verify-ca" || mode === "verify-full";
  const wanted = !sockets && mode !== "disable" && mode !== "allow" && mode !== "prefer";
  const rootPath = system ? undefined : rootSetting ?? inHome("root.crt");
  const roots = wanted && rootPath !== undefined ? await readFile(rootPath) : undefined;
  if (verifying && !sockets && !system && roots === undefined) {
    problem(
      `sslmode=${mode} needs the certificate of the authority that signed the server's: ` +
        `${
          rootPath ?? "~/.postgresql/root.crt"
        } is not there. Name its file with sslrootcert=FILE, ` +
        `or use sslrootcert=system for a public authority`,
    );
  }
  const certificatePath = setting("sslcert", "PGSSLCERT") ?? inHome("postgresql.crt");
  const keyPath = setting("sslkey", "PGSSLKEY") ?? inHome("postgresql.key");
  const usesTls = !sockets && mode !== "disable";
  const certificate = usesTls && certificatePath ? await readFile(certificatePath) : undefined;
  const key = certificate !== undefined && keyPath ? await readFile(keyPath) : undefined;
  if (usesTls && setting("sslcert", "PGSSLCERT") !== undefined && certificate === undefined) {
    problem(`sslcert: there is no file ${certificatePath}`);
  }
  if (certificate !== undefined && key === undefined) {
    problem(
      `the client certificate ${certificatePath} needs its key; ${
        keyPath ?? "sslkey"
      } is not there`,
    );
  }
  const passphrase = setting("sslpassword", "PGSSLPASSWORD");
  return {
    mode,
    rootCertificates: system ? "system" : roots,
    client: certificate === undefined || key === undefined ? undefined : {
      certificate,
      key: new Secret(key),
      passphrase: passphrase === undefined ? undefined : new Secret(passphrase),
    },
    serverNameIndication: setting("sslsni", "PGSSLSNI") !== "0",
    files: {
      sslrootcert: system ? "system" : roots === undefined ? undefined : rootPath,
      sslcert: certificate === undefined ? undefined : certificatePath,
      sslkey: certificate === undefined ? undefined : keyPath,
    },
  };
}

/** The same server, another database; everything else is kept. */
export function withDatabase(endpoint: Endpoint, database: string): Endpoint {
  return { ...endpoint, database, databaseGiven: true };
}

/** The password for one of the endpoint's hosts: from the URL or environment, else from the password file. */
export function passwordFor(endpoint: Endpoint, { host, port }: HostPort): Secret | undefined {
  return endpoint.password ??
    findPassword(endpoint.passfile, {
      host,
      port,
      database: endpoint.database,
      user: endpoint.user,
    });
}

/** The endpoint as a URL for people: no password, no parameters. */
export function describeEndpoint({ hosts, user, database }: Endpoint): string {
  const places = hosts.map(({ host, port }) => describeHost({ host, port })).join(",");
  return `postgresql://${encodeURIComponent(user)}@${places}/${encodeURIComponent(database)}`;
}

/** A host and port for people. */
export function describeHost({ host, port }: HostPort): string {
  if (host.startsWith("/")) return `${host}/.s.PGSQL.${port}`;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function includes<Value extends string>(values: readonly Value[], text: string): text is Value {
  return (values as readonly string[]).includes(text);
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
