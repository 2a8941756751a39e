import type { CommandRunner } from "../../lib/cli/context.ts";

/**
 * The commands `serve`, `worker` and `keys` of the executable: their specifiers are literal, so
 * that the bundler includes them, in files that are loaded on use.
 */
export const operatorCommands: Readonly<Record<"serve" | "worker" | "keys", CommandRunner>> = {
  serve: async (...given) =>
    await (await import("../../lib/cli/run/run_serve.ts")).runServe(...given),
  worker: async (...given) =>
    await (await import("../../lib/cli/run/run_worker.ts")).runWorker(...given),
  keys: async (...given) => await (await import("../../lib/cli/run/run_keys.ts")).runKeys(...given),
};
