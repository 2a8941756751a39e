import { UsageError } from "../../core/internal.ts";
import type { SyncSettings } from "../../commands/shared/run.ts";
import { type Endpoint, resolveEndpoint } from "../../postgres/internal.ts";
import type { ResolveContext } from "./copy_options.ts";
import { type Environment, resolveEnvironmentOf } from "./environment.ts";
import type { OptionReader } from "./option_reader.ts";

/** How replication is set up; problems are collected in the reader. */
export async function readSyncSettings(
  reader: OptionReader,
  { environment, now }: ResolveContext,
): Promise<SyncSettings> {
  const passfile = reader.text("subscriptionPassfile");
  if (passfile !== undefined && !/^(\/|[A-Za-z]:[\\/])/.test(passfile)) {
    reader.problem(
      "--subscription-passfile",
      `"${passfile}" must be an absolute path: the file is on the target's server`,
    );
  }
  return {
    identity: reader.choice("replicaIdentity"),
    slotTimeoutMs: reader.duration("slotTimeout"),
    applyFrom: readApplyFrom(reader),
    sourceFromTarget: await readSourceFromTarget(reader, environment),
    passfile,
    failover: true,
    now: now.toISOString(),
  };
}

/** What applies the changes; options of a subscription contradict `here`. */
function readApplyFrom(reader: OptionReader): SyncSettings["applyFrom"] {
  const applyFrom = reader.choice("applyFrom");
  const ofSubscription = {
    sourceFromTarget: "--source-from-target",
    subscriptionPassfile: "--subscription-passfile",
  };
  for (const [name, flag] of Object.entries(ofSubscription)) {
    if (applyFrom === "here" && reader.text(name as keyof typeof ofSubscription) !== undefined) {
      reader.problem(flag, "cannot be combined with --apply-from here: no subscription is created");
    }
  }
  return applyFrom;
}

async function readSourceFromTarget(
  reader: OptionReader,
  environment: Environment,
): Promise<Endpoint | undefined> {
  const url = reader.text("sourceFromTarget");
  const path = "--source-from-target";
  if (url === undefined) return undefined;
  try {
    // the target's server connects, so this machine's PGHOST, PGSSLROOTCERT … do not apply
    const { PGPASSWORD, PGPASSFILE, PGUSER, HOME, USER } = environment;
    return await resolveEndpoint(url, {
      side: "source",
      path,
      resolveEnvironment: resolveEnvironmentOf(
        { PGPASSWORD, PGPASSFILE, PGUSER, HOME, USER },
        reader.warn,
      ),
    });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    reader.problems.push(...error.problems);
    return undefined;
  }
}
