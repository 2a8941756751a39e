/** An empty folder of one job, for this process alone; gone when disposed of. */
export class Workspace implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Requires read and write access to `root`. */
  static async make(root: string, jobId: string): Promise<Workspace> {
    await Deno.mkdir(root, { recursive: true, mode: 0o700 });
    const path = await Deno.makeTempDir({ dir: root, prefix: `${jobId}-` });
    await Deno.chmod(path, 0o700);
    return new Workspace(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true }).catch(() => {}); // how the run ended counts
  }
}
