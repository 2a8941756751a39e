/**
 * What to do about a stream that does not bring its changes. Pure.
 *
 * @module
 */
import { quoteIdentifier } from "../../core/internal.ts";
import type { ApplierKind, StreamState } from "../../replication/internal.ts";
import type { StreamReading } from "../facts/stream_reading.ts";

/** How the stream from the source to the target is brought back. */
export function streamRemedy(
  state: StreamState,
  kind: ApplierKind | undefined,
): string | undefined {
  switch (state) {
    case "streaming":
    case "starting":
      return undefined;
    case "blocked":
      return "status shows the session that holds the lock: end its transaction, or wait for it";
    case "stopped":
      return kind === "client"
        ? "no process applies its changes: run sync, and keep it running"
        : "sync shows why its worker does not run, the target's log the error: remove the cause";
    case "disabled":
      return kind === "client" ? "run sync, and keep it running" : "sync starts it";
    case "failing":
      return "sync shows the change that cannot be applied: remove the cause, or skip its transaction with sync --skip-lsn";
    case "no-subscription":
      return "sync creates what applies its changes";
    case "detached":
      return "remove it with cleanup, and start over with init --enable-sync";
    case "no-slot":
    case "lost":
      return "changes are missing on the other side: copy the tables again with sync --resnapshot";
    case "unknown":
      return "see status for the reason";
  }
}

/** How the stream from the target to the source is brought back; `sync` does not touch it. */
export function wayBackRemedy(
  { name, state, kind }: Pick<StreamReading, "name" | "state" | "kind">,
): string | undefined {
  const write = "SET default_transaction_read_only = off";
  switch (state) {
    case "disabled":
    case "stopped":
    case "failing":
      if (kind === "client") {
        return `remove the cause on the source, where a session may write after ${write}; then run sync, and keep it running`;
      }
      return state === "disabled"
        ? `on the source: ${write}; then ALTER SUBSCRIPTION ${quoteIdentifier(name)} ENABLE`
        : `the source's log shows the error; remove the cause on the source, where a session may alter tables after ${write}: a column that only the target has must be added there too`;
    case "no-subscription":
    case "detached":
    case "no-slot":
    case "lost":
      return "the way back cannot be repaired: cutover finish gives it up";
    default:
      return streamRemedy(state, kind);
  }
}
