/** The demo as a user runs it: from start to end, and ended by Ctrl-C at any time. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import { denoEnvironment, repository } from "../../support/cli.ts";

/** A folder for the demo's servers, so that what it leaves can be told from what others use. */
const folder = await Deno.makeTempDir({ prefix: "psr-demo-" });
await Deno.chmod(folder, 0o755); // servers may run as another user
Deno.test.afterAll(() => Deno.remove(folder, { recursive: true }));

/** Processes whose command line names the folder. */
async function processesLeft(): Promise<string[]> {
  const { stdout } = await new Deno.Command("ps", { args: ["-A", "-o", "args="] }).output();
  return new TextDecoder().decode(stdout).split("\n").filter((line) => line.includes(folder));
}

/** Files in the folder but the cache of server programs, which is meant to stay. */
async function filesLeft(): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (!name.startsWith("postgres-seren-replicator-cache")) names.push(name);
  }
  return names;
}

/** Runs `deno task demo`; `onText` sees all that it has printed so far and may send signals. */
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
  // a demo that hangs shows what it has said so far, instead of hanging the tests too
  const timer = setTimeout(() => child.kill("SIGKILL"), 120_000);
  for await (const piece of child.stderr.pipeThrough(new TextDecoderStream())) {
    stderr += piece;
    onText(stderr, (name) => child.kill(name));
  }
  const { code } = await child.status;
  clearTimeout(timer);
  return { code, stdout: await stdout, stderr };
}

Deno.test("demo tells the whole story, compares both sides and leaves nothing behind", async () => {
  const { code, stdout, stderr } = await runDemo(["--size", "10MB"]);
  strictEqual(code, 0, stderr);
  for (
    const part of [
      "Two servers",
      "validate: what could go wrong?",
      "init: the copy",
      "The new server follows",
      "behind after",
      "○ stopped",
      "Is it right?",
      "are equal, value by value",
      "the users have committed",
      "cleanup: nothing stays behind",
      "subscription seren_",
      "publication seren_",
      "slot seren_",
    ]
  ) ok(stderr.includes(part), `${part} is missing in\n${stderr}`);
  match(stdout, /With your own servers/);
  ok(!/without schema/.test(stderr), stderr); // no false alarm about search_path
  deepStrictEqual(await processesLeft(), []);
  deepStrictEqual(await filesLeft(), []);
});

Deno.test("demo --json prints one document that says that both sides are equal", async () => {
  const { code, stdout, stderr } = await runDemo([
    ...["--size", "5MB", "--json", "--source-version", "12", "--target-version", "12"],
    ...["--log-level", "error"],
  ]);
  strictEqual(code, 0, stderr);
  const report = JSON.parse(stdout);
  strictEqual(report.comparison.equal, true);
  deepStrictEqual(report.cleanup.failed, []);
  ok(report.writtenMeanwhile.committed >= 0);
});

for (
  const [phase, sign] of [
    ["while a server starts", /Two servers/],
    ["while the shop is filled", /Filling the old server/],
    ["while validate runs", /what could go wrong/],
    ["while rows are copied", /copied audit\.events|Copy rows/],
    ["while both sides are compared", /is compared with the new/],
  ] as const
) {
  Deno.test(`demo ended by Ctrl-C ${phase} leaves nothing behind`, async () => {
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

Deno.test("demo killed outright leaves nothing behind after a moment", async () => {
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
