import { ExitCode, plural, poll, UsageError } from "../../core/internal.ts";
import type { InitReport } from "../../commands/shared/init_report.ts";
import type { RemoteClient, RemoteJob } from "../../remote/mod.ts";
import { printable } from "../../ui/mod.ts";
import type { CommandContext, CommandRunner } from "../context.ts";
import { jobActions } from "../grammar/commands.ts";
import { notOneOf, type OptionReader } from "../options/option_reader.ts";
import { jsonLine, printJson, printResult, tableOptions } from "../print/print.ts";
import { followJob, hasFailed, openRemote, resultOf } from "../remote/remote.ts";
import { readRemote, type RemotePlace } from "../remote/remote_place.ts";
import { reportFinished } from "../print/report_finished.ts";
import { printNext } from "../print/print_next.ts";
import { jobLines, jobListLines } from "../print/job_lines.ts";
import { printJobResult } from "../print/remote_results.ts";

/** `jobs`: lists, shows, follows and cancels jobs of a service. */
export const runJobs: CommandRunner = async (reader, context) => {
  const { place, action, id: givenId } = readJobsOptions(reader, context);
  const client = openRemote(place, context);
  const id = action === "list" ? "" : await findJobId(client, givenId);
  switch (action) {
    case "list":
      return await list(client, reader, context);
    case "show":
      return await show(client, id, context);
    case "logs":
      return await logs(client, id, { follow: reader.flag("follow"), context });
    case "cancel": {
      const job = await client.cancel(id);
      if (context.output.json) printJson(context.terminal, job);
      else {printResult(context.terminal, [
          `${id}: ${job.state === "running" ? "stopping" : job.state}`,
        ]);}
      printNext(nextOfJob(job), context);
      return ExitCode.success;
    }
    case "attach": {
      const job = await followJob(id, { place, context });
      if (job.result === null) resultOf(job);
      if (hasFailed(job)) {
        if (job.command === "init") reportFinished(job.result as InitReport, context);
        resultOf(job);
      }
      printJobResult(job, context);
      printNext(`jobs show ${id}`, context);
      return jobExitCode(job);
    }
  }
};

/** What to run next about a job. */
export function nextOfJob({ id, finished_at }: Pick<RemoteJob, "id" | "finished_at">): string {
  return finished_at === null ? `jobs attach ${id}` : `jobs logs ${id}`;
}

function readJobsOptions(
  reader: OptionReader,
  { resolve: { environment } }: CommandContext,
): {
  readonly place: RemotePlace;
  readonly action: typeof jobActions[number];
  readonly id: string;
} {
  const place = readRemote(reader, { environment, required: true });
  const [word = "list", id] = reader.words;
  const action = jobActions.find((each) => each === word);
  if (action === undefined) {
    reader.problem("jobs", notOneOf(word, jobActions));
  } else if (action === "list" ? id !== undefined : id === undefined) {
    reader.problem(
      `jobs ${action}`,
      action === "list" ? "takes no job" : `needs a job: jobs ${action} ID`,
    );
  } else if (id !== undefined && !isJobId(id) && !/^[0-9a-f]{4}[0-9a-f-]*$/i.test(id)) {
    reader.problem(`jobs ${action}`, `"${id}" is not the id of a job; jobs list shows them`);
  }
  reader.done();
  if (place === undefined || action === undefined) throw new UsageError([]);
  return { place, action, id: id ?? "" };
}

function isJobId(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
}

/** The job whose id begins with `given`, among the most recent ones. */
async function findJobId(client: RemoteClient, given: string): Promise<string> {
  if (isJobId(given)) return given;
  const jobs = await client.jobs({ limit: maxSearched });
  const found = jobs.filter(({ id }) => id.startsWith(given.toLowerCase()));
  const [job] = found;
  if (job !== undefined && found.length === 1) return job.id;
  throw new UsageError([{
    path: "jobs",
    message: job === undefined
      ? `no job has an id that begins with "${given}"; jobs list shows them`
      : `"${given}" is the beginning of several ids: ${found.map(({ id }) => id).join(", ")}`,
  }]);
}

/** The service returns no more at once. */
const maxSearched = 200;

function jobExitCode({ exit_code }: RemoteJob): ExitCode {
  return Object.values(ExitCode).find((each) => each === exit_code) ?? ExitCode.internal;
}

async function list(
  client: RemoteClient,
  reader: OptionReader,
  context: CommandContext,
): Promise<ExitCode> {
  const { terminal, output } = context;
  const state = reader.choice("state");
  const jobs = await client.jobs({ state });
  if (output.json) printJson(terminal, jobs);
  else if (jobs.length === 0) {
    printResult(terminal, [state === undefined ? "No jobs." : `No ${stateWords(state)} jobs.`]);
  } else {
    printResult(terminal, jobListLines(jobs, tableOptions(terminal.stdout)));
  }
  const [newest] = jobs;
  printNext(newest === undefined ? nextWithoutJobs(state, context) : nextOfJob(newest), context);
  return ExitCode.success;
}

/** All jobs where none is in the wanted state; otherwise the command that submits the first one. */
function nextWithoutJobs(
  state: string | undefined,
  { resolve: { environment } }: CommandContext,
): string {
  if (state !== undefined) return "jobs list";
  const areServersKnown = [environment["SOURCE_URL"], environment["TARGET_URL"]].every(Boolean);
  return areServersKnown ? "validate" : "validate --help";
}

function stateWords(state: string): string {
  return state.replaceAll("_", " ");
}

async function show(
  client: RemoteClient,
  id: string,
  context: CommandContext,
): Promise<ExitCode> {
  const { terminal, output } = context;
  const job = await client.job(id);
  if (output.json) {
    printJson(terminal, job);
    return ExitCode.success;
  }
  printResult(terminal, jobLines(job, tableOptions(terminal.stdout)));
  printNext(nextOfJob(job), context);
  return ExitCode.success;
}

const pollMs = 1_000;

async function logs(
  client: RemoteClient,
  id: string,
  { follow, context }: { readonly follow: boolean; readonly context: CommandContext },
): Promise<ExitCode> {
  const { terminal, output, run } = context;
  let after = 0;
  await poll(async () => {
    const over = !follow || (await client.job(id)).finished_at !== null;
    for (let lines = await client.logs(id);; lines = await client.logs(id, after)) {
      const fresh = lines.filter(({ number }) => number > after);
      for (const line of fresh) {
        const { number, at, level, message } = line;
        const missing = number - after - 1;
        after = number;
        if (missing > 0 && !output.json) {
          terminal.stdout.write(`… ${plural(missing, "line")} not kept …\n`);
        }
        terminal.stdout.write(
          output.json
            ? jsonLine(line)
            : `${at.slice(0, 19).replace("T", " ")} ${level.padEnd(5)} ${printable(message)}\n`,
        );
      }
      if (fresh.length < 1000) break;
    }
    return over || undefined;
  }, { intervalMs: pollMs, signal: run.signal });
  printNext(`jobs show ${id}`, context);
  return ExitCode.success;
}
