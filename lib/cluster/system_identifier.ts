import { join } from "node:path";
import { crc32c } from "./crc32c.ts";

/** Offset of `xlp_sysid` in the long header of a WAL segment. */
const WAL_SYSTEM_IDENTIFIER = 24;

/** `XLP_LONG_HEADER` in `xlp_info`, the second 16-bit word of a WAL page. */
const XLP_LONG_HEADER = 0x0002;

/**
 * Changes the system identifier of a *stopped* data directory, so that a copy of a cluster is not
 * mistaken for the same server. npm's packages do not contain `pg_resetwal`. In versions 12 to 18
 * the identifier is in the control file, covered by its checksum, and in the header of every WAL
 * segment.
 *
 * Requires read and write access to the data directory.
 */
export async function changeSystemIdentifier(dataDir: string, identifier: bigint): Promise<void> {
  const controlFile = join(dataDir, "global", "pg_control");
  const control = await Deno.readFile(controlFile);
  const old = new DataView(control.buffer).getBigUint64(0, true);
  const checksumAt = findChecksum(control);
  const view = new DataView(control.buffer);
  view.setBigUint64(0, identifier, true);
  view.setUint32(checksumAt, crc32c(control.subarray(0, checksumAt)), true);
  await Deno.writeFile(controlFile, control, { create: false });

  const walDir = join(dataDir, "pg_wal");
  for await (const entry of Deno.readDir(walDir)) {
    if (entry.isFile && /^[0-9A-F]{24}$/.test(entry.name)) {
      await changeWalSegment(join(walDir, entry.name), old, identifier);
    }
  }
}

/**
 * A random system identifier in PostgreSQL's format, with the seconds since 1970 in the upper half.
 */
export function newSystemIdentifier(): bigint {
  const random = crypto.getRandomValues(new Uint32Array(1))[0]!;
  return (BigInt(Math.floor(Date.now() / 1000)) << 32n) | BigInt(random);
}

/**
 * The offset of the checksum, which differs between versions: where the preceding bytes match it.
 */
function findChecksum(control: Uint8Array<ArrayBuffer>): number {
  const view = new DataView(control.buffer);
  for (let at = 128; at <= 508; at += 4) {
    if (view.getUint32(at, true) === crc32c(control.subarray(0, at))) return at;
  }
  throw new Error("pg_control has no valid checksum in its first 512 bytes");
}

async function changeWalSegment(path: string, old: bigint, identifier: bigint): Promise<void> {
  using file = await Deno.open(path, { read: true, write: true });
  const header = new Uint8Array(WAL_SYSTEM_IDENTIFIER + 8);
  if (await file.read(header) !== header.length) return;
  const view = new DataView(header.buffer);
  const info = view.getUint16(2, true);
  if (!(info & XLP_LONG_HEADER) || view.getBigUint64(WAL_SYSTEM_IDENTIFIER, true) !== old) return;
  view.setBigUint64(WAL_SYSTEM_IDENTIFIER, identifier, true);
  await file.seek(0, Deno.SeekMode.Start);
  await file.write(header);
}
