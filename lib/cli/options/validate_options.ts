import {
  completeCopyOptions,
  type CopyOptions,
  readCopyOptions,
  type ResolveContext,
} from "./copy_options.ts";
import { identityPolicies } from "../grammar/grammar.ts";
import type { OptionReader } from "./option_reader.ts";

/** `validate` in full. */
export interface ValidateCommandOptions extends CopyOptions {
  /** Whether to tell for every table what happens to it. */
  readonly explainRules: boolean;
  /** Whether what replication needs is required. */
  readonly forSync: boolean;
  readonly identity: typeof identityPolicies[number];
}

/** @throws UsageError with everything that is wrong */
export async function resolveValidateOptions(
  reader: OptionReader,
  context: ResolveContext,
): Promise<ValidateCommandOptions> {
  const partial = await readCopyOptions(reader, context);
  const forSync = reader.flag("forSync");
  const identity = reader.choice("replicaIdentity", {
    path: "--replica-identity",
    values: identityPolicies,
    fallback: "fail",
  });
  if (!forSync && reader.text("replicaIdentity") !== undefined) {
    reader.problem("--replica-identity", "means something only together with --for-sync");
  }
  reader.done();
  return {
    ...completeCopyOptions(partial),
    explainRules: reader.flag("explainRules"),
    forSync,
    identity,
  };
}
