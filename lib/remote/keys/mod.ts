/**
 * API keys. Requires no permissions.
 *
 * @module
 */
export * from "./api_key.ts";
