/**
 * Sets the version: `deno task version 0.2.0`. It is written in `deno.json`; `lib/core/version.ts`
 * and the manual page follow from it. Without an argument, only writes those; with `--check`, only
 * compares them.
 *
 * @module
 */
import denoJson from "../deno.json" with { type: "json" };

const made = "lib/core/version.ts";
const [argument] = Deno.args;
const check = argument === "--check";
const version = check || argument === undefined ? denoJson.version : argument;
if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) {
  throw new Error(`${version} is not a version: use one like 1.2.3 or 1.3.0-rc.1`);
}
const text = `/** The version of the tool, from deno.json; written by \`deno task version\`. */
export const toolVersion = "${version}";
`;
if (check) {
  if (await Deno.readTextFile(made) !== text) {
    throw new Error(`${made} does not have the version of deno.json: run deno task version`);
  }
} else {
  if (version !== denoJson.version) {
    const config = await Deno.readTextFile("deno.json");
    const old = `"version": "${denoJson.version}"`;
    await Deno.writeTextFile("deno.json", config.replace(old, `"version": "${version}"`));
  }
  await Deno.writeTextFile(made, text);
}
