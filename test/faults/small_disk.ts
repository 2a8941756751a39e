import { join } from "node:path";

/** A file system of a few bytes. Only root can make one. */
export interface SmallDisk extends AsyncDisposable {
  readonly path: string;
  /** Leaves no room. */
  fill(): Promise<void>;
  /** Gives the room back. */
  free(): Promise<void>;
}

/** Makes a file system in memory. @param size as mount takes it: `120m` */
export async function smallDisk(size: string): Promise<SmallDisk> {
  const path = await Deno.makeTempDir({ prefix: "psr-disk-" });
  const filler = join(path, "filler");
  const mount = await new Deno.Command("mount", {
    args: ["-t", "tmpfs", "-o", `size=${size},mode=777`, "tmpfs", path],
  }).output();
  if (!mount.success) throw new Error("only root can make a small disk");
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
