/**
 * `${NAME}` in a configuration file: secrets stay in the environment.
 *
 * @module
 */

/** A text with its variables expanded. */
export interface Expanded {
  readonly text: string;
  /** Variables that are not set. */
  readonly missing: readonly string[];
  /** Invalid references: `${old-password}`. */
  readonly malformed: readonly string[];
}

/** Replaces `${NAME}` with the variable's value, and `$${` with `${`. Values are not expanded. */
export function expandVariables(
  text: string,
  lookUp: (name: string) => string | undefined,
): Expanded {
  const missing: string[] = [];
  const malformed: string[] = [];
  const expanded = text.replace(/\$\$\{|\$\{([^}]*)\}?/g, (whole, name?: string) => {
    if (name === undefined) return "${";
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || !whole.endsWith("}")) {
      malformed.push(whole);
      return whole;
    }
    const value = lookUp(name);
    if (value === undefined) missing.push(name);
    return value ?? "";
  });
  return { text: expanded, missing, malformed };
}
