/**
 * Wraps comments at 100 columns. `deno task comments` checks, as part of `deno task static`;
 * `deno task comments --fix` rewrites.
 *
 * Only comments with a line that is too long are touched. Paragraphs are filled anew; list items,
 * tags, tables and code stay lines of their own. A comment that trails code moves above it.
 *
 * Requires `--allow-read=.`, with `--fix` also `--allow-write=.`.
 *
 * @module
 */
import { join } from "node:path";

const maxColumns = 100;
const roots = ["cli.ts", "mod.ts", "lib", "test", "scripts", "page"];
/** Generated files. */
const generated = /\/(row_packer_program|assets|saslprep_tables)\.ts$/;

async function* sources(path: string): AsyncGenerator<string> {
  if ((await Deno.stat(path)).isFile) {
    if (/\.tsx?$/.test(path) && !generated.test(path)) yield path;
    return;
  }
  for await (const { name } of Deno.readDir(path)) yield* sources(join(path, name));
}

/** Starts a new line in the filled text: a tag, a list item, a heading, a table row, a quote. */
const ownLine = /^(@\w|[-*] |\d+\. |#|\||>)/;

/**
 * Fills paragraphs to the width.
 *
 * @param text lines without the comment's marks
 * @param width columns per line
 */
function fill(text: readonly string[], width: number): readonly string[] {
  const filled: string[] = [];
  let paragraph: { readonly indent: string; readonly words: string[] } | undefined;
  let inCode = false;
  const flush = () => {
    if (paragraph !== undefined) filled.push(...lines(paragraph, width));
    paragraph = undefined;
  };
  for (const line of text) {
    if (line.trimStart().startsWith("```")) inCode = !inCode;
    if (inCode || line.trim() === "" || line.trimStart().startsWith("```") || /^\s*\|/.test(line)) {
      flush();
      filled.push(line);
      continue;
    }
    const indent = /^\s*/.exec(line)?.[0] ?? "";
    const words = line.trim().split(/ +/);
    if (paragraph === undefined || ownLine.test(line.trim())) {
      flush();
      paragraph = { indent, words };
    } else paragraph.words.push(...words);
  }
  flush();
  return filled;
}

function lines(
  { indent, words }: { readonly indent: string; readonly words: readonly string[] },
  width: number,
): readonly string[] {
  const hanging = /^([-*]|\d+\.)$/.test(words[0] ?? "")
    ? `${indent}${" ".repeat((words[0] ?? "").length + 1)}`
    : indent;
  const filled: string[] = [];
  let line = `${indent}${words[0]}`;
  for (const word of words.slice(1)) {
    // a word that would start an item stays on its line
    if (`${line} ${word}`.length > width && !ownLine.test(`${word} `)) {
      filled.push(line);
      line = `${hanging}${word}`;
    } else line += ` ${word}`;
  }
  return [...filled, line];
}

function wrapBlock(block: readonly string[]): readonly string[] {
  const indent = /^\s*/.exec(block[0] ?? "")?.[0] ?? "";
  const opening = block[0]?.trimStart().startsWith("/**") ? "/**" : "/*";
  const text = block.map((line, index) => {
    let inner = line.trim();
    if (index === 0) inner = inner.slice(opening.length);
    if (index === block.length - 1) inner = inner.replace(/\*\/$/, "");
    if (index > 0) inner = inner.replace(/^\*/, "");
    return inner.replace(/^ /, "").trimEnd();
  });
  while (text[0] === "") text.shift();
  while (text.at(-1) === "") text.pop();
  const filled = fill(text, maxColumns - indent.length - 3);
  return [
    `${indent}${opening}`,
    ...filled.map((line) => line === "" ? `${indent} *` : `${indent} * ${line}`),
    `${indent} */`,
  ];
}

function wrapLines(block: readonly string[]): readonly string[] {
  const indent = /^\s*/.exec(block[0] ?? "")?.[0] ?? "";
  const text = block.map((line) => line.trim().replace(/^\/\/ ?/, ""));
  return fill(text, maxColumns - indent.length - 3)
    .map((line) => `${indent}// ${line}`.trimEnd());
}

const isTooLong = (line: string) => line.length > maxColumns && !/https?:\/\/\S{40,}/.test(line);
/** Instructions to tools, which are one line by their nature. */
const isInstruction = (line: string) => /^\s*\/[/*]\s*(deno-|@ts-|@ts_|#region)/.test(line);

/** Wraps the comments of one source text. */
function wrapComments(text: string): string {
  const source = text.split("\n");
  const wrapped: string[] = [];
  for (let at = 0; at < source.length;) {
    const line = source[at] ?? "";
    let end = at + 1;
    if (/^\s*\/\*/.test(line)) {
      while (end <= source.length && !(source[end - 1] ?? "").includes("*/")) end++;
      const block = source.slice(at, end);
      const whole = (block.at(-1) ?? "").trimEnd().endsWith("*/");
      wrapped.push(...(whole && block.some(isTooLong) ? wrapBlock(block) : block));
    } else if (/^\s*\/\//.test(line) && !isInstruction(line)) {
      while (/^\s*\/\//.test(source[end] ?? "") && !isInstruction(source[end] ?? "")) end++;
      const block = source.slice(at, end);
      wrapped.push(...(block.some(isTooLong) ? wrapLines(block) : block));
    } else {
      const trailing = isTooLong(line) ? /^(\s*)(\S.*?[,;{(\[>]) \/\/ (.*)$/.exec(line) : null;
      if (trailing === null) wrapped.push(line);
      else {
        const [, indent = "", code = "", comment = ""] = trailing;
        wrapped.push(...wrapLines([`${indent}// ${comment}`]), `${indent}${code}`);
      }
    }
    at = end;
  }
  return wrapped.join("\n");
}

const fix = Deno.args.includes("--fix");
const problems: string[] = [];
for (const root of roots) {
  for await (const file of sources(root)) {
    const text = await Deno.readTextFile(file);
    const wrapped = wrapComments(text);
    if (wrapped === text) continue;
    if (fix) await Deno.writeTextFile(file, wrapped);
    else problems.push(file);
  }
}
if (problems.length > 0) {
  throw new Error(
    `comments reach beyond column ${maxColumns}; run deno task comments --fix:\n${
      problems.join("\n")
    }`,
  );
}
