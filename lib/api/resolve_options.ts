/**
 * Converts a caller's input to a command's options: parses every URL and fills in every default.
 *
 * @module
 */
import {
  completeInitOptions,
  completeSyncOptions,
  completeSyncSettings,
  completeValidateOptions,
  completeVerifyOptions,
  defaultApplySettings,
} from "../commands/shared/complete_options.ts";
import type { CleanupOptions } from "../commands/cleanup/cleanup.ts";
import type {
  DatabaseSelection,
  InitOptions,
  RunContext,
  SyncOptions,
  SyncSettings,
  ToolSelection,
  ValidateOptions,
  VerifyOptions,
} from "../commands/shared/run.ts";
import type { StatusOptions } from "../commands/status/status.ts";
import { optionDefaults } from "../config/internal.ts";
import {
  ignoreEvents,
  type Problem,
  type Side,
  systemClock,
  UsageError,
} from "../core/internal.ts";
import {
  emptyEnvironment,
  type Endpoint,
  resolveEndpoint,
  type ResolveEnvironment,
} from "../postgres/internal.ts";
import { mergeRules, readRuleFlags, type TableRules } from "../rules/internal.ts";
import { checkInput, checkRun } from "./check_input.ts";
import type {
  Confirm,
  CopyInput,
  ReplicationInput,
  RunInput,
  ScopeInput,
  ServersInput,
  VerbInputs,
} from "./inputs.ts";
import { inPropertyNames } from "./property_names.ts";

/** The input of each verb after {@linkcode resolveOptions}: complete. */
export interface VerbOptions {
  /** Resolved options of `validate`; no default remains. */
  readonly validate: ValidateOptions;
  /** Resolved options of `init`; no default remains. */
  readonly init: InitOptions;
  /** Resolved options of `sync`; no default remains. */
  readonly sync: SyncOptions;
  /** Resolved options of `status`; no default remains. */
  readonly status: StatusOptions;
  /** Resolved options of `verify`; no default remains. */
  readonly verify: VerifyOptions;
  /** Resolved options of `cleanup`; no default remains. */
  readonly cleanup: CleanupOptions;
}

const resolvers: {
  readonly [Verb in keyof VerbInputs]: (
    input: VerbInputs[Verb],
    problems: Problem[],
  ) => Promise<VerbOptions[Verb]>;
} = {
  validate: async ({ applyFrom, ...input }, problems) =>
    completeValidateOptions({
      apply: applyFrom === undefined ? undefined : { ...defaultApplySettings, applyFrom },
      ...input,
      ...complete(await readCopy(input, problems), problems),
    }),
  init: async (input, problems) => {
    const { sync = false } = input;
    const copy = await readCopy(input, problems);
    const replication = sync === true ? {} : sync;
    const settings = replication === false
      ? undefined
      : await readReplication({ environment: input.environment, ...replication }, {
        ...{ now: copy.rules.now, problems },
        within: "sync.",
      });
    return completeInitOptions({
      ...input,
      ...complete(copy, problems),
      sync: settings,
      confirm: answer(input.confirm),
    });
  },
  sync: async (input, problems) => {
    const copy = await readCopy(input, problems);
    const sync = await readReplication(input, { now: copy.rules.now, problems });
    return completeSyncOptions({
      ...input,
      ...complete(copy, problems),
      sync,
      confirm: answer(input.confirm),
    });
  },
  status: async (input, problems) => ({
    ...complete(await resolveServers(input, problems), problems),
    sampleMs: input.sampleMs ?? optionDefaults.sampleMs,
    now: input.now ?? systemClock,
  }),
  verify: async (input, problems) =>
    completeVerifyOptions({
      ...input,
      ...complete(await resolveScope(input, problems), problems),
    }),
  cleanup: async (input, problems) => ({
    ...complete(await resolveServers(input, problems), problems),
    checkpoints: input.checkpoint,
    confirm: answer(input.confirm),
  }),
};

/**
 * Checks a verb's input, parses its URLs and filters and fills in its defaults. The verbs do this
 * themselves; call it to report problems before anything connects.
 *
 * @throws UsageError with every problem at once
 *
 * @example Report what is wrong before anything connects
 * ```ts
 * import { resolveOptions, UsageError } from "@seren/postgres-replicator";
 * import { deepStrictEqual } from "node:assert/strict";
 *
 * const problems = await resolveOptions("init", {
 *   source: "postgresql://me@old.example.com:port/app",
 *   target: "mysql://me@new.example.com/app",
 * }).then(() => [], (error) => (error as UsageError).problems);
 * deepStrictEqual(problems.map(({ path }) => path), ["source", "target"]);
 * ```
 */
export async function resolveOptions<Verb extends keyof VerbInputs>(
  verb: Verb,
  input: VerbInputs[Verb],
): Promise<VerbOptions[Verb]> {
  return await resolve(verb, input, []);
}

/**
 * What a verb is called with, complete. Throws UsageError with every problem of both parameters.
 */
export async function resolveCall<Verb extends keyof VerbInputs>(
  verb: Verb,
  { input, run = {} }: { readonly input: VerbInputs[Verb]; readonly run: RunInput | undefined },
): Promise<{ readonly options: VerbOptions[Verb]; readonly context: RunContext }> {
  const options = await resolve(verb, input, checkRun(run));
  return { options, context: resolveRun(run) };
}

/** The caller's options, with every default. */
export function resolveRun(
  { events = ignoreEvents, signal = new AbortController().signal }: RunInput = {},
): RunContext {
  return { events, signal };
}

async function resolve<Verb extends keyof VerbInputs>(
  verb: Verb,
  input: VerbInputs[Verb],
  problemsOfRun: readonly Problem[],
): Promise<VerbOptions[Verb]> {
  const { problems, sound } = checkInput(verb, input);
  // the rest is read even so, to report its problems as well
  return await resolvers[verb](sound as VerbInputs[Verb], [...problems, ...problemsOfRun]);
}

/** Servers whose URLs have been parsed; undefined if that failed. */
export interface ServersReading {
  readonly source: Endpoint | undefined;
  readonly target: Endpoint | undefined;
  readonly databases: DatabaseSelection;
}

/** The same without a problem. */
export type Complete<Servers extends ServersReading> = Servers & {
  readonly source: Endpoint;
  readonly target: Endpoint;
};

/** The same, complete. @throws UsageError with every problem */
export function complete<Servers extends ServersReading>(
  servers: Servers,
  problems: readonly Problem[],
): Complete<Servers> {
  const { source, target } = servers;
  if (problems.length > 0 || source === undefined || target === undefined) {
    throw new UsageError(problems.map(inPropertyNames));
  }
  return { ...servers, source, target };
}

async function readCopy(
  input: CopyInput,
  problems: Problem[],
): Promise<
  ServersReading & {
    readonly tools: ToolSelection;
    readonly rules: TableRules;
    readonly jobs: number | undefined;
  }
> {
  const { dump = optionDefaults.dumpTool, binDirectory, environment } = input.tools ?? {};
  return {
    ...await resolveScope(input, problems),
    tools: {
      dump,
      binDirectory,
      environment: environment ?? input.environment?.environment ?? {},
    },
    jobs: input.jobs,
  };
}

async function resolveScope(
  input: ScopeInput,
  problems: Problem[],
): Promise<ServersReading & { readonly rules: TableRules }> {
  return { ...await resolveServers(input, problems), rules: readRules(input, problems) };
}

/** Parses the URLs and the selection of databases. */
export async function resolveServers(
  input: ServersInput,
  problems: Problem[],
): Promise<ServersReading> {
  const { environment } = input;
  const { include = [], exclude = [], map = {} } = input.databases ?? {};
  if (include.length > 0 && exclude.length > 0) {
    problems.push({
      path: "databases.exclude",
      message: "cannot be given together with databases.include: use one of them",
    });
  }
  const source = await resolveInputEndpoint(input.source, {
    side: "source",
    environment,
    problems,
  });
  const target = await resolveInputEndpoint(input.target, {
    side: "target",
    environment,
    problems,
  });
  return { source, target, databases: { include, exclude, map } };
}

async function resolveInputEndpoint(
  url: string | Endpoint | undefined,
  { side, path = side, environment = emptyEnvironment, problems }: {
    readonly side: Side;
    readonly path?: string;
    readonly environment: ResolveEnvironment | undefined;
    readonly problems: Problem[];
  },
): Promise<Endpoint | undefined> {
  if (typeof url !== "string") return url;
  try {
    return await resolveEndpoint(url, { side, path, resolveEnvironment: environment });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    problems.push(...error.problems);
    return undefined;
  }
}

function readRules({ filters = {}, rules }: ScopeInput, problems: Problem[]): TableRules {
  const read = readRuleFlags({
    includeTables: [],
    excludeTables: [],
    schemaOnlyTables: [],
    tableFilters: [],
    timeFilters: [],
    ...filters,
  });
  problems.push(...read.problems);
  const now = rules?.now ?? systemClock().toISOString();
  return { ...(rules === undefined ? read.rules : mergeRules(read.rules, rules)), now };
}

async function readReplication(
  input: ReplicationInput & Pick<ServersInput, "environment">,
  { now, problems, within = "" }: {
    readonly now: string;
    readonly problems: Problem[];
    /** The property that the input is in, for messages. */
    readonly within?: string;
  },
): Promise<SyncSettings> {
  const { sourceFromTarget, passfile } = input;
  if (passfile !== undefined && !/^(\/|[A-Za-z]:[\\/])/.test(passfile)) {
    problems.push({
      path: `${within}passfile`,
      message: `"${passfile}" must be a full path: the file is on the target's server`,
    });
  }
  return completeSyncSettings({
    identity: input.identity,
    slotTimeoutMs: input.slotTimeoutMs,
    applyFrom: input.applyFrom,
    sourceFromTarget: await resolveEndpointFrom(sourceFromTarget, {
      side: "source",
      path: `${within}sourceFromTarget`,
      environment: input.environment,
      problems,
    }),
    passfile,
    failover: input.failover,
    now,
  });
}

/** A server as the other server sees it; undefined if it was not given. */
export async function resolveEndpointFrom(
  url: string | Endpoint | undefined,
  { environment, ...options }: {
    readonly side: Side;
    readonly path: string;
    readonly environment: ResolveEnvironment | undefined;
    readonly problems: Problem[];
  },
): Promise<Endpoint | undefined> {
  if (url === undefined) return undefined;
  return await resolveInputEndpoint(url, { ...options, environment: credentialsOf(environment) });
}

/** PGHOST, PGSSLROOTCERT and so on describe this machine, not the target's. */
function credentialsOf(environment: ResolveEnvironment = emptyEnvironment): ResolveEnvironment {
  const { PGPASSWORD, PGPASSFILE, PGUSER, HOME, USER } = environment.environment;
  return { ...environment, environment: { PGPASSWORD, PGPASSFILE, PGUSER, HOME, USER } };
}

/** The caller's answer to a plan; yes by default. */
export function answer<Plan>(
  confirm: Confirm<Plan> = () => true,
): (plan: Plan) => Promise<boolean> {
  return async (plan) => await confirm(plan);
}
