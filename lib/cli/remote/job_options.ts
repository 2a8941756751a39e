import {
  type CommandName,
  isInMilliseconds,
  type NamedOption,
  optionsOf,
} from "../../config/internal.ts";
import type { JobOptions } from "../../remote/mod.ts";
import type { OptionReader } from "../options/option_reader.ts";

/** The smallest limit that a job may have, in bytes per second. */
const minJobRate = 1024;

/**
 * The options of a job, by the option table. Flags are always included, values only if given: the
 * service has the defaults.
 */
export function readJobOptions<Command extends CommandName & keyof JobOptions>(
  reader: OptionReader,
  command: Command,
): JobOptions[Command] {
  const fields = optionsOf(command).flatMap((named) => {
    const { job } = named.option;
    if (job === undefined || !job.commands.includes(command)) return [];
    const value = jobValue(reader, named);
    return value === undefined ? [] : [[job.name, value] as const];
  });
  return Object.fromEntries(fields) as JobOptions[Command];
}

function jobValue(reader: OptionReader, { name, option }: NamedOption): unknown {
  const value = reader.value(name);
  if (typeof value === "boolean") return value;
  if (!reader.given(name)) return undefined;
  if (typeof value !== "number") return value;
  if (option.kind === "duration") {
    const unitMs = option.job !== undefined && isInMilliseconds(option.job) ? 1 : 1000;
    return Math.max(1, Math.round(value / unitMs));
  }
  return option.kind === "rate" ? Math.max(minJobRate, Math.round(value)) : value;
}
