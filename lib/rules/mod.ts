/**
 * Which tables move and which of their rows: filters and table rules as one pure model that every
 * phase asks.
 *
 * Needs no permission.
 *
 * @module
 */
export * from "./internal.ts";
