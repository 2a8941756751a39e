import { deepStrictEqual } from "node:assert/strict";
import { type ApplierReading, judgeStream } from "../../../lib/replication/internal.ts";

/** What `sync` does with a stream that an error has stopped. */
function actionAfter(error: ApplierReading["error"]): string {
  const applier: Partial<ApplierReading> = { kind: "client", enabled: false, error };
  return judgeStream({
    name: "seren_a",
    epoch: 1,
    slot: undefined,
    publication: { tables: [] },
    applier: applier as ApplierReading,
    scopeComment: undefined,
  }, {
    sourceReachable: false,
    isPublicationKnown: true,
    targetReachable: true,
    activity: undefined,
  }).action;
}

Deno.test("a stream whose source has gone back is not resumed by a retry, which is for changes", () => {
  const error = { message: "refused", at: "2026-01-01T00:00:00Z" };
  deepStrictEqual(
    [actionAfter(error), actionAfter({ ...error, finishLsn: "0/10" })],
    ["refuse", "retry"],
  );
});
