import { displayWidth, graphemesOf } from "./display_width.ts";

// deno-lint-ignore no-control-regex -- an escape sequence begins with ESC
const escapeSequence = /\x1b\[[0-9;]*m/y;
/**
 * Makes text from a server safe for a terminal: an identifier may contain line breaks, escape
 * sequences, and characters that change the writing direction.
 */
export function printable(text: string): string {
  return text.replace(unprintable, "\ufffd");
}

// deno-lint-ignore no-control-regex -- these are replaced
const unprintable = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/**
 * The JSON of a value. What a terminal would obey, or show in another direction, is escaped also
 * where JSON does not require it.
 */
export function printableJson(
  value: unknown,
  { replacer, indent }: {
    readonly replacer?: (key: string, value: unknown) => unknown;
    readonly indent?: number;
  } = {},
): string {
  return JSON.stringify(value, replacer, indent).replace(
    beyondJson,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

const beyondJson = /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Truncates text to `columns`, ending in `…`; colors are kept and closed. */
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

/** Pads text with spaces on the right to `columns`. */
export function padEnd(text: string, columns: number): string {
  return text + " ".repeat(Math.max(0, columns - displayWidth(text)));
}

/** Pads text with spaces on the left to `columns`. */
export function padStart(text: string, columns: number): string {
  return " ".repeat(Math.max(0, columns - displayWidth(text))) + text;
}

/**
 * Breaks text into lines of at most `columns`, at spaces where possible.
 *
 * @param options `keepsWords`: whether a longer word stays whole, on a line of its own
 */
export function wrap(
  text: string,
  columns: number,
  { keepsWords = false }: { readonly keepsWords?: boolean } = {},
): string[] {
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
    while (!keepsWords && displayWidth(line) > columns) {
      const head = takeColumns(line, columns);
      lines.push(head);
      line = line.slice(head.length);
    }
  }
  lines.push(line);
  return lines;
}

/**
 * Breaks lines wider than the terminal at spaces and indents the continuation. Lines that fit, such
 * as table rows, are unchanged, and so are words: a URL can be copied whole.
 */
export function fitLines(
  lines: readonly string[],
  { columns }: { readonly columns: number },
): readonly string[] {
  return lines.flatMap((line) => {
    if (displayWidth(line) <= columns) return [line];
    const indent = /^ */.exec(line)?.[0] ?? "";
    const hanging = `${indent}  `;
    if (columns - hanging.length < minTextColumns) return [line];
    const [first = "", ...rest] = wrap(line.slice(indent.length), columns - hanging.length, {
      keepsWords: true,
    });
    return [first, ...rest].map((each, at) => `${at === 0 ? indent : hanging}${each}`.trimEnd());
  });
}

/** Below this width, breaking at spaces does not help. */
const minTextColumns = 20;

function takeColumns(text: string, columns: number): string {
  let head = "";
  let width = 0;
  for (const { segment } of graphemesOf(text)) {
    width += displayWidth(segment);
    if (width > columns && head !== "") break;
    head += segment;
  }
  return head;
}

/** Color sequences and grapheme clusters, in order. */
function* pieces(text: string): Generator<string> {
  let at = 0;
  for (const { segment, index } of graphemesOf(text)) {
    if (index < at) continue;
    escapeSequence.lastIndex = index;
    const match = segment.startsWith("\x1b") ? escapeSequence.exec(text) : null;
    yield match === null ? segment : match[0];
    at = index + (match?.[0].length ?? segment.length);
  }
}
