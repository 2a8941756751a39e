/** --interactive in a separate terminal. */
import { deepStrictEqual as equal, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { cliCommand, denoEnvironment, runCli } from "../../support/cli.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { createTemplate, dropDatabase, withDatabase } from "../../support/databases.ts";
import { query } from "../../support/sql.ts";
import { hasTmux, TerminalProgram } from "../../support/tmux.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(17);

await createTemplate(
  source,
  "interactive_template",
  `
  CREATE SCHEMA analytics;
  CREATE TABLE orders AS SELECT i FROM generate_series(1, 2000) i;
  CREATE TABLE customers AS SELECT i FROM generate_series(1, 20) i;
  CREATE TABLE analytics.orders AS SELECT i FROM generate_series(1, 200) i;
  ANALYZE`,
);

if (!hasTmux) console.log("      skipped: tmux is not installed");

interface Shop {
  readonly name: string;
  readonly program: TerminalProgram;
}

/** Starts the command line with --interactive on a separate copy of the shop. */
async function onTerminal(
  command: readonly string[],
  use: (shop: Shop) => Promise<void>,
): Promise<void> {
  await withDatabase(source, "interactive_template", async ({ name, url }) => {
    await using program = await TerminalProgram.start(
      [Deno.execPath(), ...cliCommand, ...command, "--interactive", "--dump-tool=embedded"],
      { ...denoEnvironment(), SOURCE_URL: url, TARGET_URL: target.url() },
    );
    try {
      await use({ name, program });
    } finally {
      await dropDatabase(target, name);
    }
  });
}

async function exists(name: string): Promise<boolean> {
  const rows = await query(target.url(), "SELECT FROM pg_database WHERE datname = $1", [name]);
  return rows.length > 0;
}

function onTmux(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: !hasTmux, fn });
}

onTmux("init --interactive copies the selection, and saves it to a file", async () => {
  const file = await Deno.makeTempFile({ prefix: "psr-choice-", suffix: ".toml" });
  try {
    await onTerminal(["init"], async ({ name, program }) => {
      const databases = await program.shows(/Which databases\?/);
      match(databases, new RegExp(`${name}.*(kB|MB)`));
      await program.press("Enter"); // the URL's database is preselected
      const tables = await program.shows(/Which tables of .* to exclude\?/);
      ok(tables.indexOf("orders") < tables.indexOf("analytics.orders"), "public is listed first");
      match(tables, /all of schema public[^]*all of schema analytics/);
      await program.type("analytics.orders"); // searches
      await program.shows(/analytics\.orders \(.* kB, ~200 rows\)/);
      await program.press("Tab", "Enter");
      match(
        await program.shows(/2 of 3 tables[^]*without analytics\.orders[^]*Save this selection/),
        /1 item selected/,
      );
      await program.type(file);
      await program.press("Enter");
      await program.shows(/Continue with this selection\?/);
      await program.type("y");
      await program.shows(/Start\? \[y\/N\]/);
      strictEqual(await exists(name), false);
      await program.type("y");
      await program.press("Enter");
      const done = await program.shows(/exit code 0/);
      match(done, /Next: [^]* verify [^]*--exclude-tables=\S+\.analytics\.orders/);
      ok(!/--interactive/.test(done.slice(done.lastIndexOf("Next: "))), done);
      const [row] = await query(
        target.url({ database: name }),
        "SELECT string_agg(relname, ' ' ORDER BY relname) AS tables FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text IN ('public', 'analytics')",
      );
      strictEqual(row?.tables, "customers orders");
      const kept = await Deno.readTextFile(file);
      match(kept, /exclude_tables = \["analytics\.orders"\]/);
      const { code, stdout, stderr } = await runCli([
        "init",
        "--dry-run",
        "--drop-existing",
        "--config",
        file,
      ], {
        env: { SOURCE_URL: source.url({ database: name }), TARGET_URL: target.url() },
      });
      strictEqual(code, 0, stderr);
      match(stdout, /analytics\.orders +left out +.*exclude_tables\[0\]/);
    });
  } finally {
    await Deno.remove(file);
  }
});

for (
  const [what, keys] of [
    ["Esc at the databases", ["Escape"]],
    ["Ctrl-C at the databases", ["C-c"]],
  ] as const
) {
  onTmux(`${what}: nothing happens`, async () => {
    await onTerminal(["init", "--yes"], async ({ name, program }) => {
      await program.shows(/Which databases\?/);
      await program.press(...keys);
      const screen = await program.shows(/exit code/);
      match(screen, /exit code 130/);
      strictEqual(await exists(name), false);
    });
  });
}

onTmux("Esc at the tables, and no at the end: nothing happens", async () => {
  await onTerminal(["init", "--yes"], async ({ name, program }) => {
    await program.shows(/Which databases\?/);
    await program.press("Enter");
    await program.shows(/to exclude\?/);
    await program.press("Escape");
    match(
      await program.shows(/exit code/),
      /nothing was selected, nothing was changed[^]*exit code 130/,
    );
    strictEqual(await exists(name), false);
  });
  await onTerminal(["init", "--yes"], async ({ name, program }) => {
    await program.shows(/Which databases\?/);
    await program.press("Enter");
    await program.shows(/to exclude\?/);
    await program.press("Enter");
    await program.shows(/Save this selection/);
    await program.press("Enter");
    await program.shows(/Continue with this selection\?/);
    await program.type("n"); // Enter means yes
    match(await program.shows(/exit code/), /exit code 130/);
    strictEqual(await exists(name), false);
  });
});

onTmux("keys pressed before a question appears do not answer it", async () => {
  await onTerminal(["init", "--yes"], async ({ name, program }) => {
    await program.press("Enter", "Enter", "Enter", "Enter", "Enter");
    await program.shows(/Which databases\?/);
    await new Promise((resolve) => setTimeout(resolve, 1_000)); // an answer would be processed
    doesNotMatch(await program.visible(), /to exclude\?|Save this selection/);
    await program.press("Enter");
    await program.shows(/to exclude\?/);
    await program.press("Enter");
    await program.shows(/Save this selection/);
    await program.press("Escape");
    match(await program.shows(/exit code/), /nothing was selected[^]*exit code 130/);
    strictEqual(await exists(name), false);
  });
});

onTmux("no database selected: nothing happens", async () => {
  await onTerminal(["init", "--yes"], async ({ name, program }) => {
    await program.shows(/Which databases\?/);
    await program.type(name);
    await program.press("Tab", "Enter");
    match(await program.shows(/exit code/), /nothing was selected[^]*exit code 130/);
    strictEqual(await exists(name), false);
  });
});

onTmux("a whole schema is excluded by its heading", async () => {
  await onTerminal(["init", "--yes"], async ({ program }) => {
    await program.shows(/Which databases\?/);
    await program.press("Enter");
    await program.shows(/to exclude\?/);
    await program.type("schema public");
    await program.shows(/all of schema public \(2 tables, .* kB\)/);
    await program.press("Tab", "Enter");
    await program.shows(
      /1 of 3 tables[^]*without (?:orders, customers|customers, orders)[^]*Save this selection/,
    );
    await program.press("Escape");
    await program.shows(/exit code 130/);
  });
});

onTmux("validate --interactive checks the selection", async () => {
  await onTerminal(["validate", "--explain-rules", "--drop-existing"], async ({ program }) => {
    await program.shows(/Which databases\?/);
    await program.press("Enter");
    await program.shows(/to exclude\?/);
    await program.press("Tab", "Enter");
    await program.shows(/Save this selection/);
    await program.press("Enter");
    await program.shows(/Continue with this selection\?/);
    await program.type("y");
    const screen = await program.shows(/exit code/);
    match(screen, /left out +--interactive/);
    match(screen, /Next: [^]* init [^]*--include-databases=\S+ [^]*--exclude-tables=\S+/);
    const next = screen.slice(screen.lastIndexOf("Next: "));
    match(next, /\n {2}\(without --drop-existing: add it/);
    doesNotMatch(next, /--interactive/);
  });
});

Deno.test("--interactive without a terminal, or combined with filters, is an error", async () => {
  const env = { SOURCE_URL: source.url(), TARGET_URL: target.url() };
  const { code, stderr } = await runCli(
    ["init", "--yes", "--interactive", "--exclude-tables=a.b"],
    { env },
  );
  strictEqual(code, 2);
  match(stderr, /--interactive: cannot be combined with filters/);
  match(stderr, /--interactive: needs a terminal/);
  equal(
    await query(target.url(), "SELECT FROM pg_database WHERE datname = 'interactive_template'"),
    [],
  );
});
