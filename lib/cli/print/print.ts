import { fitLines, printableJson, type TableOptions } from "../../ui/mod.ts";
import type { Output, Terminal } from "../terminal/terminal.ts";

/** Prints the JSON document of `--json`. */
export function printJson({ stdout }: Pick<Terminal, "stdout">, document: unknown): void {
  stdout.write(jsonDocument(document));
}

/**
 * A document as `--json` and `--report` write it: durations, sizes and rates with three decimals.
 */
export function jsonDocument(document: unknown): string {
  return `${printableJson(document, { replacer: rounded, indent: 2 })}\n`;
}

/** A document on one line, rounded in the same way: one of several, such as those of `--watch`. */
export function jsonLine(document: unknown): string {
  return `${printableJson(document, { replacer: rounded })}\n`;
}

function rounded(key: string, value: unknown): unknown {
  if (typeof value !== "number" || !/(?:^ms|Ms|^bytes|Bytes|PerSecond)$/.test(key)) return value;
  return Math.round(value * 1000) / 1000;
}

/** Prints the lines of a result on stdout. */
export function printResult(terminal: Terminal, lines: readonly string[]): void {
  printLines(terminal.stdout, lines);
}

/** Prints lines, wrapped at spaces to the width of the terminal. */
export function printLines(output: Output, lines: readonly string[]): void {
  output.write(`${fitLines(lines, tableOptions(output)).join("\n")}\n`);
}

/** Width and color of tables on this stream; files have unlimited width. */
export function tableOptions({ isTerminal, color, size }: Output): TableOptions {
  return { columns: isTerminal ? size().columns : Infinity, color };
}
