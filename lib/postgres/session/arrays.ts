/**
 * Parses arrays in the server's text format.
 *
 * Source: PostgreSQL documentation, "8.15.6. Array Input and Output Syntax".
 *
 * @module
 */

/** Parses a one-dimensional array, `{a,"b c",NULL}`. */
export function parseArray(text: string): (string | null)[] {
  const items: (string | null)[] = [];
  const item = /"((?:[^"\\]|\\.)*)"|([^,{}]+)/gs;
  for (const [, quoted, plain] of text.matchAll(item)) {
    if (quoted !== undefined) items.push(quoted.replace(/\\(.)/gs, "$1"));
    else items.push(plain === "NULL" ? null : plain ?? "");
  }
  return items;
}
