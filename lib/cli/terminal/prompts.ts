import process from "node:process";
import type { Readable } from "node:stream";
import type { Prompts } from "./selection.ts";
import type { Terminal } from "./terminal.ts";
import { printable } from "../../ui/mod.ts";

/**
 * Questions in the terminal, by clack: on stderr, because stdout is for results. Keys that were
 * pressed before a question appeared do not answer it.
 *
 * @param signal cancels the open question, as Esc does
 */
export async function openPrompts(
  { stderr, openKeys }: Terminal,
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
  // clack uses nothing of the stream that KeyStream lacks
  const output = { output: withSingular(process.stderr), signal };
  const ask = async <Answer>(
    question: (streams: typeof output & { readonly input: Readable }) => Promise<Answer>,
  ): Promise<Exclude<Answer, symbol> | undefined> => {
    using input = await openKeys();
    const answer = await question({ ...output, input });
    return clack.isCancel(answer) ? undefined : answer as Exclude<Answer, symbol>;
  };
  return {
    chooseMany: async ({ message, choices, initial, required }) =>
      await ask((streams) =>
        clack.autocompleteMultiselect<string>({
          ...streams,
          message: printable(message),
          options: choices.map(({ value, label, hint }) => ({
            value,
            label: printable(label),
            ...(hint === "" ? {} : { hint: printable(hint) }),
          })),
          initialValues: [...initial],
          required,
          maxItems: 12,
        })
      ) as never,
    enterText: async ({ message, placeholder, problemOf }) =>
      await ask((streams) =>
        clack.text({
          ...streams,
          message,
          placeholder,
          defaultValue: "",
          validate: (text) => problemOf(text ?? ""),
        })
      ),
    confirm: async (message) =>
      await ask((streams) => clack.confirm({ ...streams, message, initialValue: true })),
    show: (title, lines) => clack.note(lines.map(printable).join("\n"), title, output),
  };
}

/** The stream with `1 item selected` where clack writes `1 items selected`. */
function withSingular(stream: typeof process.stderr): typeof process.stderr {
  return new Proxy(stream, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      if (name !== "write") return value.bind(target);
      return (text: unknown, ...more: readonly unknown[]) =>
        value.call(
          target,
          typeof text === "string"
            ? text.replace(/(?<!\d)1 items selected/g, "1 item selected")
            : text,
          ...more,
        );
    },
  });
}
