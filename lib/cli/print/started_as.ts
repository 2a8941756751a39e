import { readStart, type Start } from "../options/environment.ts";

/**
 * The words that start the program again, for a shell: `deno task start`, the name or path of the
 * executable, or `deno run` with its permissions and URL. Pure.
 */
export function startWords(start: Start): readonly string[] {
  const { mainModule, executable, folders, isTask, isNpx } = start;
  if (executable !== undefined) {
    const at = Math.max(executable.lastIndexOf("/"), executable.lastIndexOf("\\"));
    const name = executable.slice(at + 1);
    return [folders.includes(executable.slice(0, at)) ? name : executable];
  }
  const npx = isNpx ? ["npx", "-y"] : [];
  const isLocal = mainModule.startsWith("file:");
  if (isLocal && isTask) return [...npx, "deno", "task", "start"];
  const place = isLocal ? decodeURIComponent(new URL(mainModule).pathname) : mainModule;
  return [...npx, "deno", "run", ...permissionFlags(start), place];
}

function permissionFlags({ granted, isAllGranted }: Start): readonly string[] {
  if (isAllGranted) return ["-A"];
  return granted.map((name) => `--allow-${name}`);
}

/** The words that start this program again. */
export function startedAs(): readonly string[] {
  return startWords(readStart());
}
