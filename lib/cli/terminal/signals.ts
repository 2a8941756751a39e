import { ExitCode, InterruptedError } from "../../core/internal.ts";

/** What {@linkcode listenForSignals} needs. */
export interface SignalOptions {
  /** Called at the first signal, after the work was asked to end. */
  readonly onFirst: () => void;
  /** Called at the second that is not the same press; ends the process. */
  readonly exit: (code: ExitCode) => void;
  /** Milliseconds of a clock that only goes forward. */
  readonly now?: () => number;
}

/**
 * Milliseconds after the first signal in which no other counts: `deno task` passes on the Ctrl-C
 * that the terminal has sent to both already, so one press arrives twice.
 */
const samePress = 1_000;

/** Signals of the process as an AbortSignal, until disposed of. */
export interface SignalListener extends Disposable {
  readonly signal: AbortSignal;
}

/**
 * The first Ctrl-C, SIGTERM or hang-up asks the work to end cleanly; a second one, a second or more
 * later, ends the process at once.
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
