import { ExitCode, InterruptedError } from "../../core/internal.ts";

/** What {@linkcode listenForSignals} needs. */
export interface SignalOptions {
  /** Called at the first signal, after the work was asked to stop. */
  readonly onFirst: () => void;
  /** Called at a second, separate signal; ends the process. */
  readonly exit: (code: ExitCode) => void;
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number;
}

/**
 * Milliseconds after the first signal in which others are ignored: `deno task` forwards the Ctrl-C
 * that the terminal already sent to both, so one press arrives twice.
 */
const samePress = 1_000;

/** Signals of the process as an AbortSignal, until disposed of. */
export interface SignalListener extends Disposable {
  readonly signal: AbortSignal;
}

/**
 * The first Ctrl-C, SIGTERM or hang-up asks the work to stop cleanly; another one, a second or more
 * later, ends the process immediately.
 */
export function listenForSignals(
  { onFirst, exit, now = () => performance.now() }: SignalOptions,
): SignalListener {
  const controller = new AbortController();
  let first = 0;
  const handle = () => {
    if (controller.signal.aborted) {
      if (now() - first >= samePress) exit(ExitCode.interrupted);
      return;
    }
    first = now();
    controller.abort(new InterruptedError());
    onFirst();
  };
  const signals: readonly Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT"]
    : ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const each of signals) Deno.addSignalListener(each, handle);
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      for (const each of signals) Deno.removeSignalListener(each, handle);
    },
  };
}
