import { deepStrictEqual } from "node:assert/strict";
import { lossLines } from "../../../lib/cli/run/run_cleanup.ts";
import type { StreamState } from "../../../lib/replication/internal.ts";

Deno.test("the usual lag of a running stream is not a loss, any lag of a stopped one is", () => {
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
