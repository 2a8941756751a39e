/**
 * What must hold before a copy begins.
 *
 * @module
 */
import { type EventSink, ExitCode, plural, ReplicatorError } from "../../core/internal.ts";
import { withDatabase } from "../../postgres/internal.ts";
import { claimDatabases, lockGraceMs } from "../../checkpoint/internal.ts";
import { optionDefaults } from "../../config/internal.ts";
import type { ServerPair } from "../shared/server_pair.ts";
import { defaultApplySettings } from "../shared/complete_options.ts";
import { loadReplication } from "../shared/load_replication.ts";
import { accessTo } from "../shared/replicated_rows.ts";
import type { InitOptions, RunContext } from "../shared/run.ts";
import { subjectPrefix } from "../validate/check.ts";
import { type Examination, examineServers } from "../validate/validate.ts";

/** Runs `validate`, and throws one error with all failures. */
export async function requirePrerequisites(
  options: InitOptions,
  place: { readonly sides: ServerPair; readonly run: RunContext },
): Promise<Examination> {
  const { sides: { target }, run: { signal } } = place;
  const examination = await examineServers({
    ...options,
    jobs: options.copy.jobs,
    resume: options.resume,
    claim: async (names) => {
      // a plan changes nothing, and need not keep other runs from copying
      if (!options.dryRun) await claimDatabases(target, names, { signal });
    },
    runGraceMs: options.dryRun ? 0 : lockGraceMs,
    forSync: options.sync !== undefined,
    forCutover: false,
    identity: options.sync?.identity ?? optionDefaults.replicaIdentity,
    apply: options.sync ?? defaultApplySettings,
  }, place);
  const failed = examination.report.checks.filter(({ status }) => status === "fail");
  if (failed.length === 0) return examination;
  const several = examination.planning.databases.length > 1;
  throw new ReplicatorError(
    `${plural(failed.length, "prerequisite is", "prerequisites are")} not met; nothing was changed`,
    {
      exitCode: ExitCode.prerequisite,
      remedy: "fix what is listed, then run again; validate checks again",
      details: failed.flatMap(({ finding, fix, ...subject }) => [
        subjectPrefix(subject, { several }) + finding,
        ...(fix === undefined ? [] : [`  → ${fix}`]),
      ]),
    },
  );
}

/**
 * For a subscription, the target's server must reach the source; tested before hours of copying.
 */
export async function probeSourceFromTarget(
  { sync, source }: InitOptions,
  { sides, examination: { planning, applier }, events }: {
    readonly sides: ServerPair;
    readonly examination: Examination;
    readonly events: EventSink;
  },
): Promise<void> {
  const [first] = planning.databases;
  if (sync === undefined || first === undefined) return;
  if (applier?.kind === "client" || applier?.isTested === true) return;
  const { probeSubscription } = await loadReplication();
  const tested = await probeSubscription({
    session: sides.target,
    ...accessTo(withDatabase(source, first.source.name), sync),
  });
  if (tested) return;
  events({
    kind: "info",
    message:
      `whether the target's server can reach the source cannot be tested in advance: the role may not create objects in ${sides.target.endpoint.database}; ` +
      "if it cannot, run sync after fixing that, which resumes without copying again",
  });
}
