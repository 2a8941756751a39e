/** Secret files for client programs do not outlive the tool, even when it is killed. */
import { join } from "node:path";
import { ok, strictEqual } from "node:assert/strict";
import { removeAbandonedSecrets, SecretFolder } from "../../../lib/schema/dump/secret_folder.ts";

const program = `
  import { SecretFolder } from ${
  JSON.stringify(new URL("../../../lib/schema/dump/secret_folder.ts", import.meta.url).href)
};
  const folder = await SecretFolder.make();
  console.log(await folder.write("pgpass", "*:*:*:*:secret\\n"));
  setInterval(() => {}, 1_000);
`;

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

/** Starts a process that uses a secret folder, and returns the path of its password file. */
async function holder() {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "-q", program],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value = "" } = await reader.read();
  return {
    passfile: value.trim(),
    kill: async () => {
      child.kill("SIGKILL");
      await child.status;
      await reader.cancel();
    },
  };
}

Deno.test("the next process removes the password file of a killed process, not that of a running one", async () => {
  const killed = await holder();
  const running = await holder();
  try {
    strictEqual((await Deno.lstat(killed.passfile)).mode! & 0o777, 0o600);
    await killed.kill();
    ok(await exists(killed.passfile), "removed although its process was killed");
    await removeAbandonedSecrets();
    ok(!await exists(join(killed.passfile, "..")));
    ok(await exists(running.passfile));
    await using own = await SecretFolder.make();
    const file = await own.write("pgpass", "x");
    await removeAbandonedSecrets();
    ok(await exists(file) && await exists(running.passfile));
  } finally {
    await running.kill();
  }
  await removeAbandonedSecrets();
  ok(!await exists(running.passfile));
});

Deno.test("nothing else is removed: links, folders with other files, folders accessible to others", async () => {
  const elsewhere = await Deno.makeTempDir({ prefix: "elsewhere-" });
  await Deno.writeTextFile(join(elsewhere, "owner"), "");
  await Deno.writeTextFile(join(elsewhere, "pgpass"), "");
  const link = `${elsewhere}/../postgres-seren-replicator-link-${crypto.randomUUID()}`;
  await Deno.symlink(elsewhere, link);
  const folder = async (files: readonly string[], mode: number) => {
    const path = await Deno.makeTempDir({ prefix: "postgres-seren-replicator-" });
    for (const file of files) await Deno.writeTextFile(join(path, file), "");
    await Deno.chmod(path, mode);
    return path;
  };
  const kept = [
    await folder(["owner", "pgpass", "other"], 0o700),
    await folder(["pgpass"], 0o700),
    await folder(["owner", "pgpass"], 0o755),
  ];
  try {
    await removeAbandonedSecrets();
    ok(await exists(join(elsewhere, "pgpass")));
    ok(await exists(link));
    for (const path of kept) ok(await exists(path), path);
  } finally {
    await Deno.remove(link);
    for (const path of [elsewhere, ...kept]) await Deno.remove(path, { recursive: true });
  }
});
