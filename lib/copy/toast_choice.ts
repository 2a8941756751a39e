/**
 * How the target compresses the values that are copied. Pure.
 *
 * @module
 */
import type { ToastCompression, ToastMethod } from "../catalog/internal.ts";
import type { ToastCompressionChoice } from "../config/internal.ts";

/** The method for columns without a setting of their own. */
export interface ToastChoice {
  /** Used for values that are copied. */
  readonly method: ToastMethod;
  /** Used by the source for new values. */
  readonly source: ToastMethod;
  /** Used by the target's server for new values, also after the copy. */
  readonly target: ToastMethod;
  /** What was requested, if the target does not support it. */
  readonly unsupported?: ToastMethod;
}

/** Chooses the method; the target's own where it does not support the requested one. */
export function chooseToastMethod(
  choice: ToastCompressionChoice,
  { source, target }: { readonly source: ToastCompression; readonly target: ToastCompression },
): ToastChoice {
  const wanted = choice === "source" ? source.method : choice;
  const facts = { source: source.method, target: target.method };
  return target.supported.includes(wanted)
    ? { method: wanted, ...facts }
    : { method: target.method, ...facts, unsupported: wanted };
}

/** Settings for sessions that copy rows; servers before 14 have no such setting. */
export function toastSettings({ method, target }: ToastChoice): Readonly<Record<string, string>> {
  return method === target ? {} : { default_toast_compression: method };
}

/**
 * `lz4 (the source and the target's default: pglz)`, `pglz (lz4 is not supported by the target)`
 */
export function describeToastChoice({ method, source, target, unsupported }: ToastChoice): string {
  if (unsupported !== undefined) return `${method} (the target does not support ${unsupported})`;
  const others = [
    ...(source === method ? [] : [`source: ${source}`]),
    ...(target === method ? [] : [`default of the target: ${target}`]),
  ];
  return others.length === 0 ? method : `${method} (${others.join(", ")})`;
}
