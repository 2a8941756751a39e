import { ExitCode, InterruptedError } from "../core/mod.ts";

/** What {@linkcode listenForSignals} needs. */
export interface SignalOptions {
  /** Called at the first signal, after the work was asked to end. */
  readonly onFirst: () => void;
  /** Called at the second; ends the process. */
  readonly exit: (code: ExitCode) => void;
}

/** Signals of the process as an AbortSignal, until disposed of. */
export interface SignalListener extends Disposable {
  readonly signal: AbortSignal;
}

/**
 * The first Ctrl-C, SIGTERM or hang-up asks the work to end cleanly; the second one ends the process at once.
 */
export function listenForSignals({ onFirst, exit }: SignalOptions): SignalListener {
  const controller = new AbortController();
  const handle = () => {
    if (controller.signal.aborted) return exit(ExitCode.interrupted);
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
