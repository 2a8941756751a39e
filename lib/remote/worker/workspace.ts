/** A private temporary directory of one job; removed on disposal. */
export class Workspace implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Requires read and write access to `root`. */
  static async create(root: string, jobId: string): Promise<Workspace> {
    await Deno.mkdir(root, { recursive: true, mode: 0o700 });
    const path = await Deno.makeTempDir({ dir: root, prefix: `${jobId}-` });
    await Deno.chmod(path, 0o700);
    return new Workspace(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // must not hide the run's outcome
    await Deno.remove(this.path, { recursive: true }).catch(() => {});
  }
}
