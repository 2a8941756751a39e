import { logLevels, type ShownLevel } from "../../ui/mod.ts";
import { logFormats } from "../grammar/grammar.ts";
import type { OptionReader } from "./option_reader.ts";

/** How a command talks. */
export interface OutputOptions {
  readonly json: boolean;
  readonly logLevel: ShownLevel;
  readonly logFormat: typeof logFormats[number];
}

/** How the command talks; wrong values are noted in the reader. */
export function readOutputOptions(reader: OptionReader): OutputOptions {
  return {
    json: reader.flag("json"),
    logLevel: reader.choice("logLevel", {
      path: "--log-level",
      values: logLevels,
      fallback: "info",
    }),
    logFormat: reader.choice("logFormat", {
      path: "--log-format",
      values: logFormats,
      fallback: "text",
    }),
  };
}
