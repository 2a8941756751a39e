/** Splits at separators outside double quotes. */
export function splitNames(
  text: string,
  { separator = ",", unquote = true }: {
    readonly separator?: string;
    readonly unquote?: boolean;
  } = {},
): readonly string[] {
  const parts: string[] = [];
  let part = "";
  let quoted = false;
  for (const character of text) {
    if (character === '"') quoted = !quoted;
    if (character === separator && !quoted) {
      parts.push(part);
      part = "";
    } else part += character;
  }
  parts.push(part);
  return parts.map((each) => unquote ? unquoteName(each.trim()) : each.trim());
}

function unquoteName(text: string): string {
  return /^".*"$/s.test(text) ? text.slice(1, -1).replaceAll('""', '"') : text;
}
