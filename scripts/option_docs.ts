/**
 * Generates the pages of the reference. From the option table: `docs/reference/options.md`, the man
 * page, `docs/reference/configuration.md` and `docs/reference/config.schema.json`; from the code
 * and samples of its output: `docs/reference/events.md` and `docs/reference/metrics.md`. With
 * `--check` only reports whether they are up to date.
 *
 * Requires `--allow-read=docs,test/formats/samples`, `--allow-run=deno`; without `--check` also
 * `--allow-write=docs`.
 *
 * @module
 */
import { configJsonSchema } from "../lib/config/json_schema.ts";
import { configurationPage } from "./option_docs/configuration_page.ts";
import { eventsPage } from "./option_docs/events_page.ts";
import { formatText } from "./option_docs/format_text.ts";
import { manPage } from "./option_docs/man_page.ts";
import { metricsPage } from "./option_docs/metrics_page.ts";
import { optionsPage } from "./option_docs/options_page.ts";

const schema = configJsonSchema();
const readJson = async (path: string) => JSON.parse(await Deno.readTextFile(path));
const files = [
  { path: "docs/reference/options.md", text: await formatText(optionsPage(), "md") },
  { path: "docs/reference/postgres-seren-replicator.1", text: manPage() },
  {
    path: "docs/reference/configuration.md",
    text: await formatText(configurationPage(schema), "md"),
  },
  {
    path: "docs/reference/config.schema.json",
    text: await formatText(JSON.stringify(schema), "json"),
  },
  {
    path: "docs/reference/events.md",
    text: await formatText(
      eventsPage(await readJson("docs/reference/schemas/event.schema.json")),
      "md",
    ),
  },
  {
    path: "docs/reference/metrics.md",
    text: await formatText(
      metricsPage(await readJson("test/formats/samples/status-report.json")),
      "md",
    ),
  },
];
const stale: string[] = [];
for (const { path, text } of files) {
  if (!Deno.args.includes("--check")) await Deno.writeTextFile(path, text);
  else if (await Deno.readTextFile(path).catch(() => "") !== text) stale.push(path);
}
if (stale.length > 0) {
  throw new Error(`out of date: ${stale.join(", ")}; run "deno task option-docs"`);
}
