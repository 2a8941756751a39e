/** A message of the source code, with what to do about it; variable parts are `…`. */
export interface KnownMessage {
  readonly message: string;
  readonly remedy: string;
  /** The folder of `lib` that it is from. */
  readonly folder: string;
}

const label =
  /(?:\b(?:message|finding|problem|reason|consequence|title)|\bnew \w*Error)\s*[:(]\s*(?=["`])/g;
/** How far before its remedy a message is looked for. */
const reach = 1200;

/** The messages in a file whose remedy follows them as a literal. */
export function messagesIn(text: string, folder: string): readonly KnownMessage[] {
  const found: KnownMessage[] = [];
  let after = 0;
  for (const { index, 0: { length } } of text.matchAll(/\bremedy:\s*(?=["`])/g)) {
    const before = text.slice(Math.max(after, index - reach), index);
    const start = [...before.matchAll(label)].at(-1);
    after = index;
    if (start === undefined) continue;
    const message = readLiterals(before, start.index + start[0].length);
    const remedy = readLiterals(text, index + length);
    // a message that is only a placeholder says nothing to search for
    if (/\p{L}{3}/u.test(message)) found.push({ message, remedy, folder });
  }
  return found;
}

/** The text of string literals joined by `+`, with expressions as `…`. */
function readLiterals(text: string, start: number): string {
  let read = "";
  for (let at = start;;) {
    const quote = text[at];
    if (quote !== '"' && quote !== "`") return read.replaceAll(/…(?:\s*…)+/g, "…");
    for (at++; at < text.length && text[at] !== quote;) {
      if (text[at] === "\\") {
        read += text[at + 1] === "n" ? " " : text[at + 1];
        at += 2;
      } else if (quote === "`" && text.startsWith("${", at)) {
        read += "…";
        at = endOfExpression(text, at + 2);
      } else read += text[at++];
    }
    at++;
    at += /^\s*\+?\s*/.exec(text.slice(at))![0].length;
  }
}

/** The position after the brace that closes an expression of a template. */
function endOfExpression(text: string, start: number): number {
  let depth = 1;
  let at = start;
  for (; depth > 0 && at < text.length; at++) {
    if (text[at] === "{") depth++;
    else if (text[at] === "}") depth--;
  }
  return at;
}

/** Folders of `lib`, and what their messages are about. */
const chapters: Readonly<Record<string, string>> = {
  postgres: "Connections",
  config: "Options and the configuration file",
  rules: "Rules",
  catalog: "Reading the source",
  schema: "Roles, schema and pg_dump",
  checkpoint: "Resuming",
  copy: "Copying rows",
  replication: "Replication",
  apply: "Applying changes from this tool",
  verify: "Verification",
  cutover: "Cutover",
  commands: "Checks and commands",
  remote: "Remote jobs",
  cli: "The command line",
  demo: "The demo",
  cluster: "The servers of the demo",
};

/** The page with all messages, by what they are about. */
export function messagesPage(messages: readonly KnownMessage[]): string {
  const sections = Object.entries(chapters).flatMap(([folder, title]) => {
    const own = new Map(
      messages.filter((each) => each.folder === folder).map((each) => [each.message, each]),
    );
    if (own.size === 0) return [];
    const entries = [...own.values()].toSorted((a, b) => a.message < b.message ? -1 : 1)
      .flatMap(({ message, remedy }) => [`### ${plain(message)}`, "", `→ ${plain(remedy)}`, ""]);
    return [`## ${title}`, "", ...entries];
  });
  return [
    "---",
    "outline: 2",
    "---",
    "",
    "# Messages",
    "",
    "Every message that comes with a remedy, from the source code of this version; `…` stands for a " +
    "name, a number or a server's own words. The search above finds them by any part of their text. " +
    "[Troubleshooting](../guides/troubleshooting.md) explains the most frequent ones at length.",
    "",
    ...sections,
  ].join("\n");
}

/** Text that Markdown and Vue leave as it is. */
function plain(text: string): string {
  return text.replaceAll(/[\\`*_[\]<>{}|#&]/g, (character) => `&#${character.charCodeAt(0)};`);
}
