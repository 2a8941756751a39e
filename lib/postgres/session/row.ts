/**
 * Values that queries take and return.
 *
 * @module
 */

/** A query parameter. Lists are passed as {@linkcode textArray}. */
export type Parameter = string | number | boolean | null;

/**
 * A row as the driver returns it: text, number (int2, int4, oid, float), boolean, null, or parsed
 * JSON.
 */
export type Row = Readonly<Record<string, unknown>>;
