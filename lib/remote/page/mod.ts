/**
 * The service's web page. Requires no permissions.
 *
 * @module
 */
export * from "./page.ts";
