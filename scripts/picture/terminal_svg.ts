const lineHeight = 19;
const charWidth = 8.43;
const margin = 22;
const header = 34;

/** Colors of the terminal, by the number that switches them on. */
const colors: Readonly<Record<number, string>> = {
  31: "#ff7b72",
  32: "#56d364",
  33: "#e3b341",
  36: "#76e3ea",
};

interface Look {
  readonly color: string | undefined;
  readonly bold: boolean;
  readonly dim: boolean;
}

const plain: Look = { color: undefined, bold: false, dim: false };

/** A picture of a terminal with these lines, which may contain colors. */
export function terminalSvg(
  lines: readonly string[],
  { title, columns }: { readonly title: string; readonly columns: number },
): string {
  const width = Math.ceil(columns * charWidth + 2 * margin);
  const height = header + lines.length * lineHeight + margin;
  const rows = lines.map((line, index) => {
    const y = header + (index + 1) * lineHeight;
    return `<text x="${margin}" y="${y}" xml:space="preserve">${spans(line)}</text>`;
  });
  const dots = ["#ff5f57", "#febc2e", "#28c840"]
    .map((fill, index) => `<circle cx="${margin + index * 18}" cy="18" r="5.5" fill="${fill}"/>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${
    escape(title)
  }">
<style>text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#e6edf3}</style>
<rect width="${width}" height="${height}" rx="9" fill="#0d1117"/>
${dots.join("")}
${rows.join("\n")}
</svg>
`;
}

function spans(line: string): string {
  let look = plain;
  const [first = "", ...rest] = line.split("\x1b[");
  return escape(first) + rest.map((part) => {
    const [whole = "", code] = /^(\d+)m/.exec(part) ?? [];
    look = changed(look, Number(code));
    return span(part.slice(whole.length), look);
  }).join("");
}

function changed(look: Look, code: number): Look {
  switch (code) {
    case 0:
      return plain;
    case 1:
      return { ...look, bold: true };
    case 2:
      return { ...look, dim: true };
    case 22:
      return { ...look, bold: false, dim: false };
    case 39:
      return { ...look, color: undefined };
    default:
      return { ...look, color: colors[code] };
  }
}

function span(text: string, { color, bold, dim }: Look): string {
  if (text === "") return "";
  const attributes = [
    color === undefined ? "" : ` fill="${color}"`,
    bold ? ' font-weight="600"' : "",
    dim ? ' opacity="0.65"' : "",
  ].join("");
  return attributes === "" ? escape(text) : `<tspan${attributes}>${escape(text)}</tspan>`;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
