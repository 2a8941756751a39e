/**
 * Generates the files derived from the option table: `docs/reference/options.md`, the man page,
 * `docs/reference/configuration.md` and `docs/reference/config.schema.json`; with `--check` only
 * reports whether they are up to date.
 *
 * Requires `--allow-read=docs`, `--allow-run=deno`; without `--check` also `--allow-write=docs`.
 *
 * @module
 */
import { configJsonSchema } from "../lib/config/json_schema.ts";
import { configurationPage } from "./option_docs/configuration_page.ts";
import { manPage } from "./option_docs/man_page.ts";
import { optionsPage } from "./option_docs/options_page.ts";

async function format(text: string, extension: string): Promise<string> {
  const child = new Deno.Command("deno", {
    args: ["fmt", "--quiet", "--ext", extension, "--line-width", "100", "-"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stdout } = await child.output();
  if (!success) throw new Error(`deno fmt rejected the ${extension} text`);
  return new TextDecoder().decode(stdout);
}

const schema = configJsonSchema();
const files = [
  { path: "docs/reference/options.md", text: await format(optionsPage(), "md") },
  { path: "docs/reference/postgres-seren-replicator.1", text: manPage() },
  { path: "docs/reference/configuration.md", text: await format(configurationPage(schema), "md") },
  { path: "docs/reference/config.schema.json", text: await format(JSON.stringify(schema), "json") },
];
const stale: string[] = [];
for (const { path, text } of files) {
  if (!Deno.args.includes("--check")) await Deno.writeTextFile(path, text);
  else if (await Deno.readTextFile(path).catch(() => "") !== text) stale.push(path);
}
if (stale.length > 0) {
  throw new Error(`out of date: ${stale.join(", ")}; run "deno task option-docs"`);
}
