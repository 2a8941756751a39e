/**
 * Runs a command of `deno` and returns its output. Throws an `Error` with its messages.
 *
 * @param env variables to set, or to remove
 */
export async function deno(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
): Promise<string> {
  const variables = { ...Deno.env.toObject(), NO_COLOR: "1", ...env };
  const { success, stdout, stderr } = await new Deno.Command("deno", {
    args: [command, "--lock=deno.lock", "--frozen", "--quiet", ...args],
    clearEnv: true,
    env: Object.fromEntries(
      Object.entries(variables).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, value]]
      ),
    ),
  }).output();
  const text = new TextDecoder();
  if (!success) throw new Error(`deno ${command}: ${text.decode(stderr).trim()}`);
  return text.decode(stdout);
}
