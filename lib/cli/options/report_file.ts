import { errorMessage } from "../../core/internal.ts";
import { basename, dirname, join, resolve } from "node:path";
import type { OptionReader } from "./option_reader.ts";

/**
 * Why no report can be written to this path; undefined if it can. Creates an empty file in its
 * directory and removes it again: no other check is reliable.
 *
 * Requires `--allow-read` and `--allow-write` for the folder.
 */
export async function reportFileProblem(path: string): Promise<string | undefined> {
  if (path === "") return "is empty; give the name of a file";
  try {
    const place = await placeOf(path);
    if (place.taken) return `"${path}" exists and is not a file`;
    await Deno.remove(await newFileBeside(place.path, ""));
    return undefined;
  } catch (error) {
    return `"${path}" cannot be written: ${folderProblem(error, dirname(resolve(path)))}`;
  }
}

/**
 * Writes a report atomically: readers see the previous file until it is complete.
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

/** Where a path leads: the target of a link is replaced, not the link. */
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
    await file.sync(); // otherwise a crash could leave an empty file under the final name
  } catch (error) {
    // it may not exist; the first error is the one to report
    await Deno.remove(name).catch(() => {});
    throw error;
  }
  return name;
}

function folderProblem(error: unknown, folder: string): string {
  if (error instanceof Deno.errors.NotFound) return `directory "${folder}" does not exist`;
  if (error instanceof Deno.errors.NotADirectory) return `"${folder}" is not a directory`;
  if (error instanceof Deno.errors.NotCapable) {
    return `Deno does not allow writing there; allow it with --allow-write="${folder}"`;
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return `no permission to write to "${folder}"`;
  }
  return errorMessage(error);
}

/** Where the report goes; problems are collected in the reader. */
export async function readReportFile(reader: OptionReader): Promise<string | undefined> {
  const path = reader.text("report");
  const problem = path === undefined ? undefined : await reportFileProblem(path);
  if (problem !== undefined) reader.problem("--report", problem);
  return path;
}

/** The same for a report as .html or .json. */
export async function readEvidenceFile(reader: OptionReader): Promise<string | undefined> {
  const path = await readReportFile(reader);
  if (path !== undefined && !/\.(?:html?|json)$/i.test(path)) {
    reader.problem("--report", `"${path}" must end in .html or .json, which selects the format`);
  }
  return path;
}
