import { printable } from "../text.ts";

/** A text that is markup already; everything else is escaped by {@linkcode markup}. */
export class Markup {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

/** What may stand in a template of {@linkcode markup}; undefined leaves nothing. */
export type Content = Markup | string | number | undefined | readonly Content[];

/**
 * A piece of a page. What is put in is escaped, in texts and in quoted attributes alike, unless it
 * was made by `markup` itself: a table may be called `<script>`.
 *
 * Not called `html`: `deno fmt` would then lay the pieces out as pages and change what is between
 * their words.
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
 * A text for a page; what could not be seen or would turn the direction of writing becomes
 * `\ufffd`.
 */
export function escapeHtml(text: string): string {
  return printable(text).toWellFormed().replace(/[&<>"']/g, (character) => entities[character]!);
}

/** A text of several lines. */
export function lines(text: string): Markup {
  const [first = "", ...rest] = text.split(/\r?\n/);
  return markup`${first}${rest.map((line) => markup`<br>${line}`)}`;
}

/**
 * A name from a server, which may be written from right to left without turning what is around it.
 */
export function name(text: string): Markup {
  return markup`<bdi>${text}</bdi>`;
}
