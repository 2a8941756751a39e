/**
 * `deno doc --lint` for every export of `deno.json`, less one rule: a field of an interface needs
 * no comment where its name says it all (`readonly rows: number`). Part of `deno task ok`.
 *
 * Requires `--allow-read=deno.json`, `--allow-run=deno`.
 *
 * @module
 */

const { exports } = JSON.parse(await Deno.readTextFile("deno.json")) as {
  readonly exports: Readonly<Record<string, string>>;
};
const { stderr } = await new Deno.Command("deno", {
  args: ["doc", "--quiet", "--lock=deno.lock", "--frozen", "--lint", ...Object.values(exports)],
  env: { NO_COLOR: "1" },
  stdout: "null",
}).output();

const report = new TextDecoder().decode(stderr);
// each finding is "error[rule]: …", and the line it is about comes as " 12 | source"
const findings = report.split(/\n(?=error)/)
  .filter((finding) => /^error\[/.test(finding.trim()))
  .filter((finding) =>
    !(finding.includes("error[missing-jsdoc]") && /^\s*\d+ \|\s{2,}\S/m.test(finding))
  );
const failedOtherwise = /^error: (?!Found )/m.test(report);
if (findings.length > 0 || failedOtherwise) {
  throw new Error(`documentation:\n${failedOtherwise ? report : findings.join("\n")}`);
}
