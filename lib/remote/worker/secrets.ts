import { type Endpoint, resolveEndpoint } from "../../postgres/internal.ts";
import type { AddressGuard } from "../guard/mod.ts";
import { type JobSpec, readJobRules, readJobSpec } from "../spec/mod.ts";
import { Redactor } from "./redactor.ts";
import type { RunnableJob } from "./runner.ts";

/** Reads what a job's secrets hold: the whole specification, checked again. */
export function specOfSecrets(secrets: unknown): JobSpec {
  const { spec, problems } = readJobSpec(secrets);
  if (spec === undefined) {
    const paths = problems.map(({ path }) => path).join(", ");
    throw new Error(`the job was taken in by a service of another version: ${paths}`);
  }
  return spec;
}

/** What must be kept out of everything that is written about the job. */
export function redactorOf(spec: JobSpec): Redactor {
  return new Redactor({
    urls: [spec.source_url, spec.target_url, spec.source_from_target_url ?? ""],
    predicates: spec.rules.table_filters.map(({ where }) => where),
  });
}

/**
 * Resolves a specification: hosts are checked now, and pinned to the addresses that were checked.
 */
export async function resolveJob(spec: JobSpec, guard: AddressGuard): Promise<RunnableJob> {
  const endpoint = async (url: string, side: Endpoint["side"]) =>
    await guard.pin(await resolveEndpoint(url, { side, path: `${side}_url` }));
  const { rules, problems } = readJobRules(spec.rules);
  if (problems.length > 0) throw new Error("the rules of the job cannot be read any more");
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
    // the target's server connects to it, not this one: there is nothing to guard or pin here
    sourceFromTarget: spec.source_from_target_url === undefined
      ? undefined
      : await resolveEndpoint(spec.source_from_target_url, {
        side: "source",
        path: "source_from_target_url",
      }),
  };
}
