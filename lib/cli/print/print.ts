import { fitLines, type TableOptions } from "../../ui/mod.ts";
import type { Output, Terminal } from "../terminal/terminal.ts";

/** Prints the JSON document of `--json`. */
export function printJson(terminal: Terminal, document: unknown): void {
  terminal.stdout.write(`${JSON.stringify(document, undefined, 2)}\n`);
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
