/**
 * Settings that every session pins, because a default of server, database or role could change what
 * data looks like or end a long step.
 *
 * @module
 */
import { quoteLiteral } from "../../core/internal.ts";
import type { AdvisoryLock, Endpoint } from "../connect/endpoint.ts";

/**
 * What expressions can see, but the bytes of a copy do not depend on: the source writes dates in
 * ISO order with their offset, intervals with all of their signs, floats in full, and every server
 * reads those in the same way whatever its own style is.
 *
 * Sessions that compute values (see `SessionOptions.computesValues`) leave them as the target's
 * database and role have them.
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

/** What every session needs. */
const commonSettings: Readonly<Record<string, string>> = {
  // how values are written and read
  lc_monetary: "C",
  xmloption: "content",
  array_nulls: "on", // off: an element NULL is read as the text "NULL"
  standard_conforming_strings: "on",
  backslash_quote: "safe_encoding",
  // what names, rows and statements mean
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
  // 17+, where the role may set it; from the login on, see event_triggers.ts
  event_triggers: "off",
  // a long step must not be ended from outside
  statement_timeout: "0",
  lock_timeout: "0",
  idle_in_transaction_session_timeout: "0",
  idle_session_timeout: "0", // 14+
  transaction_timeout: "0", // 17+
  // keepalives from the server's end, where they can be set per session; they keep a load
  // balancer's path open as well
  tcp_keepalives_idle: "60",
  tcp_keepalives_interval: "10",
  // a long statement whose client was killed ends, instead of working on unseen (14+, see below)
  client_connection_check_interval: "5s",
  // noise
  client_min_messages: "warning",
};

/**
 * What was a table or a sequence when the catalog was read may be a view by the time it is read
 * itself: its owner can swap it, and a view runs the owner's code with this role's rights. pg_dump
 * sets the same.
 *
 * Source: PostgreSQL documentation, "19.11.1. Statement Behavior" (12.20, 13.16, 14.13, 15.8, 16.4
 * and newer).
 */
const tablesOnly: Readonly<Record<string, string>> = {
  restrict_nonsystem_relation_kind: "view, foreign-table",
};

/** Names and values; those that a version does not know, or the role may not set, are skipped. */
export const pinnedSettings: Readonly<Record<string, string>> = {
  ...commonSettings,
  ...expressionSettings,
};

/**
 * Statements that let what follows in a transaction of a pinned session compute values as the
 * database's own sessions would, and that end this.
 */
export const ownExpressionSettings: { readonly begin: string; readonly end: string } = {
  begin: Object.keys(expressionSettings).map((name) => `SET LOCAL ${name} TO DEFAULT;`).join(" "),
  end: Object.entries(expressionSettings)
    .map(([name, value]) => `SET LOCAL ${name} TO ${quoteLiteral(value)};`).join(" "),
};

/**
 * Statements that let what stands between them in one transaction run under the `search_path` of
 * database and role: only what computes values of the user's, see `Endpoint.ownSearchPath`.
 */
export const ownSearchPath = {
  begin: "SET LOCAL search_path TO DEFAULT;",
  end: "SET LOCAL search_path TO '';",
} as const;

/**
 * How long `Endpoint.sharedLock` is waited for: less than opening the session may take, and more
 * than the moment for which a run that takes over holds it.
 */
export function sharedLockTimeoutMs(
  { connectTimeoutMs }: Pick<Endpoint, "connectTimeoutMs">,
): number {
  return Math.round(Math.min(10_000, connectTimeoutMs / 2));
}

/** Which settings a session is given. */
export interface WantedSettings {
  /** Skipped where the version does not know them or the role may not set them. */
  readonly pinned: Readonly<Record<string, string>>;
  /** Not skipped where the role may not set them. */
  readonly asked: Readonly<Record<string, string>>;
}

/** What a session is given: everything, or where it computes values what no expression sees. */
export function settingsFor(
  { computesValues = false, readsViews = false, settings = {} }: {
    readonly computesValues?: boolean;
    /** See `Endpoint.readsViews`. */
    readonly readsViews?: boolean | undefined;
    readonly settings?: Readonly<Record<string, string>> | undefined;
  },
): WantedSettings {
  const pinned = computesValues ? commonSettings : pinnedSettings;
  return {
    pinned: computesValues || readsViews ? pinned : { ...pinned, ...tablesOnly },
    asked: settings,
  };
}

/**
 * For sessions whose commits a crash must not take back, whatever the server's default: not
 * everything that they do is in a ledger (sequences, for one).
 */
export const durableSettings: Readonly<Record<string, string>> = { synchronous_commit: "on" };

/** Whether the URL's own `options` set a role. */
export function namesRole({ options }: Pick<Endpoint, "options">): boolean {
  return /(?:^|\s)(?:-c\s*|--)role\s*=/i.test(options ?? "");
}

/**
 * Undoes `ALTER DATABASE … SET role` and `ALTER ROLE … SET role`: the session acts as the role that
 * the URL names. A role that the URL's own `options` set is the user's wish, and the default that
 * RESET goes back to.
 */
export function resetRoleStatement(endpoint: Pick<Endpoint, "options">): string {
  return namesRole(endpoint) ? "RESET ROLE;" : "SET ROLE NONE;";
}

/**
 * Sets all of the settings that the server knows, and returns version and backend, in one round
 * trip.
 *
 * Until the path is empty, any name could be a function, operator or type that a user has put into
 * `public` and that matches better than the server's own. So `SET`, which resolves no names, comes
 * first and alone: the server analyses each statement of a simple query only when the one before it
 * has run. What follows is qualified nevertheless.
 *
 * `statement_timeout` comes next: a short one of the database would end the rest. Then the role, on
 * which it depends what may be set.
 */
export function pinStatements(
  { pinned, asked }: WantedSettings,
  { sharedLock, connectTimeoutMs, options }: {
    readonly sharedLock?: AdvisoryLock | undefined;
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
    SELECT pg_catalog.count(pg_catalog.set_config(known.name, wanted.value, false))
             -- a superuser who comes through a pooler, which did not let the startup packet say it
             FILTER (WHERE wanted.is_asked
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
      FROM (VALUES ${rows}) AS wanted (name, value, is_asked)
      JOIN pg_catalog.pg_settings AS known
        ON pg_catalog.lower(known.name) OPERATOR(pg_catalog.=) wanted.name
     -- other systems refuse it
     WHERE known.name OPERATOR(pg_catalog.<>) 'client_connection_check_interval'
        OR pg_catalog.version() OPERATOR(pg_catalog.~) 'linux'`;
}
