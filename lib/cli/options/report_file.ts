import { errorMessage } from "../../core/internal.ts";
import { basename, dirname, join, resolve } from "node:path";
import type { OptionReader } from "./option_reader.ts";

/**
 * Why no report can be written to this path; undefined when it can. Makes an empty file in its
 * folder and removes it again: nothing else tells for sure.
 *
 * Requires `--allow-read` and `--allow-write` for the folder.
 */
export async function reportFileProblem(path: string): Promise<string | undefined> {
  if (path === "") return "is empty; give the name of a file";
  try {
    const place = await placeOf(path);
    if (place.taken) return `"${path}" is there and is no file`;
    await Deno.remove(await newFileBeside(place.path, ""));
    return undefined;
  } catch (error) {
    return `"${path}" cannot be written: ${reasonOf(error, dirname(resolve(path)))}`;
  }
}

/**
 * Writes a report, all of it or nothing: who opens the file meanwhile sees the one before.
 *
 * Requires `--allow-read` and `--allow-write` for the folder.
 */
export async function writeReportFile(path: string, text: string): Promise<void> {
  const place = await placeOf(path);
  const written = await newFileBeside(place.path, text);
  try {
    await Deno.rename(written, place.path);
  } catch (error) {
    await Deno.remove(written);
    throw error;
  }
}

/** Where a path leads to: the file behind a link is replaced, not the link. */
async function placeOf(
  path: string,
): Promise<{ readonly path: string; readonly taken: boolean }> {
  try {
    const { isFile } = await Deno.stat(path);
    return { path: await Deno.realPath(path), taken: !isFile };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    const folder = await Deno.realPath(dirname(resolve(path)));
    return { path: join(folder, basename(path)), taken: false };
  }
}

async function newFileBeside(path: string, text: string): Promise<string> {
  const name = join(dirname(path), `.report-${crypto.randomUUID()}.tmp`);
  try {
    using file = await Deno.open(name, { write: true, createNew: true });
    const bytes = new TextEncoder().encode(text);
    for (let written = 0; written < bytes.length;) {
      written += await file.write(bytes.subarray(written));
    }
    await file.sync(); // else a crash could leave an empty file under the final name
  } catch (error) {
    // it may not be there; the first error is the one to tell
    await Deno.remove(name).catch(() => {});
    throw error;
  }
  return name;
}

function reasonOf(error: unknown, folder: string): string {
  if (error instanceof Deno.errors.NotFound) return `there is no folder "${folder}"`;
  if (error instanceof Deno.errors.NotADirectory) return `"${folder}" is no folder`;
  if (error instanceof Deno.errors.NotCapable) {
    return `this process may not write there; allow it with --allow-write="${folder}"`;
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return `this user may not write into "${folder}"`;
  }
  return errorMessage(error);
}

/** Where a report goes; a place where it cannot be written is noted in the reader. */
export async function readReportFile(reader: OptionReader): Promise<string | undefined> {
  const path = reader.text("report");
  const problem = path === undefined ? undefined : await reportFileProblem(path);
  if (problem !== undefined) reader.problem("--report", problem);
  return path;
}
