import { errorMessage } from "../../core/internal.ts";
import { join } from "node:path";
import type { VerifyOptions } from "../../commands/shared/run.ts";
import { checkpointFolder } from "../../checkpoint/internal.ts";
import type { EventSink } from "../../core/internal.ts";
import { describeEndpoint } from "../../postgres/internal.ts";
import { VerifyJournal } from "../../verify/internal.ts";

/**
 * The journal of a `verify`, a file in the working directory: opened → ended (and removed) once the
 * report is complete, or left when the run is interrupted.
 */
export interface JournalFile {
  readonly journal: VerifyJournal | undefined;
  /** Removes it: the next run starts over. */
  readonly end: () => Promise<void>;
  /** Keeps it for the next run and reports that, or removes it if it is empty. */
  readonly leave: () => Promise<void>;
}

/**
 * Opens the journal of these servers, databases and rules. If it cannot be written, the run
 * continues without it and reports that.
 *
 * Requires `--allow-read` and `--allow-write` for `.postgres-seren-replicator`.
 */
export async function openJournal(
  options: VerifyOptions,
  { resume, events }: { readonly resume: boolean; readonly events: EventSink },
): Promise<JournalFile> {
  const path = join(checkpointFolder, `verify-${await hashOf(options)}.jsonl`);
  try {
    await Deno.mkdir(checkpointFolder, { recursive: true, mode: 0o700 });
    const text = resume ? await readIfThere(path) : "";
    await Deno.writeTextFile(path, text, { mode: 0o600 });
    if (text !== "") {
      events({ kind: "info", message: `resuming an interrupted run (${path})` });
    }
    let isEmpty = text === "";
    const remove = async () => {
      await Deno.remove(path);
      await Deno.remove(checkpointFolder).catch(() => {}); // unless it has other files
    };
    return {
      journal: new VerifyJournal({
        text,
        append: (line) => {
          Deno.writeTextFileSync(path, line, { append: true });
          isEmpty = false;
        },
        now: options.now,
      }),
      end: remove,
      leave: async () => {
        if (isEmpty) return await remove();
        events({
          kind: "info",
          message: `progress is saved in ${path}; the same command resumes from there`,
        });
      },
    };
  } catch (error) {
    events({
      kind: "info",
      message: `if interrupted, the comparison will start over: ${path} cannot be written (${
        errorMessage(error)
      })`,
    });
    return { journal: undefined, end: () => Promise.resolve(), leave: () => Promise.resolve() };
  }
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

/** Identifies a comparison; time windows move with every run and are ignored. */
async function hashOf({ source, target, databases, rules }: VerifyOptions): Promise<string> {
  const text = JSON.stringify([
    describeEndpoint(source),
    describeEndpoint(target),
    databases,
    rules === undefined ? null : { ...rules, now: "" },
  ]);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(digest).toHex().slice(0, 16);
}
