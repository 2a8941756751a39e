/**
 * Settings that every session pins, because a default of server, database or role could change what data looks like
 * or end a long step.
 *
 * @module
 */
import { quoteLiteral } from "../core/mod.ts";
import type { AdvisoryLock } from "./endpoint.ts";

/** Names and values; those that a version does not know are skipped. */
export const pinnedSettings: Readonly<Record<string, string>> = {
  // how values are written and read
  TimeZone: "UTC",
  DateStyle: "ISO, YMD",
  IntervalStyle: "postgres",
  extra_float_digits: "3",
  bytea_output: "hex",
  lc_monetary: "C",
  xmloption: "content",
  standard_conforming_strings: "on",
  // what names and rows mean
  search_path: "",
  row_security: "off", // a policy that would hide rows is an error instead
  default_transaction_read_only: "off",
  default_transaction_isolation: "read committed",
  synchronize_seqscans: "off",
  // 17+, where the role may set it; from the login on, see event_triggers.ts
  event_triggers: "off",
  // a long step must not be ended from outside
  statement_timeout: "0",
  lock_timeout: "0",
  idle_in_transaction_session_timeout: "0",
  idle_session_timeout: "0", // 14+
  transaction_timeout: "0", // 17+
  // keepalives from the server's end, where they can be set per session; they keep a load balancer's path open as well
  tcp_keepalives_idle: "60",
  tcp_keepalives_interval: "10",
  // a long statement whose client was killed ends, instead of working on unseen (14+, see below)
  client_connection_check_interval: "5s",
  // noise
  client_min_messages: "warning",
};

/**
 * For sessions whose commits a crash must not take back, whatever the server's default: not everything that they do is in a ledger (sequences, for one).
 */
export const durableSettings: Readonly<Record<string, string>> = { synchronous_commit: "on" };

/**
 * Sets all of the settings that the server knows, and returns version and backend, in one round trip.
 *
 * Until the path is empty, any name could be a function, operator or type that a user has put into `public` and that
 * matches better than the server's own. So `SET`, which resolves no names, comes first and alone: the server analyses
 * each statement of a simple query only when the one before it has run. What follows is qualified nevertheless.
 *
 * `statement_timeout` comes next: a short one of the database would end the rest.
 */
export function pinStatements(
  settings: Readonly<Record<string, string>>,
  sharedLock?: AdvisoryLock,
): string {
  const rows = Object.entries(settings)
    .map(([name, value]) => `(${quoteLiteral(name.toLowerCase())}, ${quoteLiteral(value)})`)
    .join(", ");
  const lock = sharedLock === undefined ? "" : `SET lock_timeout = 0;
    SELECT pg_catalog.pg_advisory_lock_shared(${sharedLock.join(", ")});`;
  return `
    SET search_path = '';
    SET statement_timeout = 0;
    ${lock}
    SELECT pg_catalog.count(pg_catalog.set_config(known.name, wanted.value, false))
             -- a superuser who comes through a pooler, which did not let the startup packet say it
             FILTER (WHERE known.context OPERATOR(pg_catalog.<>) 'superuser'
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
      FROM (VALUES ${rows}) AS wanted (name, value)
      JOIN pg_catalog.pg_settings AS known
        ON pg_catalog.lower(known.name) OPERATOR(pg_catalog.=) wanted.name
     -- other systems refuse it
     WHERE known.name OPERATOR(pg_catalog.<>) 'client_connection_check_interval'
        OR pg_catalog.version() OPERATOR(pg_catalog.~) 'linux'`;
}
