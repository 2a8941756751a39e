import process from "node:process";
import type { Prompts } from "./selection.ts";
import type { Terminal } from "./terminal.ts";
import { printable } from "../../ui/mod.ts";

/**
 * Questions in the terminal, by clack: on stderr, because stdout is for results.
 *
 * @param signal cancels the open question, as Esc does
 */
export async function openPrompts(
  { stderr }: Terminal,
  signal: AbortSignal,
): Promise<Prompts> {
  // detecting the color depth would read a dozen variables, each of which needs a permission
  for (const stream of [process.stdout, process.stderr]) {
    Object.defineProperty(stream, "getColorDepth", {
      value: () => stderr.color ? 8 : 1,
      configurable: true,
    });
  }
  const clack = await import("@clack/prompts");
  const streams = { input: process.stdin, output: process.stderr, signal };
  const answered = <Value>(answer: Value): Exclude<Value, symbol> | undefined =>
    clack.isCancel(answer) ? undefined : answer as Exclude<Value, symbol>;
  return {
    chooseMany: async ({ message, choices, initial, required }) =>
      answered(
        await clack.autocompleteMultiselect<string>({
          ...streams,
          message,
          options: choices.map(({ value, label, hint }) => ({
            value,
            label: printable(label),
            ...(hint === "" ? {} : { hint }),
          })),
          initialValues: [...initial],
          required,
          maxItems: 12,
        }),
      ) as never,
    enterText: async ({ message, placeholder, problemOf }) =>
      answered(
        await clack.text({
          ...streams,
          message,
          placeholder,
          defaultValue: "",
          validate: (text) => problemOf(text ?? ""),
        }),
      ),
    confirm: async (message) =>
      answered(await clack.confirm({ ...streams, message, initialValue: false })),
    show: (title, lines) => clack.note(lines.map(printable).join("\n"), title, streams),
  };
}
