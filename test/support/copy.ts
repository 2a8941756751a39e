import {
  type CopyPlanOptions,
  type CopySettings,
  defaultCopySettings,
} from "../../lib/copy/internal.ts";

/** What a test changes of the defaults of a copy plan. */
export interface PlanTestOptions
  extends Partial<Omit<CopyPlanOptions, "settings">>, Partial<CopySettings> {}

/** Options of `planCopy` for all rows of a source of version 16 in UTF8. */
export function planOptions(
  { sourceMajor = 16, encoding = "UTF8", predicateOf, keyBounds, ...settings }: PlanTestOptions,
): CopyPlanOptions {
  return {
    sourceMajor,
    encoding,
    settings: { ...defaultCopySettings, ...settings },
    predicateOf: predicateOf ?? (() => undefined),
    keyBounds: keyBounds ?? new Map(),
  };
}

/** A copy worker that nobody watches and that is not retried. */
export const quietWorker = {
  targetSettings: {},
  onSnapshot: undefined,
  onStarted() {},
  onBytes() {},
  pace: undefined,
  onRetry() {},
  recordedConstraint: undefined,
  retryDelaysMs: [],
};
