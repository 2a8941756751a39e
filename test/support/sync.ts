import { executeSync } from "../../lib/commands/sync/sync.ts";
import type { SyncReport } from "../../lib/commands/shared/sync_report.ts";
import {
  completeSyncOptions,
  type SyncChoices,
} from "../../lib/commands/shared/complete_options.ts";
import type { SyncSettings } from "../../lib/commands/shared/run.ts";
import type { RunEvent } from "../../lib/core/internal.ts";
import { endpointOf } from "./init.ts";

/** How tests set up replication. */
export const syncSettings: SyncSettings = {
  identity: "full",
  slotTimeoutMs: 60_000,
  applyFrom: "auto",
  sourceFromTarget: undefined,
  passfile: undefined,
  failover: true,
  now: "2026-01-01T00:00:00Z",
};

/** Runs `sync` through the library, with everything confirmed. */
export async function runSync(
  sourceUrl: string,
  targetUrl: string,
  { include = [], signal = new AbortController().signal, onEvent, ...options }:
    & Partial<SyncChoices>
    & {
      readonly include?: readonly string[];
      readonly signal?: AbortSignal;
      /** Receives every event. */
      readonly onEvent?: (event: RunEvent) => void;
    } = {},
): Promise<{ readonly report: SyncReport; readonly events: readonly RunEvent[] }> {
  const events: RunEvent[] = [];
  const report = await executeSync(
    completeSyncOptions({
      source: await endpointOf(sourceUrl, "source"),
      target: await endpointOf(targetUrl, "target"),
      databases: { include, exclude: [], map: {} },
      tools: { dump: "embedded", binDirectory: undefined, environment: {} },
      jobs: 2,
      splitBytes: 1024 ** 3,
      sync: syncSettings,
      confirm: () => Promise.resolve(true),
      ...options,
    }),
    {
      signal,
      events: (event) => {
        events.push(event);
        onEvent?.(event);
      },
    },
  );
  if (report === undefined) throw new Error("sync was declined");
  return { report, events };
}
