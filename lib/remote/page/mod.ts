/**
 * The service's web page. Needs no permission.
 *
 * @module
 */
export * from "./page.ts";
