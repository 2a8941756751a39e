/**
 * Connections to PostgreSQL: URLs as `psql` takes them, TLS, sessions, snapshots, and a relay that
 * passes COPY data from one server to another without parsing it.
 *
 * Requires `--allow-net` for the hosts; for a Unix socket `--allow-read` and `--allow-write` of its
 * folder.
 *
 * @example Copy a table from one server to another
 * ```ts
 * import { openSession, relayCopies, resolveEndpoint } from "@seren/postgres-replicator/postgres";
 *
 * await using source = await openSession(
 *   await resolveEndpoint(Deno.env.get("SOURCE_URL")!, { side: "source" }),
 * );
 * await using target = await openSession(
 *   await resolveEndpoint(Deno.env.get("TARGET_URL")!, { side: "target" }),
 * );
 * await target.execute("CREATE TEMPORARY TABLE numbers (n int)");
 * const jobs = [{
 *   name: "numbers",
 *   copyOut: "COPY (SELECT generate_series(1, 1000)) TO STDOUT",
 *   copyIn: "COPY numbers FROM STDIN",
 *   expectedBytes: 0,
 * }];
 * await relayCopies(source, target, {
 *   next: () => jobs.shift(),
 *   onFinished: ({ name }, { rows }) => console.log(`${name}: ${rows} rows`),
 * });
 * ```
 *
 * @module
 */
export { isTransient } from "../core/internal.ts";
export {
  type AdvisoryLock,
  type ChannelBinding,
  channelBindings,
  ConnectionError,
  type CopyJob,
  type CopyOutcome,
  describeEndpoint,
  emptyEnvironment,
  type Endpoint,
  type ExchangeConnection,
  type FilePermissions,
  type HostPort,
  importSnapshot,
  type LockBlocker,
  type LockWait,
  type LockWaitOver,
  type LockWaitSink,
  type LoginRules,
  openSession,
  type Parameter,
  type ParsedUrl,
  parseUrl,
  type PassfileEntry,
  type Receiver,
  relayCopies,
  type RelayOptions,
  resolveEndpoint,
  type ResolveEnvironment,
  type Row,
  ServerError,
  type ServerMessage,
  Session,
  type SessionOptions,
  SnapshotHolder,
  SnapshotLostError,
  SqlState,
  type SslMode,
  sslModes,
  type TargetSessionAttributes,
  targetSessionAttributes,
  type TlsNegotiation,
  type TlsSettings,
  type TlsVersion,
  type UrlParts,
  type ValueForm,
  withDatabase,
} from "./internal.ts";
