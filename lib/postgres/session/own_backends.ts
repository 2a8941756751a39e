/**
 * Backends of the sessions that this process has opened in all its threads: waits for a lock
 * between two of them are not reported.
 *
 * Each thread has its own registry. The main thread relays changes from one thread to all others.
 *
 * @module
 */
import type { Backend } from "./stalled_connection.ts";

/** A session was opened or closed. */
export interface OwnBackendChange {
  /** Server and process ID, see {@linkcode backendKey}. */
  readonly backend: string;
  readonly isOpen: boolean;
}

/** Receives changes; must not throw. */
export type OwnBackendListener = (change: OwnBackendChange) => void;

const backends = new Set<string>();
const listeners = new Set<OwnBackendListener>();

/** Identifies a backend among all servers. */
export function backendKey(
  { serverStart, processId }: Pick<Backend, "serverStart" | "processId">,
): string {
  return `${serverStart} ${processId}`;
}

/** Whether the backend serves a session of this process. */
export function isOwnBackend(backend: string): boolean {
  return backends.has(backend);
}

/** Records a change and notifies all listeners except the one that it came from. */
export function noteOwnBackend(change: OwnBackendChange, from?: OwnBackendListener): void {
  if (change.isOpen) backends.add(change.backend);
  else backends.delete(change.backend);
  for (const listener of listeners) if (listener !== from) listener(change);
}

/**
 * Reports all current backends and every later change to the listener.
 *
 * @returns stops reporting
 */
export function followOwnBackends(listener: OwnBackendListener): () => void {
  for (const backend of backends) listener({ backend, isOpen: true });
  listeners.add(listener);
  return () => void listeners.delete(listener);
}
