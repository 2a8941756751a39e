/**
 * What the main thread and a copy thread tell each other. Rows never cross: both of a lane's
 * sockets live in one thread.
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
    readonly lane: number;
    readonly source: EndpointMessage;
    readonly target: EndpointMessage;
    readonly snapshot: string;
    readonly targetSettings: Readonly<Record<string, string>> | undefined;
    readonly recordedConstraint: string | undefined;
    readonly delaysMs: readonly number[] | undefined;
    /** Whether the lane asks before it reads on. */
    readonly paced: boolean;
  }
  /** The answer to `next`; no job when there are none any more. */
  | {
    readonly kind: "job";
    readonly lane: number;
    readonly id: number;
    readonly job: CopyWorkerJob | undefined;
  }
  /** The answer to `pace`. */
  | { readonly kind: "go-on"; readonly lane: number }
  | { readonly kind: "abort"; readonly lane: number }
  /** Of another thread. */
  | { readonly kind: "own-backend"; readonly change: OwnBackendChange };

/** What a lane says. Jobs go by the number that they came with. */
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
  /** The last one: the lane's sessions are closed. */
  | { readonly kind: "ended"; readonly error: ErrorMessage | undefined };

/** From a copy thread. */
export type MessageFromThread =
  /** It has loaded its modules. */
  | { readonly kind: "ready" }
  | { readonly kind: "own-backend"; readonly change: OwnBackendChange }
  | { readonly kind: "lane"; readonly lane: number; readonly event: CopyWorkerEvent };
