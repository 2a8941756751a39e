import { type Content, type Markup, markup } from "./markup.ts";

/** A column of a {@linkcode dataTable}. */
export interface DataColumn {
  readonly title: string;
  readonly align?: "right";
}

/** A table of a page. */
export interface DataTable {
  readonly caption: Content;
  readonly columns: readonly DataColumn[];
  /** The first cell is the row's heading. */
  readonly rows: readonly (readonly Content[])[];
}

/** Tables with more rows scroll within the page and can be filtered. */
const maxPlainRows = 20;

/**
 * A table with caption and headings. A long one scrolls in its own block and prints in full.
 */
export function dataTable({ caption, columns, rows }: DataTable): Markup {
  const block = rows.length > maxPlainRows
    ? markup`class="scroll long" tabindex="0" role="group" aria-label="Table, scrolls"`
    : markup`class="scroll"`;
  return markup`<div ${block}><table>
<caption><span>${caption}</span></caption>
<thead><tr>${columns.map(heading)}</tr></thead>
<tbody>
${rows.map((row) => rowOf(row, columns))}</tbody>
</table></div>`;
}

function heading({ title, align }: DataColumn): Markup {
  return markup`<th scope="col"${classOf(align)}>${title}</th>`;
}

function rowOf(cells: readonly Content[], columns: readonly DataColumn[]): Markup {
  const [first, ...rest] = cells;
  return markup`<tr><th scope="row">${first}</th>${
    rest.map((cell, index) => markup`<td${classOf(columns[index + 1]?.align)}>${cell}</td>`)
  }</tr>
`;
}

function classOf(align: DataColumn["align"]): Markup | undefined {
  return align === undefined ? undefined : markup` class="number"`;
}

/**
 * A bar for a table cell, filled to `fraction` (0 to 1), with an optional tick at `mark`. Hidden
 * from screen readers, since another cell has the number.
 */
export function cellBar(fraction: number, mark?: number): Markup {
  const tick = mark === undefined
    ? undefined
    : markup`<line x1="${percentLength(mark)}" x2="${percentLength(mark)}" y1="0" y2="100%"/>`;
  return markup`<svg class="bar" aria-hidden="true"><rect width="${
    percentLength(fraction)
  }" height="100%"/>${tick}</svg>`;
}

function percentLength(fraction: number): string {
  return `${Number((Math.min(1, Math.max(0, fraction)) * 100).toFixed(1))}%`;
}
