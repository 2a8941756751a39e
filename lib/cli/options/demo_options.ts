import { PG_MAJORS, type PgMajor } from "../../cluster/mod.ts";
import { megabyte, type OptionReader } from "./option_reader.ts";

/** `demo` in full. */
export interface DemoCommandOptions {
  readonly sizeBytes: number;
  readonly sourceMajor: PgMajor;
  readonly targetMajor: PgMajor;
  readonly keep: boolean;
}

/** @throws UsageError with everything that is wrong */
export function resolveDemoOptions(reader: OptionReader): DemoCommandOptions {
  const sizeBytes = reader.bytes("size", { path: "--size", fallback: 200 * megabyte });
  const major = (key: string, path: string, fallback: PgMajor) => {
    const [least = fallback, most = fallback] = [PG_MAJORS[0], PG_MAJORS.at(-1)];
    const number = reader.whole(key, { path, least, most, fallback });
    return PG_MAJORS.find((each) => each === number) ?? fallback;
  };
  const sourceMajor = major("sourceVersion", "--source-version", 15);
  const targetMajor = major("targetVersion", "--target-version", 18);
  const keep = reader.flag("keep");
  reader.done();
  return { sizeBytes, sourceMajor, targetMajor, keep };
}
