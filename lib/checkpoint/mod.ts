/**
 * What is done of a copy: a file that points to it, and a ledger in the target whose records are
 * committed together with the rows.
 *
 * Requires `--allow-net` for the target; {@linkcode FileCheckpointStore} also `--allow-read` and
 * `--allow-write` of its folder.
 *
 * @example Keep the state of runs in memory instead of in files
 * ```ts
 * import type { CheckpointStores } from "@seren/postgres-replicator/checkpoint";
 * import { init } from "@seren/postgres-replicator";
 *
 * const states = new Map<string, string>();
 * const checkpoint: CheckpointStores = (operation) => ({
 *   place: `memory:${operation}`,
 *   read: () => Promise.resolve(states.get(operation)),
 *   write: (text) => Promise.resolve(void states.set(operation, text)),
 *   remove: () => Promise.resolve(void states.delete(operation)),
 * });
 * await init({
 *   source: Deno.env.get("SOURCE_URL")!,
 *   target: Deno.env.get("TARGET_URL")!,
 *   databases: { include: ["app"] },
 *   checkpoint,
 * });
 * ```
 *
 * @module
 */
export {
  checkpointFolder,
  type CheckpointStore,
  type CheckpointStores,
  type DatabaseFilter,
  type DatabaseState,
  FileCheckpointStore,
  MixedSnapshotsError,
  operationOf,
  readStateDocument,
  type ReadStateOptions,
  type RunEnds,
  type RunScope,
  type StateDocument,
  stateFormat,
  writeStateDocument,
} from "./internal.ts";
