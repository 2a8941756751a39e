import {
  completeCopyOptions,
  type CopyOptions,
  readCopyOptions,
  type ResolveContext,
} from "./copy_options.ts";
import type { OptionReader } from "./option_reader.ts";
import { readReportFile } from "./report_file.ts";

/** `verify` in full. */
export interface VerifyCommandOptions
  extends Pick<CopyOptions, "source" | "target" | "databases" | "rules" | "jobs"> {
  readonly maxDiffs: number;
  readonly showValues: boolean;
  /** Whether to go on where an interrupted run has ended. */
  readonly resume: boolean;
  readonly repair: boolean;
  readonly dryRun: boolean;
  readonly yes: boolean;
  /** Where the evidence goes; the name tells the format. */
  readonly reportFile: string | undefined;
}

/** Differing rows that `verify` lists for each table. */
export const defaultMaxDiffs = 20;

/** @throws UsageError with everything that is wrong */
export async function resolveVerifyOptions(
  reader: OptionReader,
  context: ResolveContext,
): Promise<VerifyCommandOptions> {
  const partial = await readCopyOptions(reader, context);
  const maxDiffs = reader.whole("maxDiffs", {
    path: "--max-diffs",
    least: 0,
    most: 100_000,
    fallback: defaultMaxDiffs,
  });
  const showValues = reader.flag("values");
  const resume = reader.flag("resume");
  const [repair, dryRun, yes] = [
    reader.flag("repair"),
    reader.flag("dryRun"),
    reader.flag("yes"),
  ];
  const reportFile = await readReportFile(reader);
  if (reportFile !== undefined && !/\.(?:html?|json)$/i.test(reportFile)) {
    reader.problem("--report", `"${reportFile}" must end in .html or .json: that tells the format`);
  }
  if (dryRun && !repair) reader.problem("--dry-run", "belongs to --repair: verify only reads");
  if (dryRun && repair && !showValues) {
    reader.problem("--no-values", "cannot be given with --repair --dry-run, whose SQL has values");
  }
  if (repair && !dryRun && !yes && !context.canAsk) {
    reader.problem("--yes", "is needed here: there is no terminal to ask whether to repair");
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
