import type { Command } from "@commander-js/extra-typings";
import { jobsHelp, keysHelp, serveHelp, workerHelp } from "./remote_help.ts";

// deno-lint-ignore no-explicit-any -- extra-typings gives every chain its own type; the values are read as RawOptions
type AnyCommand = Command<any, any, any>;

/** What `jobs` does. */
export const jobActions = ["list", "show", "logs", "cancel", "attach"] as const;
/** What `keys` does. */
export const keyActions = ["create", "list", "rotate", "revoke", "rotate-encryption"] as const;

/** Lets a command run on a service. */
export function addRemoteOptions(command: AnyCommand): AnyCommand {
  return command
    .option("--remote <URL>", "run it as a job of this service (or variable SEREN_REMOTE_API)")
    .option("--local", "run it here, whatever SEREN_REMOTE_API says");
}

/** Adds `serve`, `worker`, `keys` and `jobs`. */
export function addRemoteCommands(
  program: AnyCommand,
  { add, addOutputOptions }: {
    /** Tells of a command that was named. */
    readonly add: (command: AnyCommand) => void;
    readonly addOutputOptions: (command: AnyCommand) => AnyCommand;
  },
): void {
  const jobs = program.command("jobs")
    .summary("list, show, follow and cancel jobs of a service")
    .description(`Talks to a service about its jobs: ${jobActions.join(", ")}.`)
    .argument("<action>", jobActions.join(", "))
    .argument("[job]", "its id")
    .option("--remote <URL>", "the service (or variable SEREN_REMOTE_API)")
    .option("--state <STATE>", "list: only jobs in this state")
    .option("-f, --follow", "logs: go on until the job is over")
    .addHelpText("after", jobsHelp);
  addOutputOptions(jobs);
  add(jobs);

  const serve = addKeeperOptions(addDatabaseOption(
    program.command("serve")
      .summary("run the service that takes jobs in")
      .description(
        "Listens for jobs and keeps them in a PostgreSQL database; workers run them.\n" +
          "Any number of instances may share the database.",
      ),
  ))
    .option("--listen <ADDRESS>", "host:port to listen on (default: 127.0.0.1:8080)")
    .option("--tls-cert <FILE>", "certificate chain, PEM; without it a proxy has to do TLS")
    .option("--tls-key <FILE>", "its key, PEM")
    .option("--embedded", "try it out: a database of its own and one worker, both gone at the end")
    .option("--job-timeout <DURATION>", "for jobs that name none (default: 24h)")
    .option("--open-metrics", "/metrics needs no key")
    .addHelpText("after", serveHelp);
  addOutputOptions(serve);
  add(serve);

  const worker = addKeeperOptions(addDatabaseOption(
    program.command("worker")
      .summary("run jobs of a service")
      .description("Takes jobs from the service's database and runs them, until it is ended."),
  ))
    .option("--name <NAME>", "unique among all workers (default: made up)")
    .option("--queues <NAMES>", "small, medium, large, huge; in order of preference (default: all)")
    .option("--concurrency <N>", "jobs at once (default: 1)")
    .option("--most-running <N>", "jobs at once on all workers together (default: no limit)")
    .option("--drain-timeout <DURATION>", "jobs may go on so long at the end (default: 30s)")
    .option("--workspace <DIR>", "where folders of jobs are made (default: the temporary folder)")
    .option("--keep-jobs <DAYS>", "jobs are deleted so long after their end (default: 90)")
    .option("--keep-logs <DAYS>", "their log lines and events before that (default: 30)")
    .addHelpText("after", workerHelp);
  addOutputOptions(worker);
  add(worker);

  const keys = addDatabaseOption(
    program.command("keys")
      .summary("make, list, rotate and revoke API keys of a service")
      .description(
        `Works on the service's database, for its operator: ${keyActions.join(", ")}.`,
      )
      .argument("<action>", keyActions.join(", "))
      .argument("[key]", "its id or prefix"),
  )
    .option("--key-file <FILE>", "rotate-encryption: adds a key to it; the older ones still open")
    .option("--owner <USER>", "create: whose key it is; jobs belong to the user")
    .option("--name <NAME>", "create: what for, e.g. laptop")
    .option(
      "--scopes <NAMES>",
      "create: jobs:read, jobs:write, metrics:read, admin (default: jobs:read,jobs:write)",
    )
    .option("--expires-in <DAYS>", "create, rotate: days that it is good (default: for ever)")
    .option("--overlap <DURATION>", "rotate: how long the old key goes on (default: 24h)")
    .option("--requests-per-second <N>", "create (default: 20)")
    .option("--most-running <N>", "create: jobs at once (default: 4)")
    .option("--most-queued <N>", "create: jobs that wait or run (default: 200)")
    .option("--jobs-per-day <N>", "create (default: 5000)")
    .addHelpText("after", keysHelp);
  addOutputOptions(keys);
  add(keys);
}

function addDatabaseOption(command: AnyCommand): AnyCommand {
  return command.option(
    "--database <URL>",
    "the service's own database (or variable SEREN_DATABASE_URL)",
  );
}

/** What instances and workers have to be given alike. */
function addKeeperOptions(command: AnyCommand): AnyCommand {
  return command
    .option("--key-file <FILE>", "keys that encrypt the secrets of jobs; serve makes it if missing")
    .option("--kms-key <ID>", "a key of AWS KMS instead of a file")
    .option("--kms-region <REGION>", "its region")
    .option("--kms-endpoint <URL>", "another endpoint than AWS's")
    .option(
      "--allow-address <LIST>",
      "addresses, ranges and hosts that are not of the public internet and yet may be connected to; repeatable",
      (value: string, previous: readonly string[] | undefined) => [...(previous ?? []), value],
    )
    .option("--heartbeat <SECONDS>", "a worker is lost after so long a silence (default: 30)");
}
