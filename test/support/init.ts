import { executeInit } from "../../lib/commands/init/init.ts";
import type { InitPlan } from "../../lib/commands/shared/init_plan.ts";
import type { InitReport } from "../../lib/commands/shared/init_report.ts";
import {
  completeInitOptions,
  type InitChoices,
} from "../../lib/commands/shared/complete_options.ts";
import type { RunEvent } from "../../lib/core/internal.ts";
import { type Endpoint, resolveEndpoint } from "../../lib/postgres/internal.ts";

/** Overrides of {@linkcode runInit}'s defaults. */
export interface InitTestOptions
  extends Partial<Omit<InitChoices, "source" | "target" | "databases">> {
  readonly include?: readonly string[];
  readonly map?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** `Endpoint.silenceMs` of both sides. */
  readonly silenceMs?: number;
  /** Receives every event. */
  readonly onEvent?: (event: RunEvent) => void;
}

/** The result of a run. */
export interface InitOutcome {
  readonly report: InitReport;
  readonly plan: InitPlan;
  readonly events: readonly RunEvent[];
}

/**
 * The endpoint for a URL, resolved from the URL alone and the files it names, which require
 * `--allow-read`.
 */
export function endpointOf(url: string, side: "source" | "target"): Promise<Endpoint> {
  return resolveEndpoint(url, {
    side,
    resolveEnvironment: {
      environment: {},
      readFile: (path) => Deno.readTextFile(path).catch(() => undefined),
    },
  });
}

/** Runs `init` through the library, with everything confirmed. */
export async function runInit(
  sourceUrl: string,
  targetUrl: string,
  {
    include = [],
    map = {},
    signal = new AbortController().signal,
    onEvent,
    silenceMs,
    ...options
  }: InitTestOptions = {},
): Promise<InitOutcome> {
  const silence = silenceMs === undefined ? {} : { silenceMs };
  const events: RunEvent[] = [];
  let plan: InitPlan | undefined;
  const result = await executeInit(
    completeInitOptions({
      source: { ...await endpointOf(sourceUrl, "source"), ...silence },
      target: { ...await endpointOf(targetUrl, "target"), ...silence },
      databases: { include, exclude: [], map },
      tools: {
        dump: "embedded",
        binDirectory: undefined,
        environment: { PATH: Deno.env.get("PATH"), HOME: Deno.env.get("HOME") },
      },
      indexJobs: 2,
      splitBytes: 1024 ** 3,
      ...options,
      confirm: async (asked) => {
        plan = asked;
        return await (options.confirm?.(asked) ?? Promise.resolve(true));
      },
    }),
    {
      signal,
      events: (event) => {
        events.push(event);
        onEvent?.(event);
      },
    },
  );
  if (result.kind !== "copied" || plan === undefined) throw new Error("init was declined");
  return { report: result.report, plan, events };
}
