/**
 * Replication, loaded by the commands and options that need it: a quarter of the code that `init`
 * would otherwise load before its first row.
 *
 * @module
 */

/** Loads `lib/replication`. */
export function loadReplication(): Promise<typeof import("../../replication/internal.ts")> {
  return import("../../replication/internal.ts");
}
