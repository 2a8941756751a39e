/** The operating-system user that servers run as. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/** `nobody`, as Linux distributions and macOS number it. */
const NOBODY = Deno.build.os === "darwin" ? 4294967294 : 65534;

/**
 * The user that servers must run as, or `undefined` for "whoever runs us": PostgreSQL refuses to
 * run as root, so root hands its servers to `nobody`.
 *
 * Requires `--allow-sys=uid`.
 */
export function serverUser(): ServerUser | undefined {
  return Deno.build.os !== "windows" && Deno.uid() === 0 ? { uid: NOBODY, gid: NOBODY } : undefined;
}
