/**
 * What commands print in terminals of four widths, from reports of real runs, compared with files
 * that were read line by line. `deno task golden` writes them again.
 */
import { strictEqual } from "node:assert/strict";
import { cleanupReportLines } from "../../lib/cli/run/run_cleanup.ts";
import { initReportLines } from "../../lib/cli/print/init_report_lines.ts";
import { statusLines } from "../../lib/cli/print/status_lines.ts";
import { validationLines } from "../../lib/cli/print/validation_lines.ts";
import { verifyLines } from "../../lib/cli/print/verify_lines.ts";
import { fitLines, type TableOptions } from "../../lib/ui/mod.ts";

const folder = new URL(".", import.meta.url);
const widths = [60, 80, 120, 200] as const;

async function sample(name: string) {
  const file = new URL(`../formats/samples/${name}-report.json`, folder);
  return JSON.parse(await Deno.readTextFile(file));
}

const init = await sample("init");
const screens: Readonly<Record<string, (size: TableOptions) => readonly string[]>> = {
  "init": (size) => initReportLines(init, size),
  ...await fromSample("validate", validationLines),
  ...await fromSample("status", statusLines),
  ...await fromSample("verify", verifyLines),
  ...await fromSample("cleanup", cleanupReportLines),
};

async function fromSample<Report>(
  name: string,
  print: (report: Report, size: TableOptions) => readonly string[],
) {
  const report = await sample(name) as Report;
  return { [name]: (size: TableOptions) => print(report, size) };
}

for (const [name, print] of Object.entries(screens)) {
  Deno.test(`${name} is printed as in its golden file, at every width`, async () => {
    const text = widths.map((columns) => {
      const lines = fitLines(print({ columns, color: false }), { columns });
      return `${`──── ${columns} columns `.padEnd(columns, "─")}\n${lines.join("\n")}\n`;
    }).join("\n");
    const file = new URL(`screens/${name}.txt`, folder);
    if (Deno.env.get("WRITE_GOLDEN") === "1") await Deno.writeTextFile(file, text);
    strictEqual(text, await Deno.readTextFile(file));
  });
}
