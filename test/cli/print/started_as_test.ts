import { deepStrictEqual } from "node:assert/strict";
import type { Start } from "../../../lib/cli/options/environment.ts";
import { remedyCommands } from "../../../lib/cli/print/remedy_commands.ts";
import { startedAs, startWords } from "../../../lib/cli/print/started_as.ts";

const plain: Start = {
  mainModule: "file:///home/me/replicator/cli.ts",
  executable: undefined,
  folders: ["/usr/local/bin", "/usr/bin"],
  isTask: false,
  isNpx: false,
  granted: ["net", "read", "env"],
  isAllGranted: false,
};
const words = (start: Partial<Start>) => startWords({ ...plain, ...start }).join(" ");

Deno.test("a printed command has the form in which the program was started", () => {
  deepStrictEqual(
    [
      words({ isTask: true }),
      words({ isTask: true, isNpx: true }),
      words({ mainModule: "https://example.com/cli.js" }),
      words({ mainModule: "https://example.com/cli.js", isAllGranted: true, isNpx: true }),
      words({ isAllGranted: true }),
      words({ executable: "/usr/local/bin/postgres-seren-replicator", isTask: true }),
      words({ executable: "/home/me/dist/psr" }),
    ],
    [
      "deno task start",
      "npx -y deno task start",
      "deno run --allow-net --allow-read --allow-env https://example.com/cli.js",
      "npx -y deno run -A https://example.com/cli.js",
      "deno run -A /home/me/replicator/cli.ts",
      "postgres-seren-replicator",
      "/home/me/dist/psr",
    ],
  );
});

Deno.test("the commands of a remedy are completed, and those that leave a value open are not", () => {
  const args = ["sync", "--source", "postgresql://me@old/app", "--include-databases=app"];
  const commands = (remedy: string) =>
    remedyCommands(remedy, args)
      .map((each) => each.slice(startedAs().join(" ").length + 1));
  const same = "--source postgresql://me@old/app --include-databases=app";
  deepStrictEqual(
    commands(
      "remove the cause on the target, then run sync --retry; or skip the whole transaction with sync --skip-lsn 0/195001F8",
    ),
    [`sync --retry ${same}`, `sync --skip-lsn 0/195001F8 ${same}`],
  );
  deepStrictEqual(
    commands("copy them again with sync --resnapshot public.orders, or sync --add-tables '*'"),
    [`sync --resnapshot public.orders ${same}`, `sync --add-tables '*' ${same}`],
  );
  deepStrictEqual(commands('sync --resnapshot shop."Order items" copies it again'), [
    `sync --resnapshot 'shop."Order items"' ${same}`,
  ]);
  deepStrictEqual(commands("see cutover status for the next command"), [`cutover status ${same}`]);
  deepStrictEqual(commands("copy its tables again with sync --resnapshot TABLES (or '*')"), []);
  deepStrictEqual(commands("give more time with cutover run --max-pause DURATION"), []);
  deepStrictEqual(commands("sync creates what applies its changes; cleanup removes it"), []);
});
