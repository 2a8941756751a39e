/**
 * Errors of servers and connections. They name side, host and database, never a password.
 *
 * @module
 */
import { errorMessage, ExitCode, redact, ReplicatorError, type Side } from "../../core/internal.ts";
import { describeEndpoint, describeHost, type Endpoint } from "./endpoint.ts";
import { LoginError, StartupRefusedError } from "./login_error.ts";
import type { ServerMessage } from "../protocol/server_message.ts";
import { ProtocolError } from "../protocol/message_limits.ts";
import { isTransientState, SqlState } from "../protocol/sqlstate.ts";
import { UnknownHostError } from "./unknown_host.ts";
import type { HostPort } from "./url.ts";

/** A server rejected a statement. */
export class ServerError extends ReplicatorError {
  /** Class name, for `error.name`. */
  override readonly name = "ServerError";
  /** SQLSTATE of five characters: `42P01`. */
  readonly sqlState: string;
  /** The server's message with all fields; may contain row values. */
  readonly serverMessage: ServerMessage;

  /** The server's HINT is the remedy unless one is given. */
  constructor(
    serverMessage: ServerMessage,
    { side, object, remedy }: {
      readonly side: Side;
      readonly object: string | undefined;
      readonly remedy?: string | undefined;
    },
  ) {
    const { sqlState, message, detail, hint, context } = serverMessage;
    super(redact(`${message} (SQLSTATE ${sqlState})`), {
      side,
      object,
      remedy: remedy ?? hint,
      details: [
        ...(detail === undefined ? [] : [`Detail: ${redact(detail)}`]),
        ...(context === undefined ? [] : [`Where: ${redact(context)}`]),
      ],
      exitCode: isTransientState(sqlState) ? unreachable(side) : ExitCode.stepFailed,
      transient: isTransientState(sqlState),
    });
    this.sqlState = sqlState;
    this.serverMessage = serverMessage;
  }
}

/** The connection failed to open, or ended unexpectedly. */
export class ConnectionError extends ReplicatorError {
  /** Class name, for `error.name`. */
  override readonly name = "ConnectionError";
  /** SQLSTATE with which the server rejected the connection; undefined when it did not answer. */
  readonly sqlState: string | undefined;
  /**
   * Whether nothing answers at any address of the URL: the host name does not exist, or no server
   * listens there. Of a server that answered before, it says that the server restarts.
   */
  readonly absent: boolean;
  readonly #endpoint: Endpoint;

  /** Passwords and other secrets in the message are redacted. */
  constructor(
    message: string,
    { endpoint, remedy, cause, transient, sqlState, absent = false }: {
      readonly endpoint: Endpoint;
      readonly sqlState?: string | undefined;
      readonly absent?: boolean;
      readonly remedy?: string | undefined;
      readonly cause?: unknown;
      readonly transient: boolean;
    },
  ) {
    super(redact(message), {
      side: endpoint.side,
      object: describeEndpoint(endpoint),
      remedy,
      cause,
      exitCode: unreachable(endpoint.side),
      transient,
    });
    this.sqlState = sqlState;
    this.absent = absent;
    this.#endpoint = endpoint;
  }

  /** The same error, naming the work that it interrupted. */
  during(work: string): ConnectionError {
    return new ConnectionError(`${this.message} during ${work}`, {
      endpoint: this.#endpoint,
      remedy: this.remedy,
      cause: this.cause,
      transient: this.transient,
      sqlState: this.sqlState,
      absent: this.absent,
    });
  }
}

function unreachable(side: Side): ExitCode {
  return side === "source" ? ExitCode.sourceUnreachable : ExitCode.targetUnreachable;
}

/** Reads the fields of an error of postgres.js; undefined when it is not the server's. */
export function serverMessageOf(error: unknown): ServerMessage | undefined {
  if (error instanceof StartupRefusedError) return error.serverMessage;
  if (!(error instanceof Error) || error.name !== "PostgresError") return undefined;
  const fields = error as Error & Partial<Record<string, string>>;
  return {
    sqlState: fields["code"] ?? "XX000",
    message: error.message,
    detail: fields["detail"],
    hint: fields["hint"],
    context: fields["where"],
    constraint: fields["constraint_name"],
    schema: fields["schema_name"],
  };
}

/** The server violated the protocol. Not transient: it would do so again. */
export function protocolFailure(
  error: ProtocolError,
  endpoint: Endpoint,
  place: HostPort,
): ConnectionError {
  return new ConnectionError(
    `the connection to ${
      describeHost(place)
    } was closed because the server violated the protocol: ${error.message}`,
    {
      endpoint,
      transient: false,
      remedy:
        "check that this is PostgreSQL and a server that you trust; if so, report this with its version",
      cause: error,
    },
  );
}

/** Explains why a session failed to open on one host. */
export function connectionFailure(
  error: unknown,
  endpoint: Endpoint,
  place: HostPort,
): ConnectionError {
  const at = describeHost(place);
  const message = serverMessageOf(error);
  if (message !== undefined) {
    return new ConnectionError(`${at} refused: ${message.message} (SQLSTATE ${message.sqlState})`, {
      endpoint,
      sqlState: message.sqlState,
      transient: isTransientState(message.sqlState),
      remedy: refusalRemedies[message.sqlState] ?? message.hint,
    });
  }
  if (error instanceof LoginError) {
    return new ConnectionError(`${at}: ${error.message}`, {
      endpoint,
      transient: false,
      remedy: error.remedy,
    });
  }
  if (error instanceof ProtocolError) return protocolFailure(error, endpoint, place);
  const text = errorMessage(error);
  const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
  const known = code === undefined ? undefined : certificateRemedies[code];
  if (known !== undefined || error instanceof Error && /^Tls\w+Error$/.test(error.name)) {
    return new ConnectionError(`${at}: TLS failed: ${text}`, {
      endpoint,
      transient: false,
      remedy: known ?? "enable TLS on the server, or use sslmode=prefer",
    });
  }
  return new ConnectionError(`cannot connect to ${at}: ${text}`, {
    endpoint,
    transient: !(error instanceof Deno.errors.NotCapable),
    absent: isAbsent(error),
    remedy: networkRemedy(error, place),
    cause: error,
  });
}

/** A socket that is missing, a closed port, or an unknown name. */
function isAbsent(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.NotFound ||
    error instanceof UnknownHostError;
}

const refusalRemedies: Readonly<Record<string, string>> = {
  [SqlState.invalidPassword]:
    "check user and password; percent-encode special characters in the URL's password; check ~/.pgpass and PGPASSWORD too",
  [SqlState.invalidAuthorization]:
    "check that the role exists and may log in; if so, pg_hba.conf rejects it from this address, with or without TLS: add an entry there, or use another sslmode",
  [SqlState.invalidCatalogName]: "name an existing database in the URL's path",
  [SqlState.tooManyConnections]:
    "wait for free connections, raise max_connections, or use fewer --jobs",
  [SqlState.cannotConnectNow]: "wait until the server accepts connections",
};

const certificateRemedies: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT:
    "the server's certificate is self-signed; specify it with sslrootcert=FILE",
  SELF_SIGNED_CERT_IN_CHAIN: "specify the certificate of its authority with sslrootcert=FILE",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    "the certificate is not signed by an authority in sslrootcert; name the right file",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    "the certificate is not signed by an authority in sslrootcert; name the right file",
  UNABLE_TO_GET_ISSUER_CERT:
    "the certificate is not signed by an authority in sslrootcert; name the right file",
  CERT_HAS_EXPIRED: "the certificate has expired; renew it",
  ERR_TLS_CERT_ALTNAME_INVALID:
    "the certificate is for another host name; use that name in the URL, or sslmode=verify-ca to accept any name",
};

function networkRemedy(error: unknown, { host, port }: HostPort): string | undefined {
  if (error instanceof UnknownHostError) return "check the host name in the URL";
  if (error instanceof Deno.errors.ConnectionRefused) {
    return `nothing listens there; check that the server is running on port ${port} and that listen_addresses includes this address`;
  }
  if (error instanceof Deno.errors.NotFound) {
    return "the Unix socket does not exist; check that the server is running";
  }
  if (error instanceof Deno.errors.NotCapable) {
    return `grant the permission: --allow-net=${host.includes(":") ? `[${host}]` : host}:${port}`;
  }
  if (error instanceof DOMException && error.name === "TimeoutError") {
    return "check address, firewall and security groups; connect_timeout=SECONDS extends the timeout";
  }
  return "check host name, port, network and firewall";
}
