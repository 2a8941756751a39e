/**
 * Storage for the state document of a run.
 *
 * @module
 */

/** Stores one text: in a file, or in a job's row of the remote service. */
export interface CheckpointStore {
  /** Its location, for messages: `.postgres-seren-replicator/0123….json`. */
  readonly place: string;
  /** The text, or undefined when there is none. */
  read(): Promise<string | undefined>;
  /**
   * Replaces the text atomically; durable when it resolves.
   */
  write(text: string): Promise<void>;
  /** Removes the text, if it exists. */
  remove(): Promise<void>;
}

/** Returns the store of an operation, by its identifier (hexadecimal digits). */
export type CheckpointStores = (operation: string) => CheckpointStore;
