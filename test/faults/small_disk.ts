import { join } from "node:path";

/** A small file system. Only root can create one. */
export interface SmallDisk extends AsyncDisposable {
  readonly path: string;
  /** Uses up all free space. */
  fill(): Promise<void>;
  /** Frees the space again. */
  free(): Promise<void>;
}

/** Creates a file system in memory. @param size as for mount: `120m` */
export async function smallDisk(size: string): Promise<SmallDisk> {
  const path = await Deno.makeTempDir({ prefix: "psr-disk-" });
  const filler = join(path, "filler");
  const mount = await new Deno.Command("mount", {
    args: ["-t", "tmpfs", "-o", `size=${size},mode=777`, "tmpfs", path],
  }).output();
  if (!mount.success) throw new Error("only root can create a small disk");
  return {
    path,
    async fill() {
      using file = await Deno.open(filler, { write: true, create: true });
      const block = new Uint8Array(64 * 1024);
      try {
        for (;;) await file.write(block);
      } catch {
        // full
      }
    },
    async free() {
      await Deno.remove(filler).catch(() => {});
    },
    async [Symbol.asyncDispose]() {
      await new Deno.Command("umount", { args: ["-l", path] }).output();
      await Deno.remove(path).catch(() => {});
    },
  };
}

/** Whether this user can create one. */
export async function canMakeSmallDisk(): Promise<boolean> {
  return await smallDisk("16k").then(
    async (disk) => (await disk[Symbol.asyncDispose](), true),
    () => false,
  );
}
