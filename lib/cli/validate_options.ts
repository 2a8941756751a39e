import {
  completeCopyOptions,
  type CopyOptions,
  readCopyOptions,
  type ResolveContext,
} from "./copy_options.ts";
import type { OptionReader } from "./option_reader.ts";

/** `validate` in full. */
export interface ValidateCommandOptions extends CopyOptions {
  /** Whether to tell for every table what happens to it. */
  readonly explainRules: boolean;
}

/** @throws UsageError with everything that is wrong */
export async function resolveValidateOptions(
  reader: OptionReader,
  context: ResolveContext,
): Promise<ValidateCommandOptions> {
  const partial = await readCopyOptions(reader, context);
  reader.done();
  return { ...completeCopyOptions(partial), explainRules: reader.flag("explainRules") };
}
