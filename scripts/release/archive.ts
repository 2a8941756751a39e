/** A file of an archive. */
export interface ArchivedFile {
  /** Its path in the archive, at most 100 bytes. */
  readonly path: string;
  readonly content: Uint8Array;
  /** Whether it is a program. */
  readonly executable?: boolean;
}

const blockBytes = 512;
const encoder = new TextEncoder();

/**
 * A tar archive (ustar), compressed with gzip. The same files make the same bytes: no times, owners
 * or order of a folder are recorded.
 */
export async function gzippedTar(files: readonly ArchivedFile[]): Promise<Uint8Array> {
  const parts: BlobPart[] = [];
  for (const { path, content, executable = false } of files) {
    parts.push(header(path, { size: content.length, mode: executable ? 0o755 : 0o644 }));
    parts.push(content as BlobPart);
    parts.push(new Uint8Array((blockBytes - content.length % blockBytes) % blockBytes));
  }
  parts.push(new Uint8Array(2 * blockBytes));
  const compressed = new Blob(parts).stream().pipeThrough(new CompressionStream("gzip"));
  return await new Response(compressed).bytes();
}

function header(
  path: string,
  { size, mode }: { readonly size: number; readonly mode: number },
): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(blockBytes);
  const put = (offset: number, text: string) => block.set(encoder.encode(text), offset);
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0");
  if (encoder.encode(path).length > 100) throw new RangeError(`the path is too long: ${path}`);
  put(0, path);
  put(100, octal(mode, 7));
  put(108, octal(0, 7)); // user
  put(116, octal(0, 7)); // group
  put(124, octal(size, 11));
  put(136, octal(0, 11)); // time
  put(148, " ".repeat(8)); // counts as spaces in the checksum
  put(156, "0"); // a regular file
  put(257, "ustar\0" + "00");
  put(148, `${octal(block.reduce((sum, byte) => sum + byte, 0), 6)}\0 `);
  return block;
}
