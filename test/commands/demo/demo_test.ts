/** The demo from the command line: run to completion, and interrupted at any time. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import { denoEnvironment, repository } from "../../support/cli.ts";
import { isLong, withRepeats } from "../../support/long.ts";

/** A folder for the demo's servers, to distinguish leftovers from the files of other tests. */
const folder = await Deno.makeTempDir({ prefix: "psr-demo-" });
await Deno.chmod(folder, 0o755); // servers may run as another user
Deno.test.afterAll(() => Deno.remove(folder, { recursive: true }));

/** Processes whose command line contains the folder. */
async function processesLeft(): Promise<string[]> {
  const { stdout } = await new Deno.Command("ps", { args: ["-A", "-o", "args="] }).output();
  return new TextDecoder().decode(stdout).split("\n").filter((line) => line.includes(folder));
}

/** Files in the folder except the cache of server programs. */
async function filesLeft(): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (!name.startsWith("postgres-seren-replicator-cache")) names.push(name);
  }
  return names;
}

/** Runs the demo; `onText` receives its output so far and may send signals. */
async function runDemo(
  args: readonly string[],
  onText: (text: string, signal: (name: Deno.Signal) => void) => void = () => {},
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", "-P=demo", `--config=${repository}deno.json`],
      ...[join(repository, "cli.ts"), "demo", ...args],
    ],
    clearEnv: true,
    env: { ...denoEnvironment(), TMPDIR: folder },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stdout = new Response(child.stdout).text();
  let stderr = "";
  // if the demo hangs, fail with its output so far
  const timer = setTimeout(() => child.kill("SIGKILL"), 180_000);
  for await (const piece of child.stderr.pipeThrough(new TextDecoderStream())) {
    stderr += piece;
    onText(stderr, (name) => child.kill(name));
  }
  const { code } = await child.status;
  clearTimeout(timer);
  return { code, stdout: await stdout, stderr };
}

Deno.test("demo runs all phases, compares both sides and leaves nothing behind", async () => {
  const { code, stdout, stderr } = await runDemo(["--size", "10MB"]);
  strictEqual(code, 0, stderr);
  for (
    const part of [
      "Two servers",
      "validate: what could go wrong?",
      "init: copying the database",
      "The new server follows",
      "behind after",
      "○ stopped",
      "Comparing both servers",
      "are equal, value by value",
      "cutover: to the new server, and back",
      "to the new server: writers waited",
      "back to the old server: writers waited",
      "on one server or the other",
      "source: cutover seren_cutover",
      "cleanup: removing replication",
      "subscription seren_",
      "publication seren_",
      "slot seren_",
    ]
  ) ok(stderr.includes(part), `${part} is missing in\n${stderr}`);
  match(stdout, /With your own servers/);
  ok(!/without a schema/.test(stderr), stderr); // no false alarm about search_path
  deepStrictEqual(await processesLeft(), []);
  deepStrictEqual(await filesLeft(), []);
});

Deno.test(
  "demo --json prints one document that reports both sides as equal",
  { ignore: !isLong },
  async () => {
    const { code, stdout, stderr } = await runDemo([
      ...["--size", "5MB", "--json", "--source-version", "12", "--target-version", "12"],
      ...["--log-level", "error"],
    ]);
    strictEqual(code, 0, stderr);
    const report = JSON.parse(stdout);
    strictEqual(report.comparison.equal, true);
    deepStrictEqual(report.cleanup.failed, []);
    ok(report.writtenMeanwhile.committed >= 0);
  },
);

for (
  const [phase, sign] of withRepeats(
    [
      ["while a server starts", /Two servers/],
      ["while rows are copied", /copied audit\.events|Copy rows/],
    ],
    [
      ["while the shop is loaded", /into the old server/],
      ["while validate runs", /what could go wrong/],
      ["while both sides are compared", /Comparing every row/],
    ],
  )
) {
  Deno.test(`demo interrupted by Ctrl-C ${phase} leaves nothing behind`, async () => {
    let sent = false;
    const { code, stderr } = await runDemo(["--size", "20MB"], (text, signal) => {
      if (sent || !sign.test(text)) return;
      sent = true;
      signal("SIGINT");
    });
    strictEqual(code, 130, stderr);
    match(stderr, /Ended: interrupted/);
    deepStrictEqual(await processesLeft(), []);
    deepStrictEqual(await filesLeft(), []);
  });
}

Deno.test("demo killed by SIGKILL leaves nothing behind after a moment", async () => {
  const { code } = await runDemo(["--size", "20MB"], (text, signal) => {
    if (/Copy rows/.test(text)) signal("SIGKILL");
  });
  ok(code !== 0);
  const deadline = Date.now() + 20_000;
  while ((await processesLeft()).length > 0 || (await filesLeft()).length > 0) {
    ok(Date.now() < deadline, `${await processesLeft()}\n${await filesLeft()}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
});
