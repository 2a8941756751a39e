import { ReplicatorError } from "../core/internal.ts";

/**
 * What is left of an unfinished copy cannot be read as of the moment that the rest was read at, and
 * two moments were not allowed.
 */
export class MixedSnapshotsError extends ReplicatorError {
  /** Its name. */
  override readonly name = "MixedSnapshotsError";
}
