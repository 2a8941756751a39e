import { type Content, type Markup, markup } from "./markup.ts";

/** A section of the page with its heading. */
export function section(
  { id, title }: { readonly id: string; readonly title: string },
  content: Content,
): Markup {
  return markup`<section aria-labelledby="${id}">
<h2 id="${id}">${title}</h2>
${content}
</section>
`;
}
