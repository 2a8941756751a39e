/**
 * `deno doc --lint` over every export of `deno.json`: the package's own entry point alone, since
 * its users need no other, and each part together with the parts that it builds on. So no part
 * refers to a type that is not published. Part of `deno task ok`.
 *
 * Requires `--allow-read=deno.json`, `--allow-run=deno`.
 *
 * @module
 */

/** The parts, bottom up. */
const parts = [
  "./core",
  "./rules",
  "./config",
  "./postgres",
  "./catalog",
  "./schema",
  "./checkpoint",
  "./copy",
  "./replication",
  "./verify",
  "./remote",
  "./commands",
];

const { exports } = JSON.parse(await Deno.readTextFile("deno.json")) as {
  readonly exports: Readonly<Record<string, string>>;
};
const unknown = Object.keys(exports).filter((name) =>
  name !== "." && name !== "./cli" && !parts.includes(name)
);
if (unknown.length > 0) throw new Error(`not in scripts/check_docs.ts: ${unknown.join(", ")}`);

const groups = [[".", "./cli"], ...parts.map((_, index) => parts.slice(0, index + 1))];
const failures: string[] = [];
for (const group of groups) {
  const { success, stderr } = await new Deno.Command("deno", {
    args: [
      ...["doc", "--quiet", "--lock=deno.lock", "--frozen", "--lint"],
      ...group.map((name) => exports[name]!),
    ],
    env: { NO_COLOR: "1" },
    stdout: "null",
  }).output();
  if (!success) failures.push(`${group.at(-1)}: ${new TextDecoder().decode(stderr)}`);
}
if (failures.length > 0) throw new Error(`documentation:\n${failures.join("\n")}`);
