/**
 * The step in which a command checks both sides, before it asks or changes anything.
 *
 * @module
 */
import type { EventSink } from "../../core/internal.ts";

/** Reports that both sides are being checked, which may take a while, and when that is over. */
export async function whileChecking<Result>(
  events: EventSink,
  check: () => Promise<Result>,
): Promise<Result> {
  const start = performance.now();
  const finished = (failed: boolean) =>
    events({
      kind: "step-finished",
      step: "preflight",
      ms: performance.now() - start,
      ...(failed ? { failed: true } : {}),
    });
  events({ kind: "step-started", step: "preflight" });
  try {
    const result = await check();
    finished(false);
    return result;
  } catch (error) {
    finished(true);
    throw error;
  }
}
