import { PG_MAJORS, type PgMajor } from "../../cluster/mod.ts";
import type { OptionReader } from "./option_reader.ts";

/** `demo` in full. */
export interface DemoCommandOptions {
  readonly sizeBytes: number;
  readonly sourceMajor: PgMajor;
  readonly targetMajor: PgMajor;
  readonly keep: boolean;
}

/** @throws UsageError with every problem */
export function resolveDemoOptions(reader: OptionReader): DemoCommandOptions {
  const sizeBytes = reader.size("size");
  const sourceMajor = readMajor(reader, "sourceVersion");
  const targetMajor = readMajor(reader, "targetVersion");
  const keep = reader.flag("keep");
  reader.done();
  return { sizeBytes, sourceMajor, targetMajor, keep };
}

function readMajor(reader: OptionReader, name: "sourceVersion" | "targetVersion"): PgMajor {
  const number = reader.integer(name);
  const major = PG_MAJORS.find((each) => each === number);
  if (major === undefined) throw new RangeError(`the option table allows version ${number}`);
  return major;
}
