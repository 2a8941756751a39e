import { ReplicatorError } from "../core/internal.ts";

/**
 * The remaining rows of an unfinished copy cannot be read from the same snapshot as the others, and
 * mixing snapshots was not allowed.
 */
export class MixedSnapshotsError extends ReplicatorError {
  /** Its name. */
  override readonly name = "MixedSnapshotsError";
}
