import { deepStrictEqual } from "node:assert/strict";
import { lossLines } from "../../../lib/cli/run/run_cleanup.ts";
import type { StreamState } from "../../../lib/replication/internal.ts";

Deno.test("what a running stream is usually behind is no loss, what a stopped one is behind is", () => {
  const isLoss = (state: StreamState, lagBytes: number | null) =>
    lossLines({
      databases: [{
        source: "app",
        target: "app",
        streams: [{
          name: "seren_app",
          epoch: 1,
          createdAt: null,
          state,
          lagBytes,
          lagSeconds: null,
          appliedBytesPerSecond: null,
          catchUpSeconds: null,
          slot: null,
          publication: null,
          subscription: null,
        }],
        drift: null,
        sequences: null,
        setAside: null,
      }],
    }).length > 0;
  deepStrictEqual(
    [isLoss("streaming", 0), isLoss("streaming", 3000), isLoss("disabled", 0)],
    [false, false, false],
  );
  deepStrictEqual(
    [isLoss("streaming", 2 << 20), isLoss("streaming", null), isLoss("disabled", 3000)],
    [true, true, true],
  );
});
