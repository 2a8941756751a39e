/**
 * Connections to PostgreSQL: URLs, TLS, sessions, and the protocol where the driver is too slow.
 *
 * Requires `--allow-net` for the hosts; `--allow-read --allow-write` of its folder for a Unix socket.
 *
 * @module
 */
export * from "./endpoint.ts";
export {
  describeLockWait,
  type LockWait,
  type LockWaitOver,
  type LockWaitSink,
} from "./lock_wait.ts";
export type { LockBlocker } from "./lock_wait.ts";
export { acceptsStartupOption, startupOption } from "./event_triggers.ts";
export * from "./open_patiently.ts";
export * from "./open_session.ts";
export {
  followOwnBackends,
  noteOwnBackend,
  type OwnBackendChange,
  type OwnBackendListener,
} from "./own_backends.ts";
export {
  besideEventTriggers,
  type EventTrigger,
  readEventTriggers,
  silenceEventTriggers,
  withoutEventTriggers,
} from "./own_ddl.ts";
export * from "./passfile.ts";
export * from "./pool.ts";
export * from "./program_lock_watch.ts";
export * from "./query_bytes.ts";
export * from "./relay.ts";
export { actAsReplica } from "./replica_role.ts";
export * from "./retry.ts";
export * from "./server_error.ts";
export * from "./session.ts";
export * from "./libpq_words.ts";
export * from "./login_rules.ts";
export * from "./message_limits.ts";
export {
  durableSettings,
  namesRole,
  ownExpressionSettings,
  ownSearchPath,
  resetRoleStatement,
} from "./settings.ts";
export * from "./snapshot.ts";
export * from "./sqlstate.ts";
export * from "./thread_messages.ts";
export {
  type SslMode,
  sslModes,
  type TlsNegotiation,
  type TlsSettings,
  type TlsVersion,
} from "./tls_settings.ts";
export { keepOutOfLog } from "./unlogged.ts";
export * from "./url.ts";
export { libpqVariables } from "./url_parameters.ts";
export type { ValueForm } from "./driver.ts";
export type { Receiver } from "./wire.ts";
