import { displayWidth } from "../../ui/mod.ts";

const hanging = "      ";

/**
 * A command as lines that fit the terminal, and can be run as they are printed: a backslash
 * continues each. An option stays with its value; a longer word, such as a URL, stays whole. Pure.
 *
 * @param command quoted for a shell
 * @param options `label`: stands before it, on the first line
 */
export function fitCommand(
  command: string,
  { columns, label = "" }: { readonly columns: number; readonly label?: string },
): readonly string[] {
  if (displayWidth(label + command) <= columns) return [label + command];
  const lines: string[] = [];
  let line = label;
  for (const part of parts(command)) {
    const isFirst = line === label || line === hanging;
    const longer = isFirst ? line + part : `${line} ${part}`;
    if (isFirst || displayWidth(longer) + continued.length <= columns) {
      line = longer;
      continue;
    }
    lines.push(line + continued);
    line = hanging + part;
  }
  return [...lines, line];
}

const continued = " \\";

/** Words of a shell command; an option and its value are one. */
function parts(command: string): readonly string[] {
  const words = command.match(/(?:\$'(?:[^'\\]|\\.)*'|'[^']*'|\\.|[^\s'\\])+/g) ?? [];
  const joined: string[] = [];
  for (const word of words) {
    const before = joined.at(-1);
    const isValue = before !== undefined && /^--[a-z][a-z-]*$/.test(before) &&
      !word.startsWith("--");
    if (isValue) joined[joined.length - 1] = `${before} ${word}`;
    else joined.push(word);
  }
  return joined;
}
