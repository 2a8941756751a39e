/**
 * `${NAME}` in a configuration file: secrets stay in the environment.
 *
 * @module
 */

/** A text with its variables replaced, and those that are not set. */
export interface Expanded {
  readonly text: string;
  readonly missing: readonly string[];
  /** What looks like a reference and is none: `${old-password}`. */
  readonly malformed: readonly string[];
}

/**
 * Replaces `${NAME}` by the variable's value; `$${` stands for `${` itself. A value is taken as it
 * is.
 */
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
