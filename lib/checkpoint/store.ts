/**
 * Where the document of a run is kept.
 *
 * @module
 */

/** Keeps one text: a file here, a row of a job in the remote service. */
export interface CheckpointStore {
  /** Where it is, for messages: `.postgres-seren-replicator/0123….json`. */
  readonly place: string;
  /** The text, or undefined when there is none. */
  read(): Promise<string | undefined>;
  /**
   * Replaces the text; who reads meanwhile, or after a crash, sees the old one or the new one.
   * Durable when it resolves.
   */
  write(text: string): Promise<void>;
  /** Removes it; nothing happens when there is none. */
  remove(): Promise<void>;
}

/** Gives the store of an operation, told by its identifier (hexadecimal digits). */
export type CheckpointStores = (operation: string) => CheckpointStore;
