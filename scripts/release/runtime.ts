import { fileURLToPath } from "node:url";

const helper = fileURLToPath(new URL("../../../shared/tools/denort", import.meta.url));

/**
 * The runtime for executables of this platform, for machines that cannot download it: named by
 * `DENORT_BIN`, or printed by a helper beside the repository. Undefined if there is neither; Deno
 * then downloads it.
 */
export async function findRuntime(): Promise<string | undefined> {
  const given = Deno.env.get("DENORT_BIN");
  if (given !== undefined && given !== "") return given;
  if ((await Deno.stat(helper).catch(() => undefined)) === undefined) return undefined;
  const { success, stdout, stderr } = await new Deno.Command(helper).output();
  const text = new TextDecoder();
  if (!success) throw new Error(`${helper}: ${text.decode(stderr).trim()}`);
  return text.decode(stdout).trim();
}
