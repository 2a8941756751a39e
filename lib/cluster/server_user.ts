/** The operating-system user that servers run as. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/** The ID of `nobody` on Linux distributions and macOS. */
const NOBODY = Deno.build.os === "darwin" ? 4294967294 : 65534;

/**
 * The user that servers must run as, or `undefined` for the current user. PostgreSQL refuses to run
 * as root, so root's servers run as `nobody`.
 *
 * Requires `--allow-sys=uid`.
 */
export function serverUser(): ServerUser | undefined {
  return Deno.build.os !== "windows" && Deno.uid() === 0 ? { uid: NOBODY, gid: NOBODY } : undefined;
}
