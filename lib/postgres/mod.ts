/**
 * Connections to PostgreSQL: URLs, TLS, sessions, and the protocol where the driver is too slow.
 *
 * Requires `--allow-net` for the hosts; `--allow-read --allow-write` of its folder for a Unix
 * socket.
 *
 * @module
 */
export * from "./internal.ts";
