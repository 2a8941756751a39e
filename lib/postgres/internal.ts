/**
 * Exports of `postgres` for the rest of this repository. Not part of the published API: see
 * `mod.ts`.
 *
 * @internal
 */
export * from "./connect/endpoint.ts";
export * from "./connect/lock_wait.ts";
export * from "./connect/resolve_environment.ts";
export { acceptsStartupOption, startupOption } from "./connect/startup_event_triggers.ts";
export * from "./session/open_session_with_retry.ts";
export * from "./session/open_session.ts";
export {
  followOwnBackends,
  noteOwnBackend,
  type OwnBackendChange,
  type OwnBackendListener,
} from "./session/own_backends.ts";
export {
  besideEventTriggers,
  type EventTrigger,
  readEventTriggers,
  readUnsilencedEventTriggers,
  silenceEventTriggers,
  withoutEventTriggers,
} from "./session/event_triggers.ts";
export * from "./connect/passfile.ts";
export * from "./session/pool.ts";
export { terminatePreviousBackend } from "./session/previous_backend.ts";
export * from "./session/program_lock_watch.ts";
export * from "./session/query_bytes.ts";
export * from "./session/relay.ts";
export { actAsReplica } from "./session/replica_role.ts";
export * from "./connect/server_error.ts";
export * from "./session/row.ts";
export * from "./session/session.ts";
export * from "./connect/libpq_parameters.ts";
export * from "./connect/login_rules.ts";
export {
  copyDone,
  decodeErrorFields,
  decodeTag,
  encodeFrame,
  encodeQuery,
  frame,
  type FramePlace,
  FrameScanner,
} from "./protocol/frames.ts";
export * from "./protocol/message_limits.ts";
export * from "./protocol/pgoutput.ts";
export * from "./protocol/tuple.ts";
export {
  durableSettings,
  namesRole,
  ownExpressionSettings,
  ownSearchPath,
  resetRoleStatement,
} from "./session/settings.ts";
export * from "./session/snapshot.ts";
export * from "./protocol/server_message.ts";
export * from "./protocol/sqlstate.ts";
export * from "./session/thread_messages.ts";
export * from "./session/wal_feed.ts";
export {
  type SslMode,
  sslModes,
  type TlsNegotiation,
  type TlsSettings,
  type TlsVersion,
} from "./connect/tls_settings.ts";
export { keepOutOfLog } from "./session/suppress_logging.ts";
export * from "./connect/url.ts";
export { libpqVariables } from "./connect/url_parameters.ts";
export type { ValueForm } from "./session/driver.ts";
export type { ExchangeConnection, Receiver } from "./connect/connection.ts";
