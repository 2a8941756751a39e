import { createHash } from "node:crypto";
import { type Content, Markup, markup } from "./markup.ts";
import { pageScript } from "./page_script.ts";
import { pageStyle } from "./page_style.ts";

/** The contents of a page. */
export interface Page {
  readonly title: string;
  /** The program that generated it. */
  readonly generator: string;
  readonly header: Content;
  readonly main: Content;
  readonly footer: Content;
}

/** A self-contained HTML document. */
export function renderPage({ title, generator, header, main, footer }: Page): string {
  return markup`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy()}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="${generator}">
<title>${title}</title>
<style>${new Markup(pageStyle)}</style>
</head>
<body>
${header}
<main>
${main}</main>
<footer>${footer}</footer>
<script>${new Markup(pageScript)}</script>
</body>
</html>
`.toString();
}

/** Allows only the page's own script and style, even if some text were not escaped. */
function policy(): string {
  return [
    "default-src 'none'",
    `style-src ${sourceHash(pageStyle)}`,
    `script-src ${sourceHash(pageScript)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

function sourceHash(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}
