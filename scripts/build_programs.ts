/**
 * Compiles `row_packer.wat` into `lib/postgres/protocol/row_packer_program.ts`, as text so that it
 * is available from source, from JSR, in the bundle and in the executable. Part of `deno task ok`,
 * with `--check`.
 *
 * Requires `--allow-read`, `--allow-write` for that file (not with `--check`).
 *
 * @module
 */
import wabt from "wabt";

const source = "lib/postgres/protocol/row_packer.wat";
const made = "lib/postgres/protocol/row_packer_program.ts";

const tools = await wabt();
const module = tools.parseWat(source, await Deno.readTextFile(source), {
  bulk_memory: true,
  simd: true,
});
module.validate();
const binary = module.toBinary({}).buffer.toBase64();

const text =
  `/** Compiled from \`row_packer.wat\` by \`deno task programs\`: a WebAssembly module, in base64. */
export const rowPackerProgram =
  "${binary}";
`;

if (Deno.args.includes("--check")) {
  const there = await Deno.readTextFile(made).catch(() => "");
  if (there !== text) {
    throw new Error(`${made} is out of date with ${source}: run deno task programs`);
  }
} else {
  await Deno.writeTextFile(made, text);
}
