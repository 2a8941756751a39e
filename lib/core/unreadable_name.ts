/**
 * A key that zod's records leave out without a word: whoever reads names that users choose has to
 * refuse it.
 */
export const unreadableName = "__proto__";

/** Whether a parsed document has the {@linkcode unreadableName} as a key. */
export function hasUnreadableName(record: unknown): boolean {
  return typeof record === "object" && record !== null && Object.hasOwn(record, unreadableName);
}
