import type { logFormats } from "../../config/internal.ts";
import type { LogLevel } from "../../core/internal.ts";
import type { OptionReader } from "./option_reader.ts";

/** How a command reports. */
export interface OutputOptions {
  readonly json: boolean;
  readonly logLevel: LogLevel;
  readonly logFormat: typeof logFormats[number];
}

/** How the command reports; problems are collected in the reader. */
export function readOutputOptions(reader: OptionReader): OutputOptions {
  return {
    json: reader.flag("json"),
    logLevel: reader.choice("logLevel"),
    logFormat: reader.choice("logFormat"),
  };
}
