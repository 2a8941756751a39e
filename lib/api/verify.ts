import type { VerifyReport } from "../commands/shared/verify_report.ts";
import { executeVerify } from "../commands/verify/verify.ts";
import type { RunInput, VerifyInput } from "./inputs.ts";
import { withPropertyNames } from "./property_names.ts";
import { resolveCall } from "./resolve_options.ts";

/**
 * Compares databases row by row, by digests that both servers compute, and everything else by their
 * catalogs. Safe while both sides are written to.
 *
 * Only reads, unless `repair` is `follow`.
 *
 * Requires `--allow-net` for both servers.
 *
 * @param input two URLs; everything else has a default
 * @returns a verdict, the rows that differ, and everything that was not compared; the verdict is
 * `equal` only when nothing differs and everything was compared
 * @throws UsageError with every problem of the input, or when the rules do not fit the source
 * @throws ReplicatorError when the comparison cannot be completed
 *
 * @example Prove that a copy equals its source
 * ```ts
 * import { init, verify } from "@seren/postgres-replicator";
 *
 * const servers = {
 *   source: Deno.env.get("SOURCE_URL")!,
 *   target: Deno.env.get("TARGET_URL")!,
 *   databases: { include: ["app"] },
 * };
 * await init(servers);
 * const { verdict, rows } = await verify(servers);
 * if (verdict !== "equal") throw new Error(`the copy is ${verdict}`);
 * console.log(`${rows} rows are equal`);
 * ```
 */
export async function verify(input: VerifyInput, run?: RunInput): Promise<VerifyReport> {
  return await withPropertyNames(async () => {
    const { options, context } = await resolveCall("verify", { input, run });
    return await executeVerify(options, context);
  });
}
