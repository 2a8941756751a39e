/** `jobs` from the command line: attached on a terminal, Ctrl-C, the log, the exit code. */
import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { ReplicatorError } from "../../../lib/core/internal.ts";
import type { JobRunner, JobRunners, RunnerContext } from "../../../lib/remote/worker/mod.ts";
import { cliCommand, denoEnvironment, runCli } from "../../support/cli.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { withDatabase } from "../../support/databases.ts";
import { Running } from "../../support/running.ts";
import {
  finished,
  jobSpec,
  openTestService,
  serviceTemplate,
  startTestWorker,
  type TestKey,
} from "../../support/service.ts";
import { hasTmux, TerminalProgram } from "../../support/tmux.ts";

const cluster = await sharedCluster(17);
const template = await serviceTemplate(cluster);

if (!hasTmux) {
  console.log("      skipped: tmux is not installed, so Ctrl-C on a terminal is not tested");
}

interface HeldJob {
  readonly alice: TestKey;
  readonly id: string;
  readonly env: Readonly<Record<string, string>>;
  readonly context: RunnerContext;
  readonly fail: (error: Error) => void;
}

/** A job that runs until the test fails or cancels it. */
async function withHeldJob(use: (job: HeldJob) => Promise<void>): Promise<void> {
  await withDatabase(cluster, template, async ({ url }) => {
    await using service = await openTestService(url);
    const begun = Promise.withResolvers<Pick<HeldJob, "context" | "fail">>();
    const runner: JobRunner = (_, context) =>
      new Promise((_, reject) => {
        context.signal.addEventListener("abort", () => reject(context.signal.reason), {
          once: true,
        });
        begun.resolve({ context, fail: reject });
      });
    await using _worker = await startTestWorker(service, { validate: runner } as JobRunners);
    const alice = await service.key("alice");
    const { id } = await (await alice.request("/v1/jobs", { json: jobSpec() })).json();
    const { context, fail } = await begun.promise;
    const env = { SEREN_REMOTE_API: service.service.url, SEREN_API_KEY: alice.key };
    await use({ alice, id, env, context, fail });
  });
}

async function stateOf(alice: TestKey, id: string): Promise<string> {
  return (await (await alice.request(`/v1/jobs/${id}`)).json()).state;
}

Deno.test({
  name:
    "Ctrl-C asks whether to detach from a job or cancel it, and attaching again repeats no output",
  ignore: !hasTmux,
  fn: async () => {
    await withHeldJob(async ({ alice, id, env, context }) => {
      context.events({ kind: "info", message: "shown once" });
      const attach = () =>
        TerminalProgram.start([Deno.execPath(), ...cliCommand, "jobs", "attach", id], {
          ...denoEnvironment(),
          ...env,
        });
      {
        await using terminal = await attach();
        await terminal.shows(/shown once/);
        await terminal.press("C-c");
        await terminal.shows(/Leave job .* running on the service, or cancel it\? \[l\]eave/);
        await terminal.type("l");
        await terminal.press("Enter");
        const screen = await terminal.shows(/exit code 130/);
        match(screen.replaceAll(/\s+/g, " "), /continues\..* shows it again .* jobs attach/);
      }
      strictEqual(await stateOf(alice, id), "running");
      {
        await using terminal = await attach();
        await terminal.shows(/shown once/);
        await terminal.press("C-c");
        await terminal.shows(/\[c\]ancel/);
        await terminal.type("c");
        await terminal.press("Enter");
        const screen = await terminal.shows(/exit code 130/);
        match(screen, /Cancelling…[^]*Ended: cancelled by its owner/);
        strictEqual(screen.match(/shown once/g)?.length, 1, screen);
      }
      strictEqual(await stateOf(alice, id), "cancelled");
    });
  },
});

Deno.test("without a terminal, Ctrl-C detaches from the job and says how to attach again", async () => {
  await withHeldJob(async ({ alice, id, env, context }) => {
    context.events({ kind: "info", message: "it runs" });
    await using attached = new Running(["jobs", "attach", id], env, { permissions: "cli" });
    await attached.says(/it runs/);
    strictEqual(await attached.kill("SIGINT"), 130);
    match(
      attached.output,
      new RegExp(`job ${id} continues\\.\n  → jobs attach .*\n {4}.* jobs attach ${id}`),
    );
    strictEqual(await stateOf(alice, id), "running");
  });
});

Deno.test("a job's exit code, error and log reach attached clients, log followers and later readers", async () => {
  await withHeldJob(async ({ alice, id, env, context, fail }) => {
    context.events({ kind: "info", message: "half way" });
    await using attached = new Running(["jobs", "attach", id], env, { permissions: "cli" });
    await using following = new Running(["jobs", "logs", id, "-f"], env, { permissions: "cli" });
    await Promise.all([attached.says(/half way/), following.says(/half way/)]);
    fail(
      new ReplicatorError("no room left", {
        exitCode: 8,
        side: "target",
        object: "tablespace big",
        remedy: "make room",
      }),
    );
    strictEqual((await finished(alice, id)).exit_code, 8);
    // they exit by themselves
    const [code, logCode] = await Promise.all([attached.ended(), following.ended()]);
    deepStrictEqual([code, logCode], [8, 0]);
    match(attached.output, /no room left[^]*trace id [0-9a-f]{32}[^]*make room/);
    match(
      following.output,
      /accepted[^]*attempt 1 on worker[^]*half way[^]*failed, exit code 8: no room/,
    );
    const [again, shown, listed, wrong, missing] = await Promise.all([
      runCli(["jobs", "attach", id], { env }),
      runCli(["jobs", "show", id], { env }),
      runCli(["jobs", "--state", "failed"], { env }),
      runCli(["jobs", "show", id], { env: { ...env, SEREN_API_KEY: "srk_wrong" } }),
      runCli(["jobs", "cancel", crypto.randomUUID()], { env }),
    ]);
    strictEqual(again.code, 8, again.stderr);
    match(
      shown.stdout,
      /state +failed[^]*exit code +8[^]*error +no room left[^]*remedy +make room/,
    );
    ok(listed.stdout.includes(id) && listed.code === 0);
    deepStrictEqual([wrong.code, missing.code], [2, 2]);
    match(wrong.stderr, /unknown, expired or revoked[^]*SEREN_API_KEY/);
    match(missing.stderr, /the job does not exist[^]*jobs list/);
    doesNotMatch([again, shown, listed].map((each) => each.stdout + each.stderr).join(), /planted/);
  });
});
