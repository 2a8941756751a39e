import { ExitCode, ReplicatorError } from "../../core/internal.ts";
import type { CommandRunner } from "../context.ts";

/** A module with an operator command. */
type RunnerModule = Readonly<Record<string, CommandRunner>>;

/**
 * The commands `serve`, `worker` and `keys`, each loaded on use.
 *
 * The specifier is one that bundlers do not follow: the queue and the HTTP framework are 3 MB that
 * would slow down the start of every command of the one-file bundle by half. The executable
 * includes them (`--include` in the task `compile`).
 */
export const operatorCommands: Readonly<Record<"serve" | "worker" | "keys", CommandRunner>> = {
  serve: load("run_serve.ts", "runServe"),
  worker: load("run_worker.ts", "runWorker"),
  keys: load("run_keys.ts", "runKeys"),
};

function load(file: string, name: string): CommandRunner {
  return async (reader, context) => {
    const address = new URL(`./${file}`, import.meta.url).href;
    let runner: CommandRunner | undefined;
    try {
      const module: RunnerModule = await import(address);
      runner = module[name];
    } catch (cause) {
      const missing = cause instanceof TypeError && cause.message.includes(address);
      if (!missing) throw cause;
    }
    if (runner === undefined) {
      throw new ReplicatorError("this command is not part of the one-file bundle", {
        exitCode: ExitCode.prerequisite,
        remedy:
          "use the executable, or run it from source or from the package: docs/guides/remote.md",
      });
    }
    return await runner(reader, context);
  };
}
