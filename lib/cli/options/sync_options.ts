import { type Lsn, parseLsn } from "../../core/internal.ts";
import type { SyncAction, SyncSettings } from "../../commands/shared/run.ts";
import {
  completeCopyOptions,
  type CopyOptions,
  readCopyOptions,
  type ResolveContext,
} from "./copy_options.ts";
import type { OptionReader } from "./option_reader.ts";
import { readSyncSettings } from "./sync_settings.ts";

/** `sync` in full. */
export interface SyncCommandOptions extends CopyOptions {
  readonly sync: SyncSettings;
  readonly action: SyncAction;
  readonly splitBytes: number;
  readonly yes: boolean;
}

/** @throws UsageError with every problem */
export async function resolveSyncOptions(
  reader: OptionReader,
  context: ResolveContext,
): Promise<SyncCommandOptions> {
  const partial = await readCopyOptions(reader, context);
  const sync = await readSyncSettings(reader, context);
  const action = readAction(reader);
  const splitBytes = reader.size("splitTablesLargerThan");
  const yes = reader.flag("yes");
  if (action.kind === "copy" && !yes && !context.canAsk) {
    reader.problem("--yes", "is required: there is no terminal to ask for confirmation");
  }
  reader.done();
  return { ...completeCopyOptions(partial), sync, action, splitBytes, yes };
}

const actionPaths = {
  resnapshot: "--resnapshot",
  addTables: "--add-tables",
  skipLsn: "--skip-lsn",
  retry: "--retry",
} as const;

function readAction(reader: OptionReader): SyncAction {
  const lists = {
    resnapshot: reader.names("resnapshot", { unquote: false }),
    addTables: reader.names("addTables", { unquote: false }),
  };
  const lsn = readLsn(reader);
  const given = [
    ...(lists.resnapshot.length > 0 ? [actionPaths.resnapshot] : []),
    ...(lists.addTables.length > 0 ? [actionPaths.addTables] : []),
    ...(reader.given("skipLsn") ? [actionPaths.skipLsn] : []),
    ...(reader.flag("retry") ? [actionPaths.retry] : []),
  ];
  const [first, second] = given;
  if (first !== undefined && second !== undefined) {
    reader.problem(second, `cannot be combined with ${first}: use one of them`);
  }
  if (lists.resnapshot.length > 0) {
    return { kind: "copy", tables: lists.resnapshot, areNew: false };
  }
  if (lists.addTables.length > 0) return { kind: "copy", tables: lists.addTables, areNew: true };
  if (lsn !== undefined) return { kind: "skip", lsn };
  return { kind: reader.flag("retry") ? "retry" : "follow" };
}

function readLsn(reader: OptionReader): Lsn | undefined {
  const text = reader.text("skipLsn");
  if (text === undefined) return undefined;
  try {
    return parseLsn(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    reader.problem(actionPaths.skipLsn, error.message);
    return undefined;
  }
}
