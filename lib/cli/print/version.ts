import { ledgerFormat, stateFormat } from "../../checkpoint/internal.ts";
import { toolVersion } from "../../core/internal.ts";
import { specVersion } from "../../remote/mod.ts";
import { programName } from "../grammar/program.ts";

/** The document of `--version --json`. */
export function versionDocument(): Readonly<Record<string, unknown>> {
  return {
    program: programName,
    version: toolVersion,
    deno: Deno.version.deno,
    platform: `${Deno.build.os}-${Deno.build.arch}`,
    executable: Deno.build.standalone,
    formats: { state: stateFormat, ledger: ledgerFormat, job: specVersion, status: 1 },
  };
}
