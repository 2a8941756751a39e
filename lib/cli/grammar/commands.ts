import { type CommandName, cutoverActions } from "../../config/internal.ts";
import {
  cleanupHelp,
  completionsHelp,
  cutoverHelp,
  exitCodesHelp,
  initHelp,
  statusHelp,
  syncHelp,
  validateHelp,
  verifyHelp,
} from "./help.ts";
import { jobsHelp, keysHelp, serveHelp, workerHelp } from "./remote_help.ts";

/** Shells that completions are written for. */
export const shells = ["bash", "zsh", "fish"] as const;
/** One of {@linkcode shells}. */
export type Shell = typeof shells[number];
/** What `jobs` does. */
export const jobActions = ["list", "show", "logs", "cancel", "attach"] as const;
/** What `keys` does. */
export const keyActions = ["create", "list", "rotate", "revoke", "rotate-encryption"] as const;

/** A command without its options, which are in the option table. */
export interface CommandDescription {
  /** Its line in the list of commands. */
  readonly summary: string;
  readonly description: string;
  /** The text of its help page after the options. */
  readonly notes: string;
  readonly commandArguments: readonly CommandArgument[];
}

/** An argument that is not an option. */
export interface CommandArgument {
  /** `<required>` or `[optional]`. */
  readonly usage: string;
  readonly help: string;
  /** The allowed values; empty for any text. */
  readonly words: readonly string[];
}

/** Every command, in the order of the overview. */
export const commandDescriptions: Readonly<Record<CommandName, CommandDescription>> = {
  validate: {
    summary: "check everything that could fail later; read-only",
    description:
      "Checks both servers and everything that could fail during a migration, and explains how to fix what it finds.\n" +
      "Read-only: nothing is changed on either side.",
    notes: validateHelp,
    commandArguments: [],
  },
  init: {
    summary: "copy databases: roles, schema, rows, indexes, sequences",
    description: "Copies whole databases as of a single snapshot while the source stays in use.\n" +
      "Shows the plan and asks before it changes anything.",
    notes: initHelp,
    commandArguments: [],
  },
  sync: {
    summary: "let the target follow the source, from where init --enable-sync left off",
    description:
      "Starts or resumes continuous replication, and waits until the target has everything the source had by then.\n" +
      "Use the same rules as for init. Never copies rows unless --resnapshot or --add-tables is given.",
    notes: syncHelp,
    commandArguments: [],
  },
  status: {
    summary: "show the state of replication: lag, slots, errors, drift",
    description: "Shows the state of replication on both sides. Read-only.",
    notes: statusHelp,
    commandArguments: [],
  },
  verify: {
    summary: "prove that source and target are equal, or show where they differ",
    description:
      "Compares both sides table by table, inside both servers, and shows the rows that differ.\n" +
      "Read-only unless --repair is given. Safe under live traffic: see docs/guides/verification.md.",
    notes: verifyHelp,
    commandArguments: [],
  },
  cutover: {
    summary: "switch over to the target, and back if need be; nothing is lost",
    description:
      "Closes the source and opens the target in one short pause, in which writers wait; then the source refuses them, and clients move to the target.\n" +
      "Until the last commit an abort changes nothing; after it, rollback leads back. Without an action: the state, and the next command.",
    notes: cutoverHelp,
    commandArguments: [
      { usage: "[action]", help: cutoverActions.join(", "), words: cutoverActions },
    ],
  },
  cleanup: {
    summary: "remove everything this tool created on both sides",
    description:
      "Removes the slots, publications, subscriptions and records that this tool created between the two servers.\n" +
      "Copied rows stay. Shows the list and asks before it removes anything.",
    notes: cleanupHelp,
    commandArguments: [],
  },
  jobs: {
    summary: "list, show, follow and cancel jobs of a service",
    description: `Manages the jobs of a service: ${jobActions.join(", ")}.`,
    notes: jobsHelp,
    commandArguments: [
      { usage: "[action]", help: `${jobActions.join(", ")} (default: list)`, words: jobActions },
      { usage: "[job]", help: "the job's ID", words: [] },
    ],
  },
  serve: {
    summary: "run the service that accepts jobs",
    description:
      "Accepts jobs over HTTP and keeps them in a PostgreSQL database; workers run them.\n" +
      "Any number of instances may share the database.",
    notes: serveHelp,
    commandArguments: [],
  },
  worker: {
    summary: "run jobs of a service",
    description: "Takes jobs from the service's database and runs them until it is stopped.",
    notes: workerHelp,
    commandArguments: [],
  },
  keys: {
    summary: "create, list, rotate and revoke API keys of a service",
    description: `Manages API keys and encryption keys in the service's database: ${
      keyActions.join(", ")
    }.`,
    notes: keysHelp,
    commandArguments: [
      { usage: "<action>", help: keyActions.join(", "), words: keyActions },
      { usage: "[key]", help: "the key's ID or prefix", words: [] },
    ],
  },
  demo: {
    summary: "watch a migration between two temporary servers",
    description:
      "Starts two PostgreSQL servers of different versions on this machine, fills the first with a shop under " +
      "constant writes, copies it to the second, compares both and removes everything again.",
    notes: exitCodesHelp,
    commandArguments: [],
  },
  completions: {
    summary: "print completions for bash, zsh or fish",
    description:
      "Prints a script that completes commands and options in your shell, and, where SOURCE_URL is set,\n" +
      "names of databases and tables.",
    notes: completionsHelp,
    commandArguments: [
      { usage: "<shell>", help: shells.join(", "), words: shells },
      { usage: "[prefix]", help: "for the scripts: what a name begins with", words: [] },
    ],
  },
};
