import { executeVerify } from "../../lib/commands/verify/verify.ts";
import type { VerifyReport } from "../../lib/commands/shared/verify_report.ts";
import {
  completeVerifyOptions,
  type VerifyChoices,
} from "../../lib/commands/shared/complete_options.ts";
import type { RunEvent } from "../../lib/core/internal.ts";
import { type Verdict, type VerifiedTable, worst } from "../../lib/verify/internal.ts";
import { endpointOf } from "./init.ts";

/** Overrides of {@linkcode runVerify}'s defaults. */
export interface VerifyTestOptions extends Partial<Omit<VerifyChoices, "source" | "target">> {
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: RunEvent) => void;
}

/**
 * Runs `verify` through the library, by default on the databases that the URLs name.
 */
export async function runVerify(
  sourceUrl: string,
  targetUrl: string,
  { signal = new AbortController().signal, onEvent = () => {}, ...options }: VerifyTestOptions = {},
): Promise<VerifyReport> {
  const source = await endpointOf(sourceUrl, "source");
  const target = await endpointOf(targetUrl, "target");
  return await executeVerify(
    completeVerifyOptions({
      source,
      target,
      databases: {
        include: [source.database],
        exclude: [],
        map: { [source.database]: target.database },
      },
      jobs: 2,
      showValues: true,
      ...options,
    }),
    { events: onEvent, signal },
  );
}

/** The tables that are not equal, in a compact form for assertions. */
export function unequalTables(report: VerifyReport): readonly VerifiedTable[] {
  return report.databases.flatMap(({ tables }) => tables)
    .filter(({ verdict }) => verdict !== "equal");
}

/** The verdict on rows alone, regardless of structure. */
export function rowsVerdict(report: VerifyReport): Verdict {
  return worst(report.databases.flatMap(({ tables }) => tables.map(({ verdict }) => verdict)));
}
