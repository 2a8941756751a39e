import { printable } from "../text.ts";

/** Text that is already markup; {@linkcode markup} escapes everything else. */
export class Markup {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

/** What {@linkcode markup} interpolates; undefined yields nothing. */
export type Content = Markup | string | number | undefined | readonly Content[];

/**
 * A fragment of a page. Interpolated values are escaped for text and quoted attributes alike,
 * unless they are {@linkcode Markup}: a table may be named `<script>`.
 *
 * Not named `html` because `deno fmt` formats such templates and changes their whitespace.
 */
export function markup(texts: TemplateStringsArray, ...contents: readonly Content[]): Markup {
  return new Markup(
    texts.reduce((page, text, index) => page + markupOf(contents[index - 1]) + text),
  );
}

function markupOf(content: Content): string {
  if (content === undefined) return "";
  if (content instanceof Markup) return content.toString();
  if (typeof content === "number") return String(content);
  if (typeof content === "string") return escapeHtml(content);
  return content.map(markupOf).join("");
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/**
 * Escapes text for HTML. Control characters, which would be invisible or change the writing
 * direction, become `\ufffd`.
 */
function escapeHtml(text: string): string {
  return printable(text).toWellFormed().replace(/[&<>"']/g, (character) => entities[character]!);
}

/** Text with its line breaks. */
export function lines(text: string): Markup {
  const [first = "", ...rest] = text.split(/\r?\n/);
  return markup`${first}${rest.map((line) => markup`<br>${line}`)}`;
}

/** A name from a server, isolated so that right-to-left text does not affect its surroundings. */
export function name(text: string): Markup {
  return markup`<bdi>${text}</bdi>`;
}
