import { ExitCode, ReplicatorError } from "../../core/internal.ts";
import type { CommandRunner } from "../context.ts";

/** A module of a command of the service's operators. */
type RunnerModule = Readonly<Record<string, CommandRunner>>;

/**
 * The commands `serve`, `worker` and `keys`, each loaded when it is named.
 *
 * By an address that no bundler follows: the queue and the HTTP framework are 3 MB that would make
 * every command of the one-file bundle start half as slowly again. The executable has them
 * (`--include` in the task `compile`).
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
      throw new ReplicatorError("this command is not in the one-file bundle", {
        exitCode: ExitCode.prerequisite,
        remedy:
          "use the executable, or run it from source or from the package: docs/guides/remote.md",
      });
    }
    return await runner(reader, context);
  };
}
