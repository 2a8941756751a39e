/**
 * Backends of the sessions that this process has opened, in all of its threads: one of them that
 * waits for a lock of another is not worth a report.
 *
 * Each thread has a registry of its own. The main thread relays what it hears from one thread to
 * all others.
 *
 * @module
 */
import type { Backend } from "./stalled_connection.ts";

/** A session that was opened or closed. */
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

/** Whether a session of this process has the backend. */
export function isOwnBackend(backend: string): boolean {
  return backends.has(backend);
}

/** Notes a change and passes it on to all listeners, except the one that it came from. */
export function noteOwnBackend(change: OwnBackendChange, from?: OwnBackendListener): void {
  if (change.isOpen) backends.add(change.backend);
  else backends.delete(change.backend);
  for (const listener of listeners) if (listener !== from) listener(change);
}

/**
 * Passes on the backends of the present and every later change.
 *
 * @returns ends that
 */
export function followOwnBackends(listener: OwnBackendListener): () => void {
  for (const backend of backends) listener({ backend, isOpen: true });
  listeners.add(listener);
  return () => void listeners.delete(listener);
}
