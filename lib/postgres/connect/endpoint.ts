/**
 * An endpoint: a URL, libpq's environment and its files resolved into one plain value.
 *
 * @module
 */
import { type Problem, Secret, type Side, UsageError } from "../../core/internal.ts";
import type { LockWaitSink } from "./lock_wait.ts";
import {
  allowedMethods,
  channelBindings,
  type LoginRules,
  requireAuthProblem,
} from "./login_rules.ts";
import { emptyEnvironment, type ResolveEnvironment } from "./resolve_environment.ts";
import { findPassword, parsePassfile, type PassfileEntry } from "./passfile.ts";
import { resolveTls, type TlsSettings } from "./tls_settings.ts";
import { type HostPort, parsePort, parseUrl } from "./url.ts";
import { ConnectionParameters } from "./url_parameters.ts";

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

/** A database and everything needed to connect to it. No default remains unresolved. */
export interface Endpoint {
  /** Whether it is the source or the target, for messages and exit codes. */
  readonly side: Side;
  /** Tried in order. */
  readonly hosts: readonly HostPort[];
  /** Role name, unquoted. */
  readonly user: string;
  /** Database name, unquoted. */
  readonly database: string;
  /** Whether the database was named, rather than defaulting to the user's name as in libpq. */
  readonly databaseGiven: boolean;
  /** Password from URL or environment; undefined if none was given. */
  readonly password: Secret | undefined;
  /** Entries of the password file, in order; empty without one. */
  readonly passfile: readonly PassfileEntry[];
  /** TLS mode, versions and certificates; libpq's `ssl…` parameters. */
  readonly tls: TlsSettings;
  /** Required authentication methods and channel binding. */
  readonly login: LoginRules;
  /** Sent as `application_name`, shown in `pg_stat_activity`. */
  readonly applicationName: string;
  /**
   * Command-line options for the server process (libpq's `options`), e.g. `endpoint=…` for Neon.
   */
  readonly options: string | undefined;
  /** Limit on connecting to one host, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** Which host is acceptable: `any`, `read-write`, `primary`, … */
  readonly targetSessionAttributes: TargetSessionAttributes;
  /**
   * A session-level advisory lock that every session takes in shared mode when it is opened:
   * acquiring it exclusively proves that all of them have ended.
   */
  readonly sharedLock: AdvisoryLock | undefined;
  /**
   * How long a session that waits for an answer may receive nothing before the server is asked over
   * another connection whether an answer can still come. Infinity disables the check.
   */
  readonly silenceMs: number;
  /**
   * Whether statements that run the user's expressions (COPY, index builds, refreshes, validation)
   * use the `search_path` of database and role instead of an empty one, which pg_dump uses.
   */
  readonly ownSearchPath: boolean;
  /** Whether sessions may read user-defined views, as the caller's own predicates may. */
  readonly readsViews: boolean;
  /** Receives the locks that sessions wait for; undefined: they are not monitored. */
  readonly onLockWait: LockWaitSink | undefined;
}

/** The two keys of an advisory lock: "9.28.10. Advisory Lock Functions". */
export type AdvisoryLock = readonly [classId: number, objectId: number];

const defaultConnectTimeoutMs = 15_000;

/** How sessions of an endpoint behave unless its command decides otherwise. */
const sessionDefaults = {
  sharedLock: undefined,
  silenceMs: 300_000,
  ownSearchPath: false,
  readsViews: false,
  onLockWait: undefined,
} as const;

/**
 * Resolves a connection URL against `PG*` variables, `~/.pgpass` and the certificate files.
 *
 * @param url see {@linkcode parseUrl}
 * @throws UsageError with all problems
 */
export async function resolveEndpoint(
  url: string,
  { side, path = `--${side}`, resolveEnvironment = emptyEnvironment }: {
    readonly side: Side;
    readonly path?: string;
    readonly resolveEnvironment?: ResolveEnvironment;
  },
): Promise<Endpoint> {
  const { environment } = resolveEnvironment;
  const parsed = parseUrl(url, path);
  if (parsed.parts === undefined) throw new UsageError(parsed.problems);
  const { parts } = parsed;
  const problems: Problem[] = [];
  const problem = (message: string) => void problems.push({ path, message });
  const parameters = new ConnectionParameters(parts.parameters, environment);
  for (const message of parameters.problems()) problem(message);

  const user = parts.user ?? parameters.value("user") ?? environment["USER"] ??
    environment["LOGNAME"] ?? environment["USERNAME"];
  if (!user) problem("contains no user; write postgresql://USER@host/database");

  const timeout = parameters.given("connect_timeout");
  const timeoutSeconds = Number(timeout?.value ?? 0);
  if (timeout !== undefined && !/^-?\d+$/.test(timeout.value)) {
    problem(`${timeout.shown} must be a whole number of seconds`);
  }
  const attributes = parameters.given("target_session_attrs");
  const targetAttributes = attributes?.value ?? "any";
  if (!includes(targetSessionAttributes, targetAttributes)) {
    problem(`${attributes?.shown} must be one of ${targetSessionAttributes.join(", ")}`);
  }
  const hosts = resolveHosts(parts, parameters, problem);
  const tls = await resolveTls(parameters, { hosts, resolveEnvironment, problem });
  const login = resolveLogin(parameters, { hosts, tls, problem });
  const home = environment["HOME"] ?? environment["USERPROFILE"];
  const passfilePath = parameters.value("passfile") ?? (home && `${home}/.pgpass`);
  const passfileText = passfilePath
    ? await readPassfile(passfilePath, resolveEnvironment)
    : undefined;
  const password = parts.password || parameters.value("password");
  const database = parts.database ?? parameters.value("dbname");

  if (problems.length > 0 || !user || !includes(targetSessionAttributes, targetAttributes)) {
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
    login,
    applicationName: parameters.value("application_name") ??
      parameters.value("fallback_application_name") ?? "postgres-seren-replicator",
    options: parameters.value("options"),
    connectTimeoutMs: timeoutSeconds <= 0
      ? defaultConnectTimeoutMs
      : Math.max(2, timeoutSeconds) * 1000, // libpq rounds 1 up to 2
    targetSessionAttributes: targetAttributes,
    ...sessionDefaults,
  };
}

/** As in libpq, a password file that others can read is ignored with a warning. */
async function readPassfile(
  path: string,
  { readFile, permissionsOf, warn }: ResolveEnvironment,
): Promise<string | undefined> {
  const text = await readFile(path);
  if (text === undefined) return undefined;
  const permissions = await permissionsOf?.(path);
  if (permissions === undefined || (permissions.mode & groupOrWorld) === 0) return text;
  warn?.(
    `password file "${path}" has group or world access and is ignored; permissions should be u=rw (0600) or less`,
  );
  return undefined;
}

/** Permission bits for anyone but the owner. */
const groupOrWorld = 0o077;

function resolveHosts(
  { hosts }: { readonly hosts: readonly Partial<HostPort>[] },
  parameters: ConnectionParameters,
  problem: (message: string) => void,
): readonly HostPort[] {
  const hostList = parameters.value("host")?.split(",");
  const ports = parameters.given("port");
  const portList = ports?.value.split(",");
  const given: readonly Partial<HostPort>[] = hosts.some(({ host }) => host !== undefined)
    ? hosts
    : (hostList ?? ["localhost"]).map((host, index) => ({ host, ...hosts[index] }));
  const addresses = parameters.value("hostaddr")?.split(",");
  return given.map(({ host, port }, index) => {
    const portText = portList?.length === 1 ? portList[0] : portList?.[index];
    const fallback = portText === undefined || portText === "" ? 5432 : parsePort(portText);
    if (fallback === undefined) problem(`${ports?.shown} must be a number from 1 to 65535`);
    return { host: addresses?.[index] ?? (host || "localhost"), port: port ?? fallback ?? 5432 };
  });
}

function resolveLogin(
  parameters: ConnectionParameters,
  { hosts, tls, problem }: {
    readonly hosts: readonly HostPort[];
    readonly tls: TlsSettings;
    readonly problem: (message: string) => void;
  },
): LoginRules {
  const requireAuth = parameters.value("require_auth");
  const requireAuthError = requireAuth === undefined ? undefined : requireAuthProblem(requireAuth);
  if (requireAuthError !== undefined) problem(requireAuthError);
  const binding = parameters.given("channel_binding");
  const channelBinding = channelBindings.find((each) => each === (binding?.value ?? "prefer"));
  if (channelBinding === undefined) {
    problem(`${binding?.shown} must be one of ${channelBindings.join(", ")}`);
  }
  if (channelBinding === "require") {
    if (tls.mode === "disable" || hosts.some(({ host }) => host.startsWith("/"))) {
      problem(
        "channel_binding=require needs TLS: connect over TCP with sslmode=require or stricter",
      );
    }
    if (requireAuthError === undefined && !allowedMethods(requireAuth).has("scram-sha-256")) {
      problem("channel_binding=require needs scram-sha-256, which require_auth excludes");
    }
  }
  return { channelBinding: channelBinding ?? "require", requireAuth };
}

/** The same endpoint with another database. */
export function withDatabase(endpoint: Endpoint, database: string): Endpoint {
  return { ...endpoint, database, databaseGiven: true };
}

/**
 * The password for one of the endpoint's hosts: from the URL or environment, otherwise from the
 * password file.
 */
export function passwordFor(endpoint: Endpoint, { host, port }: HostPort): Secret | undefined {
  return endpoint.password ??
    findPassword(endpoint.passfile, {
      host,
      port,
      database: endpoint.database,
      user: endpoint.user,
    });
}

/** The endpoint as a URL for display: without password and parameters. */
export function describeEndpoint({ hosts, user, database }: Endpoint): string {
  const places = hosts.map(({ host, port }) => describeHost({ host, port })).join(",");
  return `postgresql://${encodeURIComponent(user)}@${places}/${encodeURIComponent(database)}`;
}

/** A host and port for display. */
export function describeHost({ host, port }: HostPort): string {
  if (host.startsWith("/")) return `${host}/.s.PGSQL.${port}`;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function includes<Value extends string>(values: readonly Value[], text: string): text is Value {
  return (values as readonly string[]).includes(text);
}
