/**
 * Endpoints and errors as plain data, for messages between threads: classes do not survive them.
 *
 * @module
 */
import { type ExitCode, ReplicatorError, Secret, type Side } from "../../core/internal.ts";
import { type Endpoint, passwordFor } from "../connect/endpoint.ts";
import { noteEventTriggers, refusingHosts } from "../connect/startup_event_triggers.ts";
import type { LockWaitSink } from "../connect/lock_wait.ts";
import type { PassfileEntry } from "../connect/passfile.ts";
import { ConnectionError, ServerError } from "../connect/server_error.ts";
import type { ServerMessage } from "../protocol/server_message.ts";
import { SnapshotLostError } from "./snapshot.ts";
import type { TlsSettings } from "../connect/tls_settings.ts";
import type { HostPort } from "../connect/url.ts";

/**
 * An endpoint with its secrets in plain text. Only for messages to a thread of this process; never
 * print it.
 */
export type EndpointMessage =
  & Omit<Endpoint, "password" | "passfile" | "tls" | "onLockWait">
  & {
    readonly password: string | undefined;
    readonly passfile: readonly (Omit<PassfileEntry, "password"> & { readonly password: string })[];
    readonly tls: Omit<TlsSettings, "client"> & {
      readonly client:
        | {
          readonly certificate: string;
          readonly key: string;
          readonly passphrase: string | undefined;
        }
        | undefined;
    };
    /** Whether to report the locks that sessions wait for. */
    readonly reportsLockWaits: boolean;
    /** See startup_event_triggers.ts. */
    readonly refusing: readonly HostPort[];
  };

/** Converts an endpoint, with only those entries of the password file that its hosts need. */
export function endpointToMessage(endpoint: Endpoint): EndpointMessage {
  const { onLockWait, ...plain } = endpoint;
  const { user, database, tls } = endpoint;
  const passfile = endpoint.password !== undefined ? [] : endpoint.hosts.flatMap((place) => {
    const password = passwordFor(endpoint, place)?.reveal();
    const key = { host: place.host, port: String(place.port), user, database };
    return password === undefined ? [] : [{ ...key, password }];
  });
  return {
    ...plain,
    password: endpoint.password?.reveal(),
    passfile,
    reportsLockWaits: onLockWait !== undefined,
    refusing: refusingHosts(endpoint),
    tls: {
      ...tls,
      client: tls.client === undefined ? undefined : {
        certificate: tls.client.certificate,
        key: tls.client.key.reveal(),
        passphrase: tls.client.passphrase?.reveal(),
      },
    },
  };
}

/**
 * Restores the endpoint from a message.
 *
 * @param onLockWait receives the locks that its sessions wait for, if the original endpoint
 * reported them
 */
export function endpointFromMessage(
  { refusing, reportsLockWaits, ...message }: EndpointMessage,
  onLockWait?: LockWaitSink,
): Endpoint {
  const { tls, password } = message;
  const secret = (text: string | undefined) => text === undefined ? undefined : new Secret(text);
  const endpoint: Endpoint = {
    ...message,
    onLockWait: reportsLockWaits ? onLockWait : undefined,
    password: secret(password),
    passfile: message.passfile.map((entry) => ({ ...entry, password: new Secret(entry.password) })),
    tls: {
      ...tls,
      client: tls.client === undefined ? undefined : {
        certificate: tls.client.certificate,
        key: new Secret(tls.client.key),
        passphrase: secret(tls.client.passphrase),
      },
    },
  };
  for (const place of refusing) noteEventTriggers(endpoint, { place, accepted: false });
  return endpoint;
}

/** An error as plain data. */
export type ErrorMessage =
  & { readonly message: string; readonly cause: ErrorMessage | undefined }
  & (
    | { readonly kind: "server"; readonly server: ServerMessage; readonly facts: ErrorFacts }
    | {
      readonly kind: "connection";
      readonly transient: boolean;
      readonly sqlState: string | undefined;
      readonly facts: ErrorFacts;
    }
    | { readonly kind: "snapshot-lost" | "expected"; readonly facts: ErrorFacts }
    | { readonly kind: "other"; readonly name: string; readonly stack: string | undefined }
  );

/** The fields of an expected error besides its message. */
export interface ErrorFacts {
  readonly side: Side | undefined;
  readonly object: string | undefined;
  readonly details: readonly string[];
  readonly remedy: string | undefined;
  readonly exitCode: ExitCode;
}

/** Converts an error. */
export function errorToMessage(error: unknown): ErrorMessage {
  if (!(error instanceof Error)) {
    return {
      kind: "other",
      name: "Error",
      message: String(error),
      stack: undefined,
      cause: undefined,
    };
  }
  const { message, name, stack } = error;
  const cause = error.cause === undefined ? undefined : errorToMessage(error.cause);
  if (!(error instanceof ReplicatorError)) return { kind: "other", name, message, stack, cause };
  const { side, object, details, remedy, exitCode } = error;
  const shared = { message, cause, facts: { side, object, details, remedy, exitCode } };
  if (error instanceof ServerError) {
    return { kind: "server", server: error.serverMessage, ...shared };
  }
  if (error instanceof ConnectionError) {
    return {
      kind: "connection",
      transient: error.transient,
      sqlState: error.sqlState,
      ...shared,
    };
  }
  return { kind: error instanceof SnapshotLostError ? "snapshot-lost" : "expected", ...shared };
}

/**
 * Restores the error from a message, with the class that callers branch on.
 *
 * @param endpoints both sides, for connection errors
 */
export function errorFromMessage(
  error: ErrorMessage,
  endpoints: Readonly<Record<Side, Endpoint>>,
): Error {
  const cause = error.cause === undefined ? undefined : errorFromMessage(error.cause, endpoints);
  switch (error.kind) {
    case "server": {
      const { side = "source", object, remedy } = error.facts;
      return new ServerError(error.server, { side, object, remedy });
    }
    case "connection": {
      const { side = "source", remedy } = error.facts;
      const { transient, sqlState } = error;
      const endpoint = endpoints[side];
      return new ConnectionError(error.message, { endpoint, transient, sqlState, remedy, cause });
    }
    case "snapshot-lost":
      return new SnapshotLostError(error.message, { ...error.facts, cause });
    case "expected":
      return new ReplicatorError(error.message, { ...error.facts, cause });
    case "other": {
      const revived = new Error(error.message, { cause });
      revived.name = error.name;
      if (error.stack !== undefined) revived.stack = error.stack;
      return revived;
    }
  }
}
