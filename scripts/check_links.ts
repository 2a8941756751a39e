/**
 * Checks that every relative link in the Markdown files leads to a file, and that its fragment is a
 * heading there. Part of `deno task docs`.
 *
 * Requires `--allow-read=.`.
 *
 * @module
 */
import { dirname, join } from "node:path";

async function* markdown(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (/^(\.|dist$|node_modules$|coverage$)/.test(name)) continue;
    const path = join(folder, name);
    if (isDirectory) yield* markdown(path);
    else if (name.endsWith(".md")) yield path;
  }
}

/** The fragments of a page's headings, as GitHub derives them. */
function fragments(text: string): ReadonlySet<string> {
  const headings = text.matchAll(/^#+\s+(.+)$/gm);
  return new Set(
    headings.map(([, heading = ""]) =>
      heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(" ", "-")
    ),
  );
}

const broken: string[] = [];
for await (const page of markdown(".")) {
  const text = await Deno.readTextFile(page);
  for (const [, link = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^\w+:/.test(link)) continue;
    const [path = "", fragment] = link.split("#");
    const target = path === "" ? page : join(dirname(page), path);
    const found = await Deno.stat(target).catch(() => undefined);
    const lacksHeading = found?.isFile && fragment !== undefined &&
      !fragments(await Deno.readTextFile(target)).has(fragment);
    if (found === undefined || lacksHeading) broken.push(`${page}: ${link}`);
  }
}
if (broken.length > 0) throw new Error(`broken links:\n${broken.join("\n")}`);
