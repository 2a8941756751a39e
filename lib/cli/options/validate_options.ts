import {
  completeCopyOptions,
  type CopyOptions,
  readCopyOptions,
  type ResolveContext,
} from "./copy_options.ts";
import type { SyncSettings } from "../../commands/shared/run.ts";
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
  if (!forSync && reader.given("replicaIdentity")) {
    reader.problem("--replica-identity", "requires --for-sync");
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
  };
}
