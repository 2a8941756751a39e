import stringWidth from "string-width";

// deno-lint-ignore no-control-regex -- an escape sequence begins with ESC
const escapeSequence = /\x1b\[[0-9;]*m/y;
const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** How many columns a text takes on a terminal; colours take none, `日` takes two. */
export function displayWidth(text: string): number {
  return stringWidth(text);
}

/**
 * Makes what came from a server harmless on a terminal: a table's name may hold line breaks and
 * escape sequences, which would break the layout or worse.
 */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex -- these are what is replaced
  return text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

/**
 * Shortens a text to `columns`, ending in `…` when something was cut; colours are kept and closed.
 */
export function truncate(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  if (columns <= 0) return "";
  let result = "";
  let width = 0;
  let colored = false;
  for (const piece of pieces(text)) {
    if (piece.startsWith("\x1b[")) {
      result += piece;
      colored = true;
      continue;
    }
    const next = displayWidth(piece);
    if (width + next > columns - 1) break;
    result += piece;
    width += next;
  }
  return `${result}…${colored ? "\x1b[0m" : ""}`;
}

/** Fills up with spaces on the right to `columns`. */
export function padEnd(text: string, columns: number): string {
  return text + " ".repeat(Math.max(0, columns - displayWidth(text)));
}

/** Fills up with spaces on the left to `columns`. */
export function padStart(text: string, columns: number): string {
  return " ".repeat(Math.max(0, columns - displayWidth(text))) + text;
}

/** Breaks a text into lines of at most `columns`, at spaces where there are some. */
export function wrap(text: string, columns: number): string[] {
  if (columns < 1) return [text];
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (displayWidth(longer) <= columns) {
      line = longer;
      continue;
    }
    if (line !== "") lines.push(line);
    line = word;
    while (displayWidth(line) > columns) {
      const head = takeColumns(line, columns);
      lines.push(head);
      line = line.slice(head.length);
    }
  }
  lines.push(line);
  return lines;
}

/**
 * Breaks lines that are wider than a terminal at spaces, where the terminal would break them
 * anywhere; what follows stands a little to the right. Lines that fit, such as those of tables,
 * stay as they are.
 */
export function fitLines(
  lines: readonly string[],
  { columns }: { readonly columns: number },
): readonly string[] {
  return lines.flatMap((line) => {
    if (displayWidth(line) <= columns) return [line];
    const indent = /^ */.exec(line)?.[0] ?? "";
    const hanging = `${indent}  `;
    if (columns - hanging.length < leastText) return [line];
    const [first = "", ...rest] = wrap(line.slice(indent.length), columns - hanging.length);
    return [`${indent}${first}`, ...rest.map((each) => `${hanging}${each}`)];
  });
}

/** Narrower than this, breaking at spaces makes nothing better. */
const leastText = 20;

function takeColumns(text: string, columns: number): string {
  let head = "";
  let width = 0;
  for (const { segment } of graphemes.segment(text)) {
    width += displayWidth(segment);
    if (width > columns && head !== "") break;
    head += segment;
  }
  return head;
}

/** Colour sequences and characters as people see them, in their order. */
function* pieces(text: string): Generator<string> {
  let at = 0;
  for (const { segment, index } of graphemes.segment(text)) {
    if (index < at) continue;
    escapeSequence.lastIndex = index;
    const match = segment.startsWith("\x1b") ? escapeSequence.exec(text) : null;
    yield match === null ? segment : match[0];
    at = index + (match?.[0].length ?? segment.length);
  }
}
