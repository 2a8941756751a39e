import { verify } from "../../lib/commands/verify/verify.ts";
import type { VerifyReport } from "../../lib/commands/shared/report.ts";
import type { VerifyOptions } from "../../lib/commands/shared/run.ts";
import type { RunEvent } from "../../lib/core/internal.ts";
import { type Verdict, type VerifiedTable, worst } from "../../lib/verify/internal.ts";
import { endpointOf } from "./init.ts";

/** What a test changes of {@linkcode runVerify}'s defaults. */
export interface VerifyTestOptions extends Partial<Omit<VerifyOptions, "source" | "target">> {
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: RunEvent) => void;
}

/**
 * Runs `verify` as the library does it; of the databases that the URLs name, unless told otherwise.
 */
export async function runVerify(
  sourceUrl: string,
  targetUrl: string,
  { signal = new AbortController().signal, onEvent = () => {}, ...options }: VerifyTestOptions = {},
): Promise<VerifyReport> {
  const source = await endpointOf(sourceUrl, "source");
  const target = await endpointOf(targetUrl, "target");
  return await verify({
    source,
    target,
    databases: {
      include: [source.database],
      exclude: [],
      map: { [source.database]: target.database },
    },
    jobs: 2,
    maxDiffs: 20,
    showValues: true,
    repair: "no",
    now: () => new Date(),
    ...options,
  }, { events: onEvent, signal });
}

/** The tables that are not equal, in a form that is short to compare with. */
export function unequalTables(report: VerifyReport): readonly VerifiedTable[] {
  return report.databases.flatMap(({ tables }) => tables)
    .filter(({ verdict }) => verdict !== "equal");
}

/** What the rows alone come to, whatever is said of structure. */
export function rowsVerdict(report: VerifyReport): Verdict {
  return worst(report.databases.flatMap(({ tables }) => tables.map(({ verdict }) => verdict)));
}
