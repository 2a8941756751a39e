import type { DatabaseSelection } from "../../commands/shared/run.ts";
import type { StatusLimits } from "../../commands/status/status.ts";
import type { Endpoint } from "../../postgres/internal.ts";
import { readDatabases, readEndpoint, type ResolveContext } from "./copy_options.ts";
import type { OptionReader } from "./option_reader.ts";

/** The two servers, and which of their databases. */
export interface ReplicationOptions {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly databases: DatabaseSelection;
}

/** `status` in full. */
export interface StatusCommandOptions extends ReplicationOptions {
  /** Undefined: report once. */
  readonly watchEveryMs: number | undefined;
  readonly check: boolean;
  readonly limits: StatusLimits;
  readonly prometheus: boolean;
}

/** `cleanup` in full. */
export interface CleanupCommandOptions extends ReplicationOptions {
  readonly yes: boolean;
  readonly dryRun: boolean;
}

/** @throws UsageError with every problem */
export async function resolveStatusOptions(
  reader: OptionReader,
  context: ResolveContext,
): Promise<StatusCommandOptions> {
  const servers = await readServerOptions(reader, context);
  const watch = reader.flag("watch");
  const check = reader.flag("check");
  const prometheus = reader.flag("prometheus");
  const seconds = reader.integer("interval");
  const limits = {
    maxLagBytes: reader.exactSize("maxLagBytes"),
    maxLagSeconds: reader.integer("maxLagSeconds"),
  };
  const together = (flag: string, others: readonly (readonly [string, boolean])[]) => {
    for (const [other, given] of others) {
      if (given) reader.problem(flag, `cannot be combined with ${other}`);
    }
  };
  if (watch) together("--watch", [["--check", check], ["--prometheus", prometheus]]);
  if (prometheus) together("--prometheus", [["--json", reader.flag("json")]]);
  if (!watch && reader.given("interval")) {
    reader.problem("--interval", "requires --watch");
  }
  if (!check && (limits.maxLagBytes !== undefined || limits.maxLagSeconds !== undefined)) {
    reader.problem("--check", "is missing: limits require it");
  }
  reader.done();
  return {
    ...completeServers(servers),
    watchEveryMs: watch ? seconds * 1000 : undefined,
    check,
    limits,
    prometheus,
  };
}

/** @throws UsageError with every problem */
export async function resolveCleanupOptions(
  reader: OptionReader,
  context: ResolveContext,
): Promise<CleanupCommandOptions> {
  const servers = await readServerOptions(reader, context);
  const yes = reader.flag("yes");
  const dryRun = reader.flag("dryRun");
  if (!yes && !dryRun && !context.canAsk) {
    reader.problem(
      "--yes",
      "is required: there is no terminal to ask for confirmation (--dry-run shows the list)",
    );
  }
  reader.done();
  return { ...completeServers(servers), yes, dryRun };
}

/** The same in which a server may be missing; that has been reported. */
export interface PartialReplicationOptions {
  readonly source: Endpoint | undefined;
  readonly target: Endpoint | undefined;
  readonly databases: DatabaseSelection;
}

/** Both servers and the databases; problems are collected in the reader. */
export async function readServerOptions(
  reader: OptionReader,
  { environment }: ResolveContext,
): Promise<PartialReplicationOptions> {
  const [source, target] = await Promise.all([
    readEndpoint(reader, "source", environment),
    readEndpoint(reader, "target", environment),
  ]);
  return { source, target, databases: readDatabases(reader) };
}

function completeServers(
  { source, target, databases }: PartialReplicationOptions,
): ReplicationOptions {
  if (source === undefined || target === undefined) throw new Error("reader.done() was not called");
  return { source, target, databases };
}
