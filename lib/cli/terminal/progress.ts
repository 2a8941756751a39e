import {
  isShown,
  jsonLines,
  LiveProgress,
  plainLines,
  type ProgressDisplay,
} from "../../ui/mod.ts";
import type { Environment } from "../options/environment.ts";
import type { OutputOptions } from "../options/output_options.ts";
import type { Output } from "./terminal.ts";

/**
 * Selects how progress is shown on stderr: drawn in a terminal, as lines elsewhere, or as JSON
 * lines.
 */
export function openProgress(
  stderr: Output,
  { logLevel, logFormat }: OutputOptions,
  environment: Environment,
): ProgressDisplay {
  const writeLine = (line: string) => stderr.write(`${line}\n`);
  const now = () => performance.now();
  const date = () => new Date();
  if (logFormat === "json") {
    return jsonLines({ writeLine, level: logLevel, date });
  }
  const drawing = stderr.isTerminal && environment["TERM"] !== "dumb" &&
    isShown({ kind: "info", message: "" }, logLevel);
  if (!drawing) return plainLines({ writeLine, level: logLevel, now, date });
  return new LiveProgress({ terminal: stderr, color: stderr.color, now });
}
