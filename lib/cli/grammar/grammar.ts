import { type Command, createCommand } from "@commander-js/extra-typings";
import { logLevels } from "../../ui/mod.ts";
import {
  cleanupHelp,
  exitCodesHelp,
  initHelp,
  overviewHelp,
  statusHelp,
  syncHelp,
  validateHelp,
  verifyHelp,
} from "./help.ts";
import { programName, version } from "./program.ts";
import { addRemoteCommands, addRemoteOptions } from "./remote_grammar.ts";

export { jobActions, keyActions } from "./remote_grammar.ts";

/** What the user typed for a command: texts, not yet checked. */
export type RawOptions = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

/** The commands that do something. */
export type CommandName =
  | "validate"
  | "init"
  | "sync"
  | "status"
  | "verify"
  | "cleanup"
  | "jobs"
  | "serve"
  | "worker"
  | "keys"
  | "demo"
  | "completions";

/** Told which command was named, with its options and arguments. */
export type OnCommand = (
  name: CommandName,
  options: RawOptions,
  commandArguments: readonly string[],
) => void;

/** Shells that completions are written for. */
export const shells = ["bash", "zsh", "fish"] as const;
/** One of {@linkcode shells}. */
export type Shell = typeof shells[number];

/** Ways to log. */
export const logFormats = ["text", "json"] as const;
/** Programs that dump the schema. */
export const dumpTools = ["auto", "native", "embedded"] as const;
/** What is done about tables that have no usable replica identity. */
export const identityPolicies = ["fail", "full", "skip"] as const;
/** Formats of COPY. */
export const copyFormats = ["auto", "text", "binary"] as const;
/** Under which `search_path` values are computed. */
export const searchPaths = ["empty", "own"] as const;

/**
 * The grammar of the command line. No option has a default or a check here: all of that happens at
 * once in `options.ts`, so that every problem is reported together.
 */
export function buildGrammar(onCommand: OnCommand): Command {
  const program = createCommand(programName)
    .description("Moves running PostgreSQL databases from one server to another.")
    .version(version, "-V, --version", "print the version and exit")
    .helpOption("-h, --help", "print this page and exit")
    .helpCommand("help [command]", "explain a command")
    .configureHelp({ sortSubcommands: false, showGlobalOptions: false })
    .addHelpText("after", overviewHelp);

  const validate = program.command("validate")
    .summary("check everything that could fail later; touches nothing")
    .description(
      "Checks both servers and everything that could fail during a migration, and says how to fix what it finds.\n" +
        "Only reads: nothing is changed on either side.",
    )
    .addHelpText("after", validateHelp);
  addConnectionOptions(validate);
  addCopyOptions(validate)
    .option("--explain-rules", "tell for every table what happens to it, and why")
    .option("--for-sync", "what init --enable-sync needs is a failure where it is missing")
    .option(...replicaIdentityOption);
  addRemoteOptions(validate);
  addOutputOptions(validate);
  validate.action((options) => onCommand("validate", options as RawOptions, []));

  const init = program.command("init")
    .summary("copy databases: roles, schema, rows, indexes, sequences")
    .description(
      "Copies whole databases as they are at one moment (one snapshot), while the source goes on working.\n" +
        "Shows the plan and asks before it changes anything.",
    )
    .addHelpText("after", initHelp);
  addConnectionOptions(init);
  addCopyOptions(init)
    .option("--index-jobs <N>", "indexes and keys built at once (default: as --jobs)")
    .option(
      "--split-tables-larger-than <SIZE>",
      "copy larger tables in parts, several at once (default: 256MB)",
    )
    .option("--max-rate <SIZE>", "read at most so much a second, all sessions together, e.g. 50MB")
    .option("--copy-format <FORMAT>", `${copyFormats.join(", ")} (default: auto)`)
    .option(
      "--restore-search-path <PATH>",
      "compute checks, generated columns, indexes and materialized views under an empty search_path, as pg_dump and psql do, or the target database's own: empty, own (default: empty)",
    )
    .option(
      "--copy-threads <N>",
      "threads that copy rows besides the main one, 0 to 16, or auto (default: auto)",
    )
    .option("--enable-sync", "go on with replication, without a gap: the target follows the source")
    .option("-y, --yes", "do not ask before the start; never allows to drop anything")
    .option("--dry-run", "print the plan and stop; nothing is changed")
    .option("--no-resume", "drop the unfinished copies of an interrupted run, and start over")
    .option(
      "--allow-mixed-snapshots",
      "go on although the rest can only be copied as of another moment",
    )
    .option("--report <FILE>", "write what was done as an HTML page, with a timeline");
  addReplicationOptions(init);
  addRemoteOptions(init)
    .option("--workers <N>", "with --remote: so many workers share the copying (default: 1)");
  addOutputOptions(init);
  init.action((options) => onCommand("init", options as RawOptions, []));

  const sync = program.command("sync")
    .summary("let the target follow the source, from where init --enable-sync left it")
    .description(
      "Starts or goes on with continuous replication, and waits until everything that the source has by then is on the target.\n" +
        "Give the same rules as to init. Never copies rows unless --resnapshot or --add-tables says so.",
    )
    .addHelpText("after", syncHelp);
  addConnectionOptions(sync);
  addSelectionOptions(sync)
    .option(
      "--resnapshot <TABLES>",
      "empty these tables on the target and copy them again; * for all; the others go on",
      collect,
    )
    .option(
      "--add-tables <TABLES>",
      "make and copy tables that are new on the source; * for all",
      collect,
    )
    .option("--retry", "switch on what an error has stopped, after its cause was removed")
    .option("--skip-lsn <LSN>", "leave out the transaction that ends there, and go on")
    .option("--interactive", "choose databases and tables on the terminal")
    .option("-j, --jobs <N>", "tables copied at once, 1 to 64 (default: CPUs, at most 8)")
    .option(
      "--split-tables-larger-than <SIZE>",
      "copy larger tables in parts, several at once (default: 256MB)",
    )
    .option("--dump-tool <WHICH>", `pg_dump to use: ${dumpTools.join(", ")} (default: auto)`)
    .option("--pg-bin <DIR>", "folder of pg_dump and pg_dumpall, before the PATH")
    .option("-y, --yes", "do not ask before tables are emptied or made");
  addReplicationOptions(sync);
  addRemoteOptions(sync);
  addOutputOptions(sync);
  sync.action((options) => onCommand("sync", options as RawOptions, []));

  const status = program.command("status")
    .summary("show where replication stands: lag, slots, errors, drift")
    .description("Shows where replication stands on both sides. Only reads.")
    .addHelpText("after", statusHelp);
  addConnectionOptions(status);
  addDatabaseOptions(status)
    .option("--watch", "look again and again, with charts; q or Ctrl-C leaves")
    .option("--interval <SECONDS>", "how often --watch looks (default: 2)")
    .option("--check", "exit with 7 when something is wrong, or a limit is exceeded")
    .option("--max-lag-bytes <SIZE>", "limit of --check, e.g. 64MB")
    .option("--max-lag-seconds <N>", "limit of --check")
    .option("--prometheus", "print metrics in the Prometheus text format");
  addRemoteOptions(status);
  addOutputOptions(status);
  status.action((options) => onCommand("status", options as RawOptions, []));

  const verify = program.command("verify")
    .summary("prove that source and target are equal, or show where not")
    .description(
      "Compares both sides table by table, inside both servers, and shows the rows that differ.\n" +
        "Only reads, unless --repair is given. Safe under live traffic: see docs/guides/verification.md.",
    )
    .addHelpText("after", verifyHelp);
  addConnectionOptions(verify);
  addSelectionOptions(verify)
    .option("-j, --jobs <N>", "sessions that read on each side, 1 to 64 (default: CPUs, at most 8)")
    .option("--max-diffs <N>", "differing rows to list for each table (default: 20)")
    .option("--no-values", "show no values of rows, keys included")
    .option("--no-resume", "compare everything, also what an interrupted run has found equal")
    .option("--repair", "make the target equal: write to it what the source has")
    .option("--dry-run", "with --repair: print the SQL and change nothing")
    .option("-y, --yes", "with --repair: do not ask")
    .option("--report <FILE>", "write the evidence as .html or .json; its SHA-256 is printed");
  addRemoteOptions(verify);
  addOutputOptions(verify);
  verify.action((options) => onCommand("verify", options as RawOptions, []));

  const cleanup = program.command("cleanup")
    .summary("remove everything that this tool made on both sides")
    .description(
      "Removes the slots, publications, subscriptions and records that this tool made between the two servers.\n" +
        "Rows that were copied stay. Shows the list and asks before it removes anything.",
    )
    .addHelpText("after", cleanupHelp);
  addConnectionOptions(cleanup);
  addDatabaseOptions(cleanup)
    .option("-y, --yes", "do not ask before removing what the list shows")
    .option("--dry-run", "print the list and stop; nothing is removed");
  addOutputOptions(cleanup);
  cleanup.action((options) => onCommand("cleanup", options as RawOptions, []));
  addRemoteCommands(program as unknown as AnyCommand, {
    addOutputOptions,
    add: (command) =>
      command.action((...given: unknown[]) => {
        // commander gives the arguments, then the options, then the command
        const options = given.at(-2) as RawOptions;
        const words = given.slice(0, -2).filter((each) => typeof each === "string");
        onCommand(command.name() as CommandName, options, words);
      }),
  });

  const demo = program.command("demo")
    .summary("watch a migration between two servers started for it")
    .description(
      "Starts two PostgreSQL servers of different versions on this machine, fills the first with a shop under " +
        "constant writes, copies it to the second, compares both and removes everything again.",
    )
    .option("--size <SIZE>", "how much data, e.g. 200MB or 1GB (default: 200MB)")
    .option("--source-version <N>", "PostgreSQL version of the source, 12 to 18 (default: 15)")
    .option("--target-version <N>", "PostgreSQL version of the target, 12 to 18 (default: 18)")
    .option("--keep", "leave both servers running until Ctrl-C, to look around")
    .addHelpText("after", exitCodesHelp);
  addOutputOptions(demo);
  demo.action((options) => onCommand("demo", options as RawOptions, []));

  program.command("completions")
    .summary("print completions for bash, zsh or fish")
    .description("Prints a script that completes commands and options in your shell.")
    .argument("<shell>", shells.join(", "))
    .addHelpText(
      "after",
      `
Install them:
  bash:  ${programName} completions bash \\
      > ~/.local/share/bash-completion/completions/${programName}
  zsh:   ${programName} completions zsh \\
      > "\${fpath[1]}/_${programName}"
  fish:  ${programName} completions fish \\
      > ~/.config/fish/completions/${programName}.fish`,
    )
    .action((shell) => onCommand("completions", {}, [shell]));

  return program as unknown as Command;
}

/** A repeatable option's values so far. */
function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value];
}

// deno-lint-ignore no-explicit-any -- extra-typings gives every chain its own type; the values are read as RawOptions
type AnyCommand = Command<any, any, any>;

function addConnectionOptions(command: AnyCommand): AnyCommand {
  return command
    .option("--source <URL>", "server to copy from (or variable SOURCE_URL)")
    .option("--target <URL>", "server to copy to (or variable TARGET_URL)");
}

function addDatabaseOptions(command: AnyCommand): AnyCommand {
  return command
    .option(
      "--include-databases <NAMES>",
      "only these; comma separated, repeatable, * as wildcard",
      collect,
    )
    .option("--exclude-databases <NAMES>", "all but these; not with --include-databases", collect)
    .option("--config <FILE>", "TOML file that says all of this; flags count more");
}

function addCopyOptions(command: AnyCommand): AnyCommand {
  return addSelectionOptions(command)
    .option("--interactive", "choose databases and tables on the terminal")
    .option("--drop-existing", "drop target databases that are not empty; shows what is lost")
    .option("-j, --jobs <N>", "tables copied at once, 1 to 64 (default: CPUs, at most 8)")
    .option("--dump-tool <WHICH>", `pg_dump to use: ${dumpTools.join(", ")} (default: auto)`)
    .option("--pg-bin <DIR>", "folder of pg_dump and pg_dumpall, before the PATH");
}

function addSelectionOptions(command: AnyCommand): AnyCommand {
  return command
    .option(
      "--include-databases <NAMES>",
      "only these; comma separated, repeatable, * as wildcard",
      collect,
    )
    .option("--exclude-databases <NAMES>", "all but these; not with --include-databases", collect)
    .option(
      "--include-tables <NAMES>",
      "only these: database.table or database.schema.table; comma separated, repeatable, * as wildcard",
      collect,
    )
    .option("--exclude-tables <NAMES>", "all but these; not with --include-tables", collect)
    .option(
      "--schema-only-tables <NAMES>",
      "structure, no rows: [[database.]schema.]table; comma separated, repeatable",
      collect,
    )
    .option(
      "--table-filter <TABLE:PREDICATE>",
      "only rows that meet an SQL condition; repeatable",
      collect,
    )
    .option(
      "--time-filter <TABLE:COLUMN:WINDOW>",
      'only rows of a window of time, like "events:created_at:6 months"; repeatable',
      collect,
    )
    .option("--config <FILE>", "TOML file that says all of this; flags count more")
    .option("--map <SOURCE=TARGET>", "another name on the target; repeatable", collect);
}

const replicaIdentityOption = [
  "--replica-identity <WHAT>",
  `tables whose rows UPDATE and DELETE cannot tell apart: ${
    identityPolicies.join(", ")
  } (default: fail)`,
] as const;

function addReplicationOptions(command: AnyCommand): AnyCommand {
  return command
    .option(...replicaIdentityOption)
    .option(
      "--slot-timeout <TIME>",
      'how long a new slot may wait for transactions that are under way, like "30s" or "10min" (default: 5min)',
    )
    .option(
      "--source-from-target <URL>",
      "the source by the address at which the target's server reaches it (default: as --source)",
    )
    .option(
      "--subscription-passfile <FILE>",
      "password file on the target's server, so that the password is not in its catalog",
    );
}

function addOutputOptions(command: AnyCommand): AnyCommand {
  return command
    .option("--json", "print the result as one JSON document on stdout")
    .option("--log-level <LEVEL>", `${logLevels.join(", ")} (default: info)`)
    .option("--log-format <FORMAT>", `progress as ${logFormats.join(" or ")} (default: text)`)
    .option("--no-color", "no colours (also: variable NO_COLOR)");
}
