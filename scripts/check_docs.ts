/**
 * `deno doc --lint` over every export of `deno.json`. Part of `deno task ok`.
 *
 * Requires `--allow-read=deno.json`, `--allow-run=deno`.
 *
 * @module
 */

const { exports } = JSON.parse(await Deno.readTextFile("deno.json")) as {
  readonly exports: Readonly<Record<string, string>>;
};
const { success, stderr } = await new Deno.Command("deno", {
  args: ["doc", "--quiet", "--lock=deno.lock", "--frozen", "--lint", ...Object.values(exports)],
  env: { NO_COLOR: "1" },
  stdout: "null",
}).output();
if (!success) throw new Error(`documentation:\n${new TextDecoder().decode(stderr)}`);
