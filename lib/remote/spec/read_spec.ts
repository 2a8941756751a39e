import { hasUnreadableName, type Problem, unreadableName } from "../../core/internal.ts";
import { connectionUrlProblems } from "./connection_url.ts";
import { cutoverProblems, explainHooks } from "./cutover_job.ts";
import { jobCommands, type JobSpec } from "./job.ts";
import { jobSpecSchema } from "./job_spec.ts";
import { readJobRules } from "./rules.ts";

/** A valid job, or all of its problems. */
export type SpecReading =
  | { readonly spec: JobSpec; readonly problems: readonly [] }
  | { readonly spec: undefined; readonly problems: readonly Problem[] };

/**
 * Validates a job. Never throws; returns all problems at once, none of which quotes a URL or a
 * condition.
 *
 * @param value the parsed JSON of a request
 */
export function readJobSpec(value: unknown): SpecReading {
  const checked = jobSpecSchema.safeParse(value);
  if (!checked.success) {
    return {
      spec: undefined,
      problems: [
        ...checked.error.issues.flatMap(issueProblems).map(explainHooks),
        ...problemsBesideCommand(value, checked.error.issues),
        ...urlProblems(value),
        ...mapProblems(value),
      ],
    };
  }
  const spec = checked.data;
  const { include_databases: include, exclude_databases: exclude } = spec.filters;
  const problems = [
    ...urlProblems(spec),
    ...mapProblems(value),
    ...readJobRules(spec.rules).problems,
    ...(include.length > 0 && exclude.length > 0
      ? [{
        path: "filters.exclude_databases",
        message: "cannot be combined with filters.include_databases",
      }]
      : []),
    ...(spec.command === "cutover" ? cutoverProblems(spec) : []),
  ];
  return problems.length > 0 ? { spec: undefined, problems } : { spec, problems: [] };
}

/**
 * The schema checks nothing else if the command is unknown; this checks the rest of the job, except
 * for its options.
 */
function problemsBesideCommand(value: unknown, issues: readonly Issue[]): readonly Problem[] {
  const isUnknown = issues.some(({ code, path }) =>
    code === "invalid_union" && path[0] === "command"
  );
  if (!isUnknown || typeof value !== "object" || value === null) return [];
  const checked = jobSpecSchema.safeParse({ ...value, command: jobCommands[0], options: {} });
  return checked.error?.issues.flatMap(issueProblems) ?? [];
}

/** Otherwise the mapping would be ignored, and the database copied under its own name. */
function mapProblems(value: unknown): readonly Problem[] {
  const { filters } = (value ?? {}) as { readonly filters?: { readonly map?: unknown } };
  return hasUnreadableName(filters?.map)
    ? [{
      path: `filters.map.${unreadableName}`,
      message: "a database of this name cannot be mapped",
    }]
    : [];
}

const urlKeys = [
  "source_url",
  "target_url",
  "source_from_target_url",
  "target_from_source_url",
] as const;

function urlProblems(value: unknown): readonly Problem[] {
  if (typeof value !== "object" || value === null) return [];
  const record = value as Readonly<Record<string, unknown>>;
  return urlKeys.flatMap((key) => {
    const url = record[key];
    return typeof url === "string" && url !== "" ? connectionUrlProblems(url, key) : [];
  });
}

/** The parts of a zod issue that are reported. */
export interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly code: string;
  readonly keys?: readonly string[];
}

/** Converts an issue to problems with paths, one for each unknown key. */
export function issueProblems(issue: Issue): readonly Problem[] {
  const path = issue.path.reduce<string>(
    (text, part) =>
      typeof part === "number"
        ? `${text}[${part}]`
        : text === ""
        ? String(part)
        : `${text}.${String(part)}`,
    "",
  );
  if (issue.code === "unrecognized_keys") {
    return (issue.keys ?? []).map((key) => ({
      path: path === "" ? key : `${path}.${key}`,
      message: "is not a known property",
    }));
  }
  return [{ path: path === "" ? "body" : path, message: issue.message }];
}
