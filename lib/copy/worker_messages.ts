/**
 * Messages between the main thread and a copy thread. Rows are not among them: both sockets of a
 * copy worker belong to the same thread.
 *
 * @module
 */
import type {
  CopyOutcome,
  EndpointMessage,
  ErrorMessage,
  LockWait,
  LockWaitOver,
  OwnBackendChange,
} from "../postgres/internal.ts";
import type { CopyWorkerJob } from "./copy_worker.ts";

/** To a copy thread. */
export type MessageToThread =
  | {
    readonly kind: "begin";
    readonly worker: number;
    readonly source: EndpointMessage;
    readonly target: EndpointMessage;
    readonly snapshot: string;
    readonly targetSettings: Readonly<Record<string, string>>;
    readonly recordedConstraint: string | undefined;
    readonly retryDelaysMs: readonly number[];
    /** Whether the worker asks before it reads more. */
    readonly paced: boolean;
  }
  /** The answer to `next`; without a job when none are left. */
  | {
    readonly kind: "job";
    readonly worker: number;
    readonly id: number;
    readonly job: CopyWorkerJob | undefined;
  }
  /** The answer to `pace`. */
  | { readonly kind: "resume"; readonly worker: number }
  | { readonly kind: "abort"; readonly worker: number }
  /** From another thread. */
  | { readonly kind: "own-backend"; readonly change: OwnBackendChange };

/** What a worker reports. Jobs are identified by the number that they came with. */
export type CopyWorkerEvent =
  | { readonly kind: "next" }
  | { readonly kind: "started"; readonly id: number }
  | { readonly kind: "moved"; readonly id: number; readonly bytes: number }
  | { readonly kind: "pace"; readonly bytes: number }
  | { readonly kind: "finished"; readonly id: number; readonly outcome: CopyOutcome }
  | {
    readonly kind: "retry";
    readonly error: ErrorMessage;
    readonly attempt: number;
    readonly delayMs: number;
  }
  | { readonly kind: "lock-wait"; readonly wait: LockWait | LockWaitOver }
  /** The last event: the worker's sessions are closed. */
  | { readonly kind: "ended"; readonly error: ErrorMessage | undefined };

/** From a copy thread. */
export type MessageFromThread =
  /** Its modules are loaded. */
  | { readonly kind: "ready" }
  | { readonly kind: "own-backend"; readonly change: OwnBackendChange }
  | { readonly kind: "worker"; readonly worker: number; readonly event: CopyWorkerEvent };
