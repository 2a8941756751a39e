/** Text as `deno fmt` writes it. Requires `--allow-run=deno`. */
export async function formatText(text: string, extension: string): Promise<string> {
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
