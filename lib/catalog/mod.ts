/**
 * Read-only questions to a server: databases, tables, sequences, privileges, extensions, provider.
 * Needs no permission besides those of the session.
 *
 * @module
 */
export * from "./internal.ts";
