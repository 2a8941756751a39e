/**
 * Names with wildcards, as users write them in filters.
 *
 * @module
 */

/** A pattern that was read, or why it cannot be. */
export type NamePattern =
  | {
    readonly matches: (name: string) => boolean;
    /** The one name it stands for, when it has no wildcard. */
    readonly literal: string | undefined;
  }
  | { readonly problem: string };

/**
 * Reads `app`, `app_*` or `"Odd * name"`: `*` stands for any characters, except within double
 * quotes, where a doubled quote stands for one. Case counts.
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
  if (expression === "") return { problem: "an empty name" };
  const whole = new RegExp(`^${expression}$`, "s");
  return { matches: (name) => whole.test(name), literal };
}
