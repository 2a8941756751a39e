/**
 * The command line in separate processes: its output, the stream it is written to, and the exit
 * code.
 */
import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import denoJson from "../../deno.json" with { type: "json" };
import { environmentVariables } from "../../lib/cli/options/environment.ts";
import { cliCommand, denoEnvironment, repository, runCli, runProgram } from "../support/cli.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import { exec, query } from "../support/sql.ts";

const nowhere = "postgresql://me:secret@127.0.0.1:1/app";
const source = await sharedCluster(16);
const target = await sharedCluster(17);

Deno.test("no arguments and --help print a page that lists every command, and none that is not implemented", async () => {
  for (const args of [[], ["--help"], ["help"]]) {
    const { code, stdout, stderr } = await runCli(args);
    strictEqual(code, 0);
    strictEqual(stderr, "");
    for (
      const word of [
        "validate",
        "init",
        "status",
        "jobs",
        "serve",
        "worker",
        "keys",
        "demo",
        "completions",
        "Exit codes",
        "SOURCE_URL",
      ]
    ) {
      ok(stdout.includes(word), `${word} is missing`);
    }
    match(stdout, /^ {2}cutover\b/m);
  }
  match((await runCli(["help", "init"])).stdout, /--drop-existing/);
  match((await runCli(["init", "--help"])).stdout, /Examples:/);
});

Deno.test("--version prints the version of deno.json", async () => {
  const { code, stdout } = await runCli(["--version"]);
  deepStrictEqual([code, stdout], [0, `${denoJson.version}\n`]);
});

Deno.test("--version --json prints versions of the program, its runtime and its formats", async () => {
  const { code, stdout } = await runCli(["--version", "--json"]);
  strictEqual(code, 0);
  const { deno, platform, ...others } = JSON.parse(stdout);
  deepStrictEqual(others, {
    program: "postgres-seren-replicator",
    version: denoJson.version,
    executable: false,
    formats: { state: 1, ledger: 2, job: "1.0", status: 1 },
  });
  strictEqual(deno, Deno.version.deno);
  strictEqual(platform, `${Deno.build.os}-${Deno.build.arch}`);
});

Deno.test("the permission set lists exactly the variables that the command line reads", () => {
  deepStrictEqual(
    [...denoJson.permissions.cli.env].sort(),
    [...environmentVariables].sort(),
  );
});

Deno.test("a misspelled command or option is reported with the closest match", async () => {
  const command = await runCli(["inti"]);
  strictEqual(command.code, 2);
  match(command.stderr, /no command "inti"; did you mean init\?/);
  const option = await runCli(["validate", "--taget", nowhere, "--source", nowhere]);
  strictEqual(option.code, 2);
  match(option.stderr, /--taget: validate has no such option; did you mean --target\?/);
  match((await runCli(["help", "valdate"])).stderr, /did you mean validate\?/);
  match((await runCli(["--json", "init"])).stderr, /options come after the command/);
});

Deno.test("all problems with the arguments are reported at once, without a password", async () => {
  const { code, stdout, stderr } = await runCli([
    "init",
    "--jbos=3",
    "--jobs=many",
    "--index-jobs=65",
    "--source=postgres//me:secret@host/db",
    "--target=postgresql://host/db; DROP TABLE users;",
    "--include-databases=a",
    "--exclude-databases=b",
    "--map=x",
    "--log-level=loud",
    "--max-rate=5",
    "--dump-tool=nativ",
  ]);
  strictEqual(code, 2);
  strictEqual(stdout, "");
  for (
    const part of [
      "--jbos: init has no such option; did you mean --jobs?",
      '--jobs: "many" is not a whole number from 1 to 64',
      '--index-jobs: "65" is not',
      "--source: ",
      "--target: ",
      "--exclude-databases: cannot be combined",
      '--map: "x" is not of the form SOURCE=TARGET',
      '--max-rate: "5" is not a rate with a unit',
      '--log-level: "loud" is not one of',
      "did you mean native?",
      "Nothing was changed",
    ]
  ) ok(stderr.includes(part), `${part} is missing in\n${stderr}`);
  doesNotMatch(stderr, /--yes/); // the unknown option may be what makes it unnecessary
  doesNotMatch(stderr, /secret/);
});

Deno.test("a value of an option that takes none is reported as such, and nothing else", async () => {
  const urls = ["--source=postgresql://me@h/a", "--target=postgresql://me@h/b"];
  const { code, stderr } = await runCli(["init", ...urls, "--json=yes"]);
  strictEqual(code, 2);
  match(stderr, /^✗ --json: takes no value$/m);
  doesNotMatch(stderr, /--yes|no such option/);
});

Deno.test("missing URLs are reported with the variables that can provide them", async () => {
  const { code, stderr } = await runCli(["validate"]);
  strictEqual(code, 2);
  match(stderr, /--source: is missing; give --source URL or set SOURCE_URL/);
  match(stderr, /--target: is missing; give --target URL or set TARGET_URL/);
  const fromVariables = await runCli(["validate"], {
    env: { SOURCE_URL: "mysql://h/d", TARGET_URL: nowhere },
  });
  match(fromVariables.stderr, /SOURCE_URL: begins with "mysql:\/\/"/);
});

Deno.test("no part of a password that was not percent-encoded is repeated, wherever its URL was given", async () => {
  const url = 'postgresql://u:QZpa?s,s#wo/rd XY"@h/db';
  for (
    const args of [
      ["init", "--jobs", url],
      ["init", `--sorce=${url}`],
      ["init", "--include-databases", `a,${url}`],
      ["init", "--source", url, "--target", "host=h password=QZpa"],
      [url],
      ["status", url, "--json"],
    ]
  ) {
    const { code, stdout, stderr } = await runCli(args);
    strictEqual(code, 2);
    for (const piece of ["QZpa", "s#wo", "rd XY"]) {
      ok(!`${stdout}${stderr}`.includes(piece), `${args.join(" ")}: ${stdout}${stderr}`);
    }
  }
});

Deno.test("a password given in the wrong place is not repeated", async () => {
  const { code, stdout, stderr } = await runCli(["init", nowhere, "--json"]);
  strictEqual(code, 2);
  doesNotMatch(stdout + stderr, /secret/);
});

Deno.test("commands between a database and itself are refused by name, without a remedy that would empty it", async () => {
  await withDatabase(source, undefined, async ({ name, url }) => {
    for (const command of [["verify"], ["sync"], ["cutover", "status"]]) {
      const { code, stderr } = await runCli([
        ...command,
        "--source",
        url,
        `--target=${url}`,
        "--include-databases",
        name,
      ]);
      strictEqual(code, 3, stderr);
      match(stderr, new RegExp(`source and target are the same database: ${name}\n`));
      doesNotMatch(stderr, /resnapshot|drop-existing/);
    }
  });
});

Deno.test("a misspelled database is reported with the one that the URL names, whose name is not a secret", async () => {
  await withDatabase(source, undefined, async ({ name, url }) => {
    const { code, stderr } = await runCli(
      ["verify", `--source=${url}`, "--target", target.url(), `--include-databases=${name}x`],
    );
    strictEqual(code, 2, stderr);
    match(
      stderr,
      new RegExp(`--include-databases: ${name}x matches no database; did you mean ${name}\\?`),
    );
  });
});

Deno.test("a password file that others can read is reported once, as by psql", async () => {
  const file = await Deno.makeTempFile({ prefix: "psr-pass-" });
  try {
    for (const [mode, count] of [[0o644, 1], [0o600, 0]] as const) {
      await Deno.chmod(file, mode);
      const { stderr } = await runCli(["validate"], {
        env: { SOURCE_URL: source.url(), TARGET_URL: target.url(), PGPASSFILE: file },
      });
      strictEqual(stderr.split("warning: password file").length - 1, count, stderr);
    }
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("--json prints one document on stdout, for errors too", async () => {
  const usage = await runCli(["init", "--json"]);
  const { error } = JSON.parse(usage.stdout);
  strictEqual(error.exitCode, 2);
  deepStrictEqual(error.problems.map(({ path }: { path: string }) => path), [
    "--source",
    "--target",
    "--yes",
  ]);
  const unreachable = await runCli(["validate", "--json", "--source", nowhere], {
    env: { TARGET_URL: target.url() },
  });
  strictEqual(unreachable.code, 4);
  const document = JSON.parse(unreachable.stdout);
  deepStrictEqual(Object.keys(document.error), [
    "message",
    "side",
    "object",
    "remedy",
    "details",
    "exitCode",
  ]);
  strictEqual(document.error.side, "source");
  strictEqual(document.error.exitCode, 4);
  doesNotMatch(unreachable.stdout + unreachable.stderr, /secret/);
});

Deno.test("an unreachable target exits with 5", async () => {
  const { code, stderr } = await runCli(["validate", "--target", nowhere], {
    env: { SOURCE_URL: source.url() },
  });
  strictEqual(code, 5);
  match(stderr, /✗ target, /);
});

Deno.test("init without a terminal and without --yes changes nothing", async () => {
  const { code, stderr } = await runCli(["init", "--source", source.url()], {
    env: { TARGET_URL: target.url() },
  });
  strictEqual(code, 2);
  match(stderr, /--yes: is required: there is no terminal/);
});

Deno.test("without a terminal, colors are used only on request", async () => {
  const esc = "\x1b[";
  const plain = await runCli(["validate", "--source", nowhere, "--target", nowhere]);
  ok(!plain.stderr.includes(esc));
  const forced = await runCli(["validate"], { env: { FORCE_COLOR: "1" } });
  ok(forced.stderr.includes(esc));
  for (
    const [args, env] of [[["--no-color"], {}], [[], { NO_COLOR: "1" }]] as const
  ) {
    const { stderr } = await runCli(["validate", ...args], { env: { FORCE_COLOR: "1", ...env } });
    ok(!stderr.includes(esc), stderr);
  }
});

Deno.test("completions are scripts that their shells accept", async () => {
  const { code, stdout } = await runCli(["completions", "bash"]);
  strictEqual(code, 0);
  const check = `${stdout}
COMP_WORDS=(postgres-seren-replicator init --dr); COMP_CWORD=2
_postgres_seren_replicator; echo "\${COMPREPLY[*]}"
COMP_WORDS=(postgres-seren-replicator init --log-level w); COMP_CWORD=3
_postgres_seren_replicator; echo "\${COMPREPLY[*]}"
COMP_WORDS=(postgres-seren-replicator va); COMP_CWORD=1
_postgres_seren_replicator; echo "\${COMPREPLY[*]}"`;
  const bash = await new Deno.Command("bash", { args: ["-c", check] }).output();
  strictEqual(
    new TextDecoder().decode(bash.stdout),
    "--dry-run --drop-existing\nwarn\nvalidate\n",
  );
  for (const [shell, sign] of [["zsh", "#compdef"], ["fish", "complete -c"]] as const) {
    const script = await runCli(["completions", shell]);
    ok(script.stdout.includes(sign));
    const file = await Deno.makeTempFile();
    await Deno.writeTextFile(file, script.stdout);
    const syntax = await runProgram(shell, ["-n", file], { env: denoEnvironment() })
      .catch(() => undefined);
    await Deno.remove(file);
    if (syntax === undefined) {
      console.log(`      skipped: ${shell} is not installed, so its script is not checked`);
    } else strictEqual(syntax.code, 0);
  }
  strictEqual((await runCli(["completions", "tcsh"])).code, 2);
});

Deno.test("shells complete databases and tables of SOURCE_URL, and never print why there are none", async () => {
  await withDatabase(source, undefined, async ({ name, url }) => {
    await exec(url, `CREATE TABLE orders (id int); CREATE TABLE "or\x1b[2J" (id int)`);
    const complete = async (args: readonly string[], env: Readonly<Record<string, string>>) => {
      const { code, stdout, stderr } = await runCli(["completions", ...args], { env });
      deepStrictEqual({ code, stderr }, { code: 0, stderr: "" });
      return stdout;
    };
    strictEqual(await complete(["databases", name], { SOURCE_URL: url }), `${name}\n`);
    strictEqual(await complete(["tables", name], { SOURCE_URL: url }), `${name}.\n`);
    strictEqual(
      await complete(["tables", `${name}.public.o`], { SOURCE_URL: url }),
      `${name}.public.orders\n`,
    );
    for (const wrong of ["postgresql://u:secret@127.0.0.1:1/x", "no url: secret"]) {
      strictEqual(await complete(["databases"], { SOURCE_URL: wrong }), "");
    }
    strictEqual(await complete(["tables", "x."], {}), "");
  });
});

Deno.test("validate prints a table, or its report as JSON, and exits with 3 when a check fails", async () => {
  await withDatabase(source, undefined, async ({ name, url }) => {
    await exec(url, "CREATE TABLE t (id int PRIMARY KEY)");
    const args = ["validate", "--source", url, "--include-databases", name];
    const env = { TARGET_URL: target.url() };
    const text = await runCli(args, { env });
    ok(text.code === 0 || text.code === 3, text.stderr);
    match(text.stdout, /✓ pass/);
    match(text.stdout, /\d+ passed, /);
    const json = await runCli([...args, "--json"], { env });
    const report = JSON.parse(json.stdout);
    strictEqual(json.code, report.failures > 0 ? 3 : 0);
    ok(report.checks.length > 0);
  });
});

Deno.test("init --dry-run prints the plan and changes nothing; init --yes copies and prints the report", async () => {
  await withDatabase(source, undefined, async ({ name, url }) => {
    await exec(
      url,
      `CREATE TABLE "日本の表" (id int PRIMARY KEY, t text);
       INSERT INTO "日本の表" SELECT i, repeat('x', 100) FROM generate_series(1, 5000) i`,
    );
    const args = ["init", "--source", url, "--include-databases", name];
    const env = { TARGET_URL: target.url() };
    const exists = async () =>
      (await query(target.url(), "SELECT FROM pg_database WHERE datname = $1", [name])).length > 0;

    const dry = await runCli([...args, "--dry-run"], { env });
    strictEqual(dry.code, 0, dry.stderr);
    match(dry.stdout, /日本の表/);
    strictEqual(await exists(), false);

    const copy = await runCli([...args, "--yes", "--json", "--log-format", "json"], { env });
    strictEqual(copy.code, 0, copy.stderr);
    strictEqual(JSON.parse(copy.stdout).rows, 5000);
    for (const line of copy.stderr.trim().split("\n")) {
      const entry = JSON.parse(line);
      ok(entry.time && entry.level && entry.event, line);
    }
    const [count] = await query(
      target.url({ database: name }),
      'SELECT count(*)::int AS n FROM "日本の表"',
    );
    strictEqual(count?.["n"], 5000);
    await exec(target.url(), `DROP DATABASE "${name}"`);
  });
});

const tmux = await new Deno.Command("tmux", { args: ["-V"], stdout: "null", stderr: "null" })
  .output().then(({ success }) => success, () => false);
if (!tmux) console.log("      skipped: tmux is not installed, so the live view is not tested");

Deno.test({
  name:
    "on a terminal, init shows the plan, asks, draws progress, and restores the cursor after Ctrl-C",
  ignore: !tmux,
  fn: async () => {
    await withDatabase(source, undefined, async ({ name, url }) => {
      await exec(
        url,
        `CREATE TABLE big AS SELECT i, repeat(md5(i::text), 20) AS t FROM generate_series(1, 400000) i`,
      );
      await using screen = await openScreen([...cliCommand, "init", "--include-databases", name], {
        SOURCE_URL: url,
        TARGET_URL: target.url(),
      });
      await screen.waitFor(/Start\? \[y\/N\]/);
      match(await screen.text(), /big/);
      await screen.keys("y", "Enter");
      // the plan predicts this step too, but only the live view puts a symbol before it
      const live = /^[^\w\s] Copy rows/mu;
      await screen.waitFor(live);
      await screen.waitFor(/big\s.*%/);
      await screen.keys("C-c");
      await screen.waitFor(/exit code 130/);
      const text = await screen.text();
      match(text, /Stopping cleanly; press Ctrl-C again/);
      doesNotMatch(text, live); // the live view has been erased
      strictEqual(await screen.cursorIsVisible(), true);
      const left = await query(
        target.url(),
        "SELECT FROM pg_stat_activity WHERE application_name = 'postgres-seren-replicator'",
      );
      strictEqual(left.length, 0);
      await exec(target.url(), `DROP DATABASE IF EXISTS "${name}"`);
    });
  },
});

Deno.test({
  name: "on a terminal, nothing is changed when the answer is no",
  ignore: !tmux,
  fn: async () => {
    await withDatabase(source, undefined, async ({ name, url }) => {
      await exec(url, "CREATE TABLE t (id int)");
      await using screen = await openScreen([...cliCommand, "init", "--include-databases", name], {
        SOURCE_URL: url,
        TARGET_URL: target.url(),
      });
      await screen.waitFor(/Start\? \[y\/N\]/);
      await screen.keys("Enter");
      await screen.waitFor(/exit code 130/);
      match(await screen.text(), /Nothing was changed/);
      strictEqual(
        (await query(target.url(), "SELECT FROM pg_database WHERE datname = $1", [name])).length,
        0,
      );
    });
  },
});

Deno.test({
  name: "what is typed before a question appears does not answer it; dropping asks for the name",
  ignore: !tmux,
  fn: async () => {
    await withDatabase(source, undefined, async ({ name, url }) => {
      await exec(url, "CREATE TABLE t (id int)");
      await exec(target.url(), `CREATE DATABASE "${name}"`);
      await exec(target.url({ database: name }), "CREATE TABLE kept (id int)");
      const kept = async () =>
        (await query(
          target.url({ database: name }),
          "SELECT FROM pg_class WHERE relname = 'kept'",
        )).length === 1;
      try {
        const command = [...cliCommand, "init", "--drop-existing", "--include-databases", name];
        const env = { SOURCE_URL: url, TARGET_URL: target.url() };
        {
          await using screen = await openScreen(command, env);
          await screen.keys("y", "Enter", name, "Enter", name);
          await screen.waitFor(/Type the name of the database to drop/);
          await screen.keys("Enter");
          await screen.waitFor(/exit code 130/);
          strictEqual(await kept(), true);
        }
        await using screen = await openScreen(command, env);
        await screen.waitFor(/Type the name of the database to drop/);
        await screen.keys(name, "Enter");
        await screen.waitFor(/exit code 0/);
        strictEqual(await kept(), false);
      } finally {
        await exec(target.url(), `DROP DATABASE IF EXISTS "${name}"`);
      }
    });
  },
});

/** Runs a program in a tmux window of 100 × 30, on a separate tmux server. */
async function openScreen(args: readonly string[], env: Readonly<Record<string, string>>) {
  const name = `psr-test-${Deno.pid}-${crypto.randomUUID().slice(0, 8)}`;
  const tmuxCommand = async (...rest: string[]) => {
    const { stdout } = await new Deno.Command("tmux", {
      args: ["-L", name, "-f", "/dev/null", ...rest],
      cwd: repository,
      env: { TERM: "xterm-256color" },
      stderr: "null",
    }).output();
    return new TextDecoder().decode(stdout);
  };
  const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  const variables = Object.entries({ ...denoEnvironment(), ...env, TERM: "xterm-256color" })
    .map(([key, value]) => quote(`${key}=${value}`)).join(" ");
  const program = [Deno.execPath(), ...args].map(quote).join(" ");
  await tmuxCommand(
    ...["new-session", "-d", "-x", "100", "-y", "30"],
    `env -i LC_ALL=C.UTF-8 ${variables} ${program}; echo "exit code $?"; sleep 60`,
  );
  const text = () => tmuxCommand("capture-pane", "-p");
  return {
    text,
    keys: (...keys: string[]) => tmuxCommand("send-keys", ...keys),
    cursorIsVisible: async () =>
      (await tmuxCommand("display-message", "-p", "#{cursor_flag}")).trim() === "1",
    async waitFor(pattern: RegExp): Promise<void> {
      const deadline = Date.now() + 30_000;
      while (!pattern.test(await text())) {
        if (Date.now() > deadline) throw new Error(`no ${pattern} in\n${await text()}`);
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await tmuxCommand("kill-server");
    },
  };
}
