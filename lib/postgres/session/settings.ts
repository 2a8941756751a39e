/**
 * Settings that every session pins, because a default of server, database or role could change the
 * form of data or end a long step.
 *
 * @module
 */
import { quoteLiteral } from "../../core/internal.ts";
import type { AdvisoryLock, Endpoint } from "../connect/endpoint.ts";

/**
 * Settings that expressions can observe but copied bytes do not depend on: the source writes dates
 * in ISO order with offset, intervals with all signs and floats in full, and every server reads
 * those the same way whatever its own style.
 *
 * Sessions that compute values (see `SessionOptions.computesValues`) keep those of the target's
 * database and role.
 */
const expressionSettings: Readonly<Record<string, string>> = {
  TimeZone: "UTC",
  DateStyle: "ISO, YMD",
  IntervalStyle: "postgres",
  extra_float_digits: "3",
  bytea_output: "hex",
  lc_numeric: "C",
  lc_time: "C",
};

/** Settings of every session. */
const commonSettings: Readonly<Record<string, string>> = {
  // input and output of values
  lc_monetary: "C",
  xmloption: "content",
  array_nulls: "on", // off: the element NULL is read as the text "NULL"
  standard_conforming_strings: "on",
  backslash_quote: "safe_encoding",
  // meaning of names, rows and statements
  search_path: "",
  row_security: "off", // a policy that would hide rows is an error instead
  transform_null_equals: "off",
  quote_all_identifiers: "off",
  check_function_bodies: "off",
  // on: the expressions of CHECKs are evaluated while a query is planned
  constraint_exclusion: "off",
  default_tablespace: "",
  default_table_access_method: "heap",
  lo_compat_privileges: "off",
  default_transaction_read_only: "off",
  default_transaction_isolation: "read committed",
  default_transaction_deferrable: "off",
  synchronize_seqscans: "off",
  // 17+, where the role may set it; for login triggers see startup_event_triggers.ts
  event_triggers: "off",
  // no timeout may end a long step
  statement_timeout: "0",
  lock_timeout: "0",
  idle_in_transaction_session_timeout: "0",
  idle_session_timeout: "0", // 14+
  transaction_timeout: "0", // 17+
  // keepalives by the server, where they can be set per session; they also keep the path through a
  // load balancer open
  tcp_keepalives_idle: "60",
  tcp_keepalives_interval: "10",
  // ends a long statement whose client was killed (14+, see below)
  client_connection_check_interval: "5s",
  // fewer messages
  client_min_messages: "warning",
};

/**
 * An owner can replace a table or sequence by a view after the catalog has been read, and a view
 * runs the owner's code with this role's privileges. pg_dump sets the same.
 *
 * Source: PostgreSQL documentation, "19.11.1. Statement Behavior" (12.20, 13.16, 14.13, 15.8, 16.4
 * and newer).
 */
const tablesOnly: Readonly<Record<string, string>> = {
  restrict_nonsystem_relation_kind: "view, foreign-table",
};

/** Settings that a version does not know, or the role may not set, are skipped. */
export const pinnedSettings: Readonly<Record<string, string>> = {
  ...commonSettings,
  ...expressionSettings,
  // queries of the catalog are estimated as expensive, and compiling them takes far longer than
  // running them
  jit: "off",
};

/**
 * Statements between which a transaction of a pinned session computes values as other sessions of
 * the database would.
 */
export const ownExpressionSettings: { readonly begin: string; readonly end: string } = {
  begin: Object.keys(expressionSettings).map((name) => `SET LOCAL ${name} TO DEFAULT;`).join(" "),
  end: Object.entries(expressionSettings)
    .map(([name, value]) => `SET LOCAL ${name} TO ${quoteLiteral(value)};`).join(" "),
};

/**
 * Statements between which a transaction uses the `search_path` of database and role: only for
 * statements that run the user's expressions, see `Endpoint.ownSearchPath`.
 */
export const ownSearchPath = {
  begin: "SET LOCAL search_path TO DEFAULT;",
  end: "SET LOCAL search_path TO '';",
} as const;

/**
 * Timeout for `Endpoint.sharedLock`: shorter than that for opening the session, longer than a run
 * that takes over holds the lock.
 */
export function sharedLockTimeoutMs(
  { connectTimeoutMs }: Pick<Endpoint, "connectTimeoutMs">,
): number {
  return Math.round(Math.min(10_000, connectTimeoutMs / 2));
}

/** Settings for a session. */
export interface RequestedSettings {
  /** Skipped where the version does not know them, or the role may not set them. */
  readonly pinned: Readonly<Record<string, string>>;
  /** Set by the caller; an error where the role may not set them. */
  readonly asked: Readonly<Record<string, string>>;
}

/** The settings of a session; if it computes values, only those that expressions cannot observe. */
export function settingsFor(
  { computesValues = false, readsViews = false, settings = {} }: {
    readonly computesValues?: boolean;
    /** See `Endpoint.readsViews`. */
    readonly readsViews?: boolean | undefined;
    readonly settings?: Readonly<Record<string, string>> | undefined;
  },
): RequestedSettings {
  const pinned = computesValues ? commonSettings : pinnedSettings;
  return {
    pinned: computesValues || readsViews ? pinned : { ...pinned, ...tablesOnly },
    asked: settings,
  };
}

/**
 * For sessions whose commits must survive a crash, whatever the server's default: not all their
 * work is recorded in a ledger (sequences are not).
 */
export const durableSettings: Readonly<Record<string, string>> = { synchronous_commit: "on" };

/** Whether the URL's own `options` set a role. */
export function namesRole({ options }: Pick<Endpoint, "options">): boolean {
  return /(?:^|\s)(?:-c\s*|--)role\s*=/i.test(options ?? "");
}

/**
 * Overrides `ALTER DATABASE … SET role` and `ALTER ROLE … SET role`, so that the session acts as
 * the role in the URL. A role set by the URL's `options` is intended, and RESET restores it.
 */
export function resetRoleStatement(endpoint: Pick<Endpoint, "options">): string {
  return namesRole(endpoint) ? "RESET ROLE;" : "SET ROLE NONE;";
}

/**
 * Sets all settings that the server knows and returns version and backend, in one round trip.
 *
 * Until `search_path` is empty, any name could resolve to a function, operator or type in `public`
 * that matches better than the built-in one. So `SET`, which resolves no names, comes first: the
 * server analyzes each statement of a simple query only after the previous one has run. The other
 * statements are qualified nevertheless.
 *
 * `statement_timeout` comes next, because a short one of the database would end the rest; then the
 * role, which determines what may be set.
 */
export function pinStatements(
  { pinned, asked }: RequestedSettings,
  { sharedLock, connectTimeoutMs, options }: {
    readonly sharedLock: AdvisoryLock | undefined;
    readonly connectTimeoutMs: number;
    readonly options: Endpoint["options"];
  },
): string {
  const row = (isAsked: boolean) => ([name, value]: [string, string]) =>
    `(${quoteLiteral(name.toLowerCase())}, ${quoteLiteral(value)}, ${isAsked})`;
  const rows = [
    ...Object.entries(pinned).filter(([name]) => !(name in asked)).map(row(false)),
    ...Object.entries(asked).map(row(true)),
  ].join(", ");
  const lock = sharedLock === undefined
    ? ""
    : `SET lock_timeout = ${sharedLockTimeoutMs({ connectTimeoutMs })};
    SELECT pg_catalog.pg_advisory_lock_shared(${sharedLock.join(", ")});
    SET lock_timeout = 0;`;
  return `
    SET search_path = '';
    SET statement_timeout = 0;
    ${resetRoleStatement({ options })}
    ${lock}
    SELECT pg_catalog.count(pg_catalog.set_config(known.name, requested.value, false))
             -- for superusers behind a pooler that rejected the parameter in the startup packet
             FILTER (WHERE requested.is_asked
                        OR known.context OPERATOR(pg_catalog.<>) 'superuser'
                        OR pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on')
             AS set,
           pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS server_version,
           pg_catalog.pg_backend_pid() AS pid,
           (extract(epoch FROM pg_catalog.pg_postmaster_start_time())
             OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8::pg_catalog.text AS server_start,
           (extract(epoch FROM pg_catalog.clock_timestamp())
             OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8::pg_catalog.text AS opened_at,
           pg_catalog.pg_is_in_recovery() AS in_recovery,
           pg_catalog.current_setting('transaction_read_only') AS read_only,
           pg_catalog.max(known.setting)
             FILTER (WHERE known.name OPERATOR(pg_catalog.=) 'event_triggers') AS event_triggers
      FROM (VALUES ${rows}) AS requested (name, value, is_asked)
      JOIN pg_catalog.pg_settings AS known
        ON pg_catalog.lower(known.name) OPERATOR(pg_catalog.=) requested.name
     -- supported on Linux only
     WHERE known.name OPERATOR(pg_catalog.<>) 'client_connection_check_interval'
        OR pg_catalog.version() OPERATOR(pg_catalog.~) 'linux'`;
}
