/**
 * The client of the service.
 *
 * Requires `--allow-net` for the service's host.
 *
 * @module
 */
export * from "./client.ts";
export * from "./endpoint_url.ts";
export * from "./event_messages.ts";
