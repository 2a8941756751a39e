import {
  completeCopyOptions,
  type CopyOptions,
  readCopyOptions,
  type ResolveContext,
} from "./copy_options.ts";
import type { ApplySettings, SyncSettings } from "../../commands/shared/run.ts";
import { defaultApplySettings } from "../../commands/shared/complete_options.ts";
import { flagOf, optionNamed } from "../../config/internal.ts";
import type { OptionReader } from "./option_reader.ts";

/** `validate` in full. */
export interface ValidateCommandOptions extends CopyOptions {
  /** Whether to show what happens to every table. */
  readonly explainRules: boolean;
  /** Whether the requirements of replication must be met. */
  readonly forSync: boolean;
  /** Whether the requirements of the next step of a cutover are checked. */
  readonly forCutover: boolean;
  readonly identity: SyncSettings["identity"];
  readonly apply: ApplySettings;
}

/** @throws UsageError with every problem */
export async function resolveValidateOptions(
  reader: OptionReader,
  context: ResolveContext,
): Promise<ValidateCommandOptions> {
  const partial = await readCopyOptions(reader, context);
  const forSync = reader.flag("forSync");
  const forCutover = reader.flag("forCutover");
  const identity = reader.choice("replicaIdentity");
  const applyFrom = reader.choice("applyFrom");
  for (
    const [name, flag] of [
      ["replicaIdentity", "--replica-identity"],
      ["applyFrom", "--apply-from"],
    ] as const
  ) {
    if (!forSync && reader.given(name)) reader.problem(flag, "requires --for-sync");
  }
  if (forCutover) {
    const others = ["forSync", "explainRules", "dropExisting"] as const;
    for (const other of others.filter((name) => reader.flag(name))) {
      const message = `cannot be combined with ${flagOf(other, optionNamed(other))}`;
      reader.problem("--for-cutover", message);
    }
  }
  reader.done();
  return {
    ...completeCopyOptions(partial),
    explainRules: reader.flag("explainRules"),
    forSync,
    forCutover,
    identity,
    apply: { ...defaultApplySettings, applyFrom },
  };
}
