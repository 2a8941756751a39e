import { InterruptedError } from "../../core/internal.ts";

/** Why a run was aborted. */
export type AbortKind = "cancelled" | "timed-out" | "lost" | "drained" | "moved";

/** Aborts a run; the first reason counts. */
export class JobAbort extends InterruptedError {
  override readonly message: string;
  readonly kind: AbortKind;

  constructor(kind: AbortKind, message: string) {
    super(message);
    this.message = message;
    this.kind = kind;
  }
}
