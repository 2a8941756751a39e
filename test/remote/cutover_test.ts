/**
 * `cutover` as a job: its scope and audit trail, and what becomes of a switch whose worker dies.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { jobRunners } from "../../lib/commands/job_runners/job_runners.ts";
import { ExitCode, ReplicatorError } from "../../lib/core/internal.ts";
import type { KeyScope } from "../../lib/remote/keys/mod.ts";
import { LocalKeyProvider } from "../../lib/remote/secrets/mod.ts";
import { accepts } from "../cutover/open_probe.ts";
import { checkAcknowledged, startAcknowledgedLoad } from "../support/acknowledged_load.ts";
import { denoEnvironment, repository, runCli } from "../support/cli.ts";
import { sharedCluster } from "../support/clusters.ts";
import { type CutoverPair, prepareCutover, withCutoverPair } from "../support/cutover_pair.ts";
import { withDatabase } from "../support/databases.ts";
import {
  finished,
  jobSpec,
  openTestService,
  serviceTemplate,
  startTestWorker,
  type TestKey,
  type TestService,
} from "../support/service.ts";
import { query } from "../support/sql.ts";
import type { DyingWorkerInput } from "./dying_worker.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);
const template = await serviceTemplate(target);

const runners = jobRunners({
  jobs: 2,
  splitBytes: 1024 ** 3,
  maxDiffs: 10,
  slotTimeoutMs: 60_000,
  now: () => new Date(),
});

const write = "INSERT INTO balance VALUES (-1, 0)";
const scopes: readonly KeyScope[] = ["jobs:read", "jobs:write", "cutover"];

interface Place {
  readonly service: TestService;
  readonly alice: TestKey;
  readonly keyFile: string;
  readonly pair: CutoverPair;
  /** Submits a cutover of the pair, as alice. */
  readonly submit: (options: Record<string, unknown>) => Promise<string>;
  /** The same, and waits for its end. */
  readonly run: (options: Record<string, unknown>) => Promise<Record<string, unknown>>;
  /** Which of both sides accept writes. */
  readonly open: () => Promise<readonly string[]>;
}

async function withPlace(use: (place: Place) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await withDatabase(target, template, async ({ url: serviceUrl }) => {
      const keys = await LocalKeyProvider.create(`${folder}/keys`);
      await using service = await openTestService(serviceUrl, { keys });
      const alice = await service.key("alice", { scopes });
      await withCutoverPair({ source, target }, async (pair) => {
        const submit = async (options: Record<string, unknown>) => {
          const response = await alice.request("/v1/jobs", { json: cutoverSpec(pair, options) });
          const body = await response.json();
          strictEqual(response.status, 201, JSON.stringify(body));
          return body.id as string;
        };
        await use({
          service,
          alice,
          keyFile: `${folder}/keys`,
          pair,
          submit,
          run: async (options) => await finished(alice, await submit(options)),
          open: async () => [
            ...(await accepts(pair.url, write) ? ["source"] : []),
            ...(await accepts(pair.targetUrl, write) ? ["target"] : []),
          ],
        });
      });
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function cutoverSpec({ name, url, targetUrl }: CutoverPair, options: Record<string, unknown>) {
  return jobSpec({
    command: "cutover",
    source_url: url,
    target_url: targetUrl,
    filters: { include_databases: [name] },
    options,
  });
}

/** Runs a worker until it has killed itself. */
async function dieAt(point: string, { service, keyFile }: Place): Promise<void> {
  const input: DyingWorkerInput = { databaseUrl: service.databaseUrl, keyFile, dieAt: point };
  const { signal, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", `--config=${repository}deno.json`],
      ...[`--lock=${repository}deno.lock`, "--frozen", "--no-check", "-A"],
      fileURLToPath(new URL("./dying_worker.ts", import.meta.url)),
      JSON.stringify(input),
    ],
    clearEnv: true,
    env: denoEnvironment(),
    stdin: "null",
    stdout: "null",
  }).output();
  strictEqual(signal, "SIGKILL", new TextDecoder().decode(stderr));
}

async function audit({ service }: Place): Promise<readonly (readonly unknown[])[]> {
  const rows = await query(
    service.databaseUrl,
    `SELECT actor, action, object, outcome FROM seren_remote.audit
      WHERE action LIKE 'cutover.%' ORDER BY id`,
  );
  return rows.map(({ actor, action, object, outcome }) => [actor, action, object, outcome]);
}

Deno.test("jobs prepare, rehearse, switch over and back under load; each switch is in the audit trail", async () => {
  await withPlace(async (place) => {
    const { service, alice, pair, run, open } = place;
    await using _worker = await startTestWorker(service, runners);
    const load = startAcknowledgedLoad([pair.url, pair.targetUrl]);
    await using _load = load;
    await load.more(50);

    const plan = await run({ action: "prepare", dry_run: true });
    match(JSON.stringify(plan.result), /FUNCTION seren_cutover.refuse_write/);
    deepStrictEqual(
      await query(pair.url, "SELECT FROM pg_namespace WHERE nspname = 'seren_cutover'"),
      [],
    );
    const prepared = await run({ action: "prepare" });
    deepStrictEqual([prepared.state, prepared.error], ["succeeded", null]);
    const rehearsal = await run({ action: "rehearse", rehearse_tokens: 3, brownout_ms: 200 });
    deepStrictEqual([rehearsal.state, rehearsal.error], ["succeeded", null]);

    const over = await run({ action: "run", max_pause_ms: 20_000 });
    deepStrictEqual([over.state, over.error], ["succeeded", null]);
    deepStrictEqual(await open(), ["target"]);
    await load.more(50);
    const back = await run({ action: "rollback", max_pause_ms: 20_000 });
    deepStrictEqual([back.state, back.error], ["succeeded", null]);
    deepStrictEqual(await open(), ["source"]);
    await load.more(50);
    const outcome = await load.stop();
    deepStrictEqual(await checkAcknowledged(pair.url, outcome), []);

    const { pauseMs } = over.result as { readonly pauseMs: number };
    ok(pauseMs > 0 && pauseMs < 20_000);
    const logs = await (await alice.request(`/v1/jobs/${over.id}/logs`)).json();
    const log = logs.lines.map(({ message }: { message: string }) => message).join("\n");
    match(log, /writers waited .+ of 20\.0 s allowed/);
    match(log, /Close the side in use.*: done in /);
    deepStrictEqual(await audit(place), [
      ["alice", "cutover.rehearse", rehearsal.id, "done"],
      ["alice", "cutover.run", over.id, "done"],
      ["alice", "cutover.rollback", back.id, "done"],
    ]);
    const status = await run({ action: "status" });
    match(JSON.stringify(status.result), /"phase":"prepared"/);
  });
});

Deno.test("a key without the scope may look and prepare, but neither switch, finish nor make writers wait", async () => {
  await withPlace(async (place) => {
    const { service, pair } = place;
    const bob = await service.key("bob");
    const post = async (options: Record<string, unknown>) => {
      const response = await bob.request("/v1/jobs", { json: cutoverSpec(pair, options) });
      return [response.status, (await response.json()).detail] as const;
    };
    for (const action of ["run", "rollback", "finish"]) {
      const [status, detail] = await post({ action });
      strictEqual(status, 403);
      match(
        detail,
        /lacks the scope cutover, which cutover run, rollback, finish and a rehearsal with brownout_ms require/,
      );
      strictEqual((await post({ action, dry_run: true }))[0], 201);
    }
    strictEqual((await post({ action: "rehearse", brownout_ms: 200 }))[0], 403);
    for (const action of ["prepare", "rehearse", "status", undefined]) {
      strictEqual((await post({ action }))[0], 201);
    }
    deepStrictEqual(
      (await audit(place)).map(([actor, action, , outcome]) => [actor, action, outcome]),
      ["run", "rollback", "finish", "rehearse"].map((
        action,
      ) => ["bob", `cutover.${action}`, "denied"]),
    );
  });
});

Deno.test("a worker killed past the point of no return: another completes the switch, even of a cancelled job", async () => {
  await withPlace(async (place) => {
    const { service, alice, pair, submit, open } = place;
    await prepareCutover(pair);
    const id = await submit({ action: "run", max_pause_ms: 60_000 });
    await dieAt("end fence 1", place);
    deepStrictEqual(await open(), []);
    await (await alice.request(`/v1/jobs/${id}/cancel`, { method: "POST" })).body?.cancel();
    await using _worker = await startTestWorker(service, runners);
    const job = await finished(alice, id);
    deepStrictEqual([job.state, job.attempt, job.error], ["succeeded", 2, null]);
    deepStrictEqual(await open(), ["target"]);
    deepStrictEqual(await audit(place), [["alice", "cutover.run", id, "done"]]);
  });
});

Deno.test("a worker killed while writers wait: they continue, and another worker switches", async () => {
  await withPlace(async (place) => {
    const { service, alice, pair, submit, open } = place;
    await prepareCutover(pair);
    const id = await submit({ action: "run", max_pause_ms: 60_000 });
    await dieAt("begin final-check 1", place);
    deepStrictEqual(await open(), ["source"]);
    await using _worker = await startTestWorker(service, runners);
    const job = await finished(alice, id);
    deepStrictEqual([job.state, job.attempt, job.error], ["succeeded", 2, null]);
    deepStrictEqual(await open(), ["target"]);
  });
});

Deno.test("a worker killed while writers wait, and the job cancelled: nothing is switched", async () => {
  await withPlace(async (place) => {
    const { service, alice, pair, submit, open } = place;
    await prepareCutover(pair);
    const id = await submit({ action: "run", max_pause_ms: 60_000 });
    await dieAt("begin final-check 1", place);
    await (await alice.request(`/v1/jobs/${id}/cancel`, { method: "POST" })).body?.cancel();
    await using _worker = await startTestWorker(service, runners);
    const job = await finished(alice, id);
    deepStrictEqual([job.state, job.exit_code], ["cancelled", ExitCode.interrupted]);
    deepStrictEqual(await open(), ["source"]);
    deepStrictEqual(await audit(place), [["alice", "cutover.run", id, "failed"]]);
  });
});

Deno.test("a worker lost after the switch: the next attempt reports it, and does not refuse", async () => {
  await withPlace(async (place) => {
    const { service, alice, pair, submit, open } = place;
    await prepareCutover(pair);
    let runs = 0;
    await using _worker = await startTestWorker(service, {
      cutover: async (job, context) => {
        const outcome = await runners.cutover!(job, context);
        if (++runs > 1) return outcome;
        throw new ReplicatorError("the network is down", { exitCode: ExitCode.targetUnreachable });
      },
    });
    const id = await submit({ action: "run" });
    const job = await finished(alice, id);
    deepStrictEqual([job.state, job.attempt, job.error], ["succeeded", 2, null]);
    const { warnings, databases } = job.result as {
      readonly warnings: readonly string[];
      readonly databases: readonly { readonly evidence: { readonly tokens: readonly unknown[] } }[];
    };
    match(warnings.join(), /an earlier attempt/);
    strictEqual(databases[0]?.evidence.tokens.length, 1);
    deepStrictEqual(await open(), ["target"]);

    // a job of its own finds that there is nothing to do
    const again = await finished(alice, await submit({ action: "run" }));
    deepStrictEqual([again.state, again.exit_code], ["failed", ExitCode.prerequisite]);
  });
});

Deno.test("cancelled while writers wait, a job lets them continue", async () => {
  await withPlace(async ({ service, alice, pair, submit, open }) => {
    await prepareCutover(pair);
    await using _worker = await startTestWorker(service, {
      cutover: (job, context) =>
        runners.cutover!(job, {
          ...context,
          events: (event) => {
            context.events(event);
            if (event.kind !== "step-started" || event.step !== "sequences") return;
            // what the request does; blocks this thread, and with it the switch, until it is done
            const { success, stderr } = new Deno.Command(Deno.execPath(), {
              args: [
                ...["eval", "--quiet", `--config=${repository}deno.json`],
                ...[`--lock=${repository}deno.lock`, "--frozen"],
                `import postgres from "postgres";
                 const sql = postgres("${service.databaseUrl}");
                 await sql\`UPDATE seren_remote.jobs SET cancel_requested_at = now()\`;
                 await sql.end();`,
              ],
              cwd: repository,
            }).outputSync();
            ok(success, new TextDecoder().decode(stderr));
          },
        }),
    }, { checkEveryMs: 5 });
    const id = await submit({ action: "run", max_pause_ms: 60_000, final_check: "counts" });
    const job = await finished(alice, id);
    deepStrictEqual([job.state, job.exit_code], ["cancelled", ExitCode.interrupted]);
    deepStrictEqual(await open(), ["source"]);
  });
});

Deno.test("cutover --remote shows the plan of a job first, and never takes hooks", async () => {
  await withPlace(async ({ service, alice, pair, open }) => {
    await using _worker = await startTestWorker(service, runners);
    const env = {
      SEREN_REMOTE_API: service.service.url,
      SEREN_API_KEY: alice.key,
      SOURCE_URL: pair.url,
      TARGET_URL: pair.targetUrl,
    };
    const cutover = (...args: readonly string[]) =>
      runCli(["cutover", ...args, "--include-databases", pair.name], { env });
    const hook = await cutover("run", "--yes", "--hook-switch", "true");
    strictEqual(hook.code, ExitCode.usage);
    match(hook.stderr, /--hook-switch: is a command, and a service does not run/);
    const dry = await cutover("prepare", "--dry-run");
    strictEqual(dry.code, 0, dry.stderr);
    match(dry.stdout, /FUNCTION seren_cutover.refuse_write/);
    const prepared = await cutover("prepare", "--yes");
    strictEqual(prepared.code, 0, prepared.stderr);
    match(prepared.stdout, /Prepared in/);
    const run = await cutover("run", "--yes", "--json", "--max-pause", "20s");
    strictEqual(run.code, 0, run.stderr);
    strictEqual(JSON.parse(run.stdout).maxPauseMs, 20_000);
    deepStrictEqual(await open(), ["target"]);
    const { jobs } = await (await alice.request("/v1/jobs")).json();
    const attached = await runCli(["jobs", "attach", jobs[0].id], { env });
    strictEqual(attached.code, 0, attached.stderr);
    match(attached.stdout, /the target is in use/);
  });
});
