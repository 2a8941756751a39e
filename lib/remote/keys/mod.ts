/**
 * API keys. Needs no permission.
 *
 * @module
 */
export * from "./api_key.ts";
