/**
 * Database names with wildcards, as users write them in filters. Pure.
 *
 * @module
 */

/** A parsed pattern, or the problem with the text. */
export type NamePattern =
  | {
    readonly matches: (name: string) => boolean;
    /** The only name it matches, when it has no wildcard. */
    readonly literal: string | undefined;
  }
  | { readonly problem: string };

/**
 * Parses `app`, `app_*` or `"Odd * name"`: `*` matches any characters, except inside double quotes,
 * where a doubled quote is a literal one. Case-sensitive.
 */
export function parseNamePattern(text: string): NamePattern {
  let expression = "";
  let literal: string | undefined = "";
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '"' && quoted && text.charAt(at + 1) === '"') {
      expression += '"';
      if (literal !== undefined) literal += '"';
      at++;
    } else if (character === '"') quoted = !quoted;
    else if (character === "*" && !quoted) {
      expression += ".*";
      literal = undefined;
    } else {
      expression += character.replace(/[\\^$.*+?()[\]{}|/-]/, "\\$&");
      if (literal !== undefined) literal += character;
    }
  }
  if (quoted) return { problem: `${text} has an unclosed double quote` };
  if (expression === "") return { problem: "the name is empty" };
  const whole = new RegExp(`^${expression}$`, "s");
  return { matches: (name) => whole.test(name), literal };
}
