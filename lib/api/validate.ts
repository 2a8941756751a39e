import type { ValidationReport } from "../commands/shared/validation_report.ts";
import { executeValidateCutover } from "../commands/cutover/validate.ts";
import { executeValidate } from "../commands/validate/validate.ts";
import type { RunInput, ValidateInput } from "./inputs.ts";
import { withPropertyNames } from "./property_names.ts";
import { resolveCall } from "./resolve_options.ts";

/**
 * Checks both servers for everything that could make a later step fail. Only reads.
 *
 * Requires `--allow-net` for both servers; `--allow-run` of installed client programs and
 * `--allow-read` of Deno's npm cache as for {@linkcode init}.
 *
 * @param input two URLs; everything else has a default
 * @returns every check with its finding and, unless it passed, what to do
 * @throws UsageError with every problem of the input, or when the rules do not fit the source
 * @throws ConnectionError when a server cannot be reached
 *
 * @example Print what has to be fixed before a migration
 * ```ts
 * import { validate } from "@seren/postgres-replicator";
 *
 * const { checks } = await validate({
 *   source: Deno.env.get("SOURCE_URL")!,
 *   target: Deno.env.get("TARGET_URL")!,
 *   databases: { include: ["app"] },
 *   forSync: true,
 * });
 * for (const { status, finding, fix } of checks) {
 *   if (status !== "pass") console.log(`${status}: ${finding}\n  ${fix}`);
 * }
 * ```
 */
export async function validate(
  input: ValidateInput,
  run?: RunInput,
): Promise<ValidationReport> {
  return await withPropertyNames(async () => {
    const { options, context } = await resolveCall("validate", { input, run });
    return await (options.forCutover ? executeValidateCutover : executeValidate)(options, context);
  });
}
