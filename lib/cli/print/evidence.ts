import { errorMessage, toolVersion } from "../../core/internal.ts";
import type { HtmlReportOptions } from "../../ui/html_report.ts";
import type { CommandContext } from "../context.ts";
import { jsonDocument, printResult } from "./print.ts";
import { writeReportFile } from "../options/report_file.ts";

/** Where a report goes, and how it looks as a page. */
export interface EvidenceOptions<Report> {
  readonly reportFile: string;
  readonly render: (report: Report, options: HtmlReportOptions) => string;
  readonly context: CommandContext;
}

/**
 * Writes a report and prints the file's SHA-256 digest, which proves later that the file is
 * unchanged: on stdout, or on stderr if stdout is JSON. A failure to write is a warning.
 */
export async function writeEvidence<Report extends object>(
  report: Report,
  { reportFile, render, context: { run, output, terminal } }: EvidenceOptions<Report>,
): Promise<void> {
  try {
    const text = /\.json$/i.test(reportFile)
      ? jsonText(report)
      : render(report, { generatedAt: new Date(), toolVersion });
    await writeReportFile(reportFile, text);
    const lines = [
      "",
      `Report written to ${reportFile}; its SHA-256 digest is`,
      await sha256(text),
      "The file is unchanged as long as this prints the same digest:",
      `  sha256sum ${shellWord(reportFile)}`,
    ];
    if (output.json) terminal.stderr.write(`${lines.slice(1).join("\n")}\n`);
    else printResult(terminal, lines);
  } catch (error) {
    run.events({
      kind: "warning",
      message: `the report could not be written to ${reportFile}: ${errorMessage(error)}`,
      remedy: "the command itself is complete; with --json its report is on stdout as well",
    });
  }
}

function jsonText(report: object): string {
  const tool = `postgres-seren-replicator ${toolVersion}`;
  return jsonDocument({ tool, ...report });
}

/** Hexadecimal, as `sha256sum` prints it. */
async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(digest).toHex();
}

/** A file name quoted for a shell. */
function shellWord(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
