import {
  completeCopyOptions,
  type CopyOptions,
  readCopyOptions,
  type ResolveContext,
} from "./copy_options.ts";
import type { OptionReader } from "./option_reader.ts";
import { readEvidenceFile } from "./report_file.ts";

/** `verify` in full. */
export interface VerifyCommandOptions
  extends Pick<CopyOptions, "source" | "target" | "databases" | "rules" | "jobs"> {
  readonly maxDiffs: number;
  readonly showValues: boolean;
  /** Whether to resume an interrupted run. */
  readonly resume: boolean;
  readonly repair: boolean;
  readonly dryRun: boolean;
  readonly yes: boolean;
  /** Where the evidence goes; the extension selects the format. */
  readonly reportFile: string | undefined;
}

/** @throws UsageError with every problem */
export async function resolveVerifyOptions(
  reader: OptionReader,
  context: ResolveContext,
): Promise<VerifyCommandOptions> {
  const partial = await readCopyOptions(reader, context);
  const maxDiffs = reader.integer("maxDiffs");
  const showValues = reader.flag("values");
  const resume = reader.flag("resume");
  const [repair, dryRun, yes] = [
    reader.flag("repair"),
    reader.flag("dryRun"),
    reader.flag("yes"),
  ];
  const reportFile = await readEvidenceFile(reader);
  if (dryRun && !repair) {
    reader.problem("--dry-run", "requires --repair: without it verify only reads");
  }
  if (dryRun && repair && !showValues) {
    reader.problem(
      "--no-values",
      "cannot be combined with --repair --dry-run, whose SQL contains values",
    );
  }
  if (repair && !dryRun && !yes && !context.canAsk) {
    reader.problem("--yes", "is required: there is no terminal to ask for confirmation");
  }
  reader.done();
  const { source, target, databases, rules, jobs } = completeCopyOptions(partial);
  return {
    source,
    target,
    databases,
    rules,
    jobs,
    maxDiffs,
    showValues,
    resume,
    repair,
    dryRun,
    yes,
    reportFile,
  };
}
