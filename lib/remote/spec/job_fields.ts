import { z } from "zod";
import {
  type CommandName,
  isInMilliseconds,
  minimums,
  type Option,
  type OptionName,
  optionsOf,
  type OptionTable,
} from "../../config/internal.ts";
import { megabyte } from "../../core/internal.ts";

const maxDurationSeconds = 86_400;
const minBytesPerSecond = 1024;
const maxTextLength = 1024;

/** The options that are fields of a job for the command. */
type FieldOptions<Command extends CommandName> = {
  [Name in OptionName]: OptionTable[Name] extends
    { readonly job: { readonly commands: readonly (infer Commands)[] } }
    ? Command extends Commands ? Name : never
    : never;
}[OptionName];

type FieldName<Name extends OptionName> = OptionTable[Name] extends
  { readonly job: { readonly name: infer Field extends string } } ? Field : never;

type FieldSchema<Given> = Given extends { readonly kind: "flag" | "negation" } ? z.ZodBoolean
  : Given extends { readonly values: readonly (infer Value extends string)[] }
    ? z.ZodEnum<{ [Each in Value]: Each }>
  : Given extends { readonly kind: "text" } ? z.ZodString
  : z.ZodInt;

/** The fields of a job that are options of the command line. */
export type JobFields<Command extends CommandName> = {
  [Name in FieldOptions<Command> as FieldName<Name>]: z.ZodOptional<FieldSchema<OptionTable[Name]>>;
};

/** The schemas of a job's fields, by the option table. Sizes are in bytes, durations in seconds. */
export function jobFields<Command extends CommandName>(command: Command): JobFields<Command> {
  const fields = optionsOf(command).flatMap(({ option }) =>
    option.job?.commands.includes(command)
      ? [[option.job.name, fieldSchema(option).optional()] as const]
      : []
  );
  return Object.fromEntries(fields) as unknown as JobFields<Command>;
}

function fieldSchema(option: Option): z.ZodType {
  switch (option.kind) {
    case "flag":
    case "negation":
      return z.boolean();
    case "choice":
      return z.enum(option.values);
    case "integer":
      return z.int().min(option.min).max(option.max);
    case "size":
      return z.int().min(megabyte);
    case "rate":
      return z.int().min(minBytesPerSecond);
    case "duration":
      return option.job !== undefined && isInMilliseconds(option.job)
        ? z.int().min(minimums.duration).max(maxDurationSeconds * 1000)
        : z.int().min(1).max(maxDurationSeconds);
    default: {
      const text = z.string().min(1).max(maxTextLength);
      const isPath = option.kind === "text" && option.isAbsolutePath;
      return isPath ? text.regex(/^(\/|[A-Za-z]:[\\/])/, "must be an absolute path") : text;
    }
  }
}
