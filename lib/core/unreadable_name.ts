/**
 * A key that zod's records silently omit, so readers of names that users choose must reject it.
 */
export const unreadableName = "__proto__";

/** Whether a parsed document has the {@linkcode unreadableName} as a key. */
export function hasUnreadableName(record: unknown): boolean {
  return typeof record === "object" && record !== null && Object.hasOwn(record, unreadableName);
}
