import type { Cluster } from "../../lib/cluster/mod.ts";
import { type InstalledClient, installedClient } from "./installed.ts";
import { exec } from "./sql.ts";

/** The result of {@linkcode makeReferenceCopy}. */
export interface ReferenceCopy {
  /** The database on the target. */
  readonly name: string;
  readonly url: string;
  /** Errors that psql reported during the restore, one per line. */
  readonly errors: readonly string[];
}

/**
 * Copies a database, its settings and the server's roles to another server by `pg_dumpall
 * --roles-only | psql` and `pg_dump --create | psql`, under the name `<name>_reference`. The target
 * must not have a database of the same name.
 *
 * @returns undefined if no installed client programs are recent enough for the source
 */
export async function makeReferenceCopy(
  { source, target, name }: {
    readonly source: Cluster;
    readonly target: Cluster;
    readonly name: string;
  },
): Promise<ReferenceCopy | undefined> {
  const client = await installedClient();
  if (client === undefined || client.major < source.major) return undefined;
  const roles = await run(client.pgDumpall, ["--roles-only", "-d", source.url()]);
  // existing roles are reported as errors, which do not matter
  await restore(client, target, roles);
  const dump = await run(client.pgDump, ["--create", "-d", source.url({ database: name })]);
  const errors = await restore(client, target, dump);
  const copy = `${name}_reference`;
  await exec(target.url(), `ALTER DATABASE "${name}" RENAME TO "${copy}"`);
  return { name: copy, url: target.url({ database: copy }), errors };
}

/** Database settings that would keep psql from restoring the rest. */
const options = [
  "role=none",
  "statement_timeout=0",
  "lock_timeout=0",
  "default_transaction_read_only=off",
].map((setting) => `-c ${setting}`).join(" ");

async function restore(
  { psql }: InstalledClient,
  target: Cluster,
  sql: Uint8Array,
): Promise<readonly string[]> {
  const process = new Deno.Command(psql, {
    args: ["--no-psqlrc", "--quiet", "--output", "/dev/null", "-d", target.url()],
    env: { PGOPTIONS: options },
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const writer = process.stdin.getWriter();
  const [output] = await Promise.all([
    process.output(),
    // psql has ended; its errors say why
    writer.write(sql).then(() => writer.close()).catch(() => {}),
  ]);
  return new TextDecoder().decode(output.stderr).split("\n").filter((line) => /ERROR/.test(line));
}

async function run(program: string, args: readonly string[]): Promise<Uint8Array> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args: [...args] }).output();
  if (!success) throw new Error(`${program}: ${new TextDecoder().decode(stderr)}`);
  return stdout;
}
