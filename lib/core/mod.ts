/**
 * The words that everyone uses: errors, exit codes, identifiers, quantities, events. Needs no
 * permission.
 *
 * @module
 */
export * from "./internal.ts";
