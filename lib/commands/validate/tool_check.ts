/**
 * Whether there is a program that reads the schema.
 *
 * @module
 */
import { ReplicatorError } from "../../core/internal.ts";
import { minLibpqMajor } from "../../postgres/internal.ts";
import { type DumpTool, findDumpTool } from "../../schema/internal.ts";
import { type ServerPair } from "../shared/server_pair.ts";
import type { Check } from "../shared/validation_report.ts";
import type { ValidateOptions } from "../shared/run.ts";
import { fail, pass } from "./check.ts";

/** The program that reads the schema, or why there is none. */
export type FoundTool =
  | { readonly tool: DumpTool }
  | { readonly tool: undefined; readonly reason: ReplicatorError };

/** Looks for it. */
export async function searchTool(
  { tools }: ValidateOptions,
  sides: ServerPair,
): Promise<FoundTool> {
  try {
    return {
      tool: await findDumpTool({
        sourceMajor: sides.source.majorVersion,
        targetMajor: sides.target.majorVersion,
        libpqMajor: minLibpqMajor(sides.source.endpoint),
      }, tools),
    };
  } catch (error) {
    if (!(error instanceof ReplicatorError)) throw error;
    return { tool: undefined, reason: error };
  }
}

/** The check that one was found. */
export function checkTool(found: FoundTool): Check {
  const subject = { id: "dump-tool", side: "both" } as const;
  if (found.tool !== undefined) return pass(subject, found.tool.description);
  const { message, remedy = "install PostgreSQL's client programs" } = found.reason;
  return fail(subject, { finding: message, fix: remedy });
}
