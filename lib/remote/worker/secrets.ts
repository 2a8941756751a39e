import { type Endpoint, resolveEndpoint } from "../../postgres/internal.ts";
import type { AddressGuard } from "../guard/mod.ts";
import { type JobSpec, readJobRules, readJobSpec } from "../spec/mod.ts";
import { Redactor } from "./redactor.ts";
import type { RunnableJob } from "./runner.ts";

/** Reads the complete specification from a job's secrets, and validates it again. */
export function specOfSecrets(secrets: unknown): JobSpec {
  const { spec, problems } = readJobSpec(secrets);
  if (spec === undefined) {
    const paths = problems.map(({ path }) => path).join(", ");
    throw new Error(`the job was accepted by a different version of the service: ${paths}`);
  }
  return spec;
}

/** A redactor for everything written about the job. */
export function redactorOf(spec: JobSpec): Redactor {
  return new Redactor({
    urls: [
      spec.source_url,
      spec.target_url,
      spec.source_from_target_url ?? "",
      spec.target_from_source_url ?? "",
    ],
    predicates: spec.rules.table_filters.map(({ where }) => where),
  });
}

/** Resolves a specification; hosts are checked, and pinned to the addresses checked. */
export async function resolveJob(spec: JobSpec, guard: AddressGuard): Promise<RunnableJob> {
  const endpoint = async (url: string, side: Endpoint["side"]) =>
    await guard.pin(await resolveEndpoint(url, { side, path: `${side}_url` }));
  const { rules, problems } = readJobRules(spec.rules);
  if (problems.length > 0) throw new Error("the rules of the job are no longer valid");
  const { filters } = spec;
  return {
    command: spec.command,
    source: await endpoint(spec.source_url, "source"),
    target: await endpoint(spec.target_url, "target"),
    databases: {
      include: filters.include_databases,
      exclude: filters.exclude_databases,
      map: filters.map,
    },
    rules: { ...rules, now: spec.rules.now ?? new Date(0).toISOString() },
    options: spec.options,
    // only the servers connect to these, so they are neither checked nor pinned here
    sourceFromTarget: spec.source_from_target_url === undefined
      ? undefined
      : await resolveEndpoint(spec.source_from_target_url, {
        side: "source",
        path: "source_from_target_url",
      }),
    targetFromSource: spec.target_from_source_url === undefined
      ? undefined
      : await resolveEndpoint(spec.target_from_source_url, {
        side: "target",
        path: "target_from_source_url",
      }),
  };
}
