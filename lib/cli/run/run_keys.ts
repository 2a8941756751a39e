import { ExitCode, ReplicatorError } from "../../core/internal.ts";
import { type Session, SessionPool } from "../../postgres/internal.ts";
import {
  type CreatedKey,
  createKey,
  endKey,
  keyView,
  type NewKey,
  newKeySchema,
  rotateKey,
} from "../../remote/api/mod.ts";
import {
  type ApiKeyRow,
  findKey,
  findKeyByPrefix,
  listKeys,
  migrate,
} from "../../remote/store/mod.ts";
import { LocalKeyProvider } from "../../remote/secrets/mod.ts";
import { printable, renderTable } from "../../ui/mod.ts";
import type { CommandContext, CommandRunner } from "../context.ts";
import { keyActions } from "../grammar/commands.ts";
import type { OptionReader } from "../options/option_reader.ts";
import { printJson, printResult, tableOptions } from "../print/print.ts";
import { printNext } from "../print/print_next.ts";
import { readServiceDatabase, readWord } from "../options/service_options.ts";

/** `keys`: works on the service's database itself, and so needs no key. */
export const runKeys: CommandRunner = async (reader, context) => {
  const { environment } = context.resolve;
  if (reader.words[0] === "rotate-encryption") return await rotateEncryption(reader, context);
  const database = await readServiceDatabase(reader, environment);
  const [word, which] = reader.words;
  const action = readWord(reader, { word, words: keyActions, path: "keys" });
  const needsKey = action === "rotate" || action === "revoke";
  if (needsKey && which === undefined) {
    reader.problem(`keys ${action}`, "needs the id or prefix of a key; keys list shows them");
  }
  const days = reader.integer("expiresIn");
  const wanted = action === "create" ? readNewKey(reader, days) : undefined;
  const overlapMs = reader.duration("overlap");
  reader.done();
  if (database === undefined || action === undefined || action === "rotate-encryption") {
    throw new Error("reader.done() was not called");
  }
  const actor = { actor: `keys command of ${environment["USER"] ?? "an operator"}` };
  await using pool = new SessionPool(database, { size: 1, values: "native" });
  await migrate(pool);
  switch (action) {
    case "list":
      return await pool.use(async (session) => list(await listKeys(session), context));
    case "create":
      return await pool.transaction(async (session) =>
        printMade(await createKey(session, wanted!, actor), context)
      );
    case "rotate":
      return await pool.transaction(async (session) => {
        const { id } = await find(session, which!);
        const made = await rotateKey(session, {
          id,
          overlapSeconds: Math.round(overlapMs / 1000),
          expiresInDays: days,
        }, actor);
        if (made === undefined) throw gone(`${which} is revoked or already rotated`);
        return printMade(made, context);
      });
    case "revoke":
      return await pool.transaction(async (session) => {
        const { id } = await find(session, which!);
        if (!await endKey(session, id, actor)) throw gone(`${which} is already revoked`);
        if (context.output.json) printJson(context.terminal, { revoked: id });
        else printResult(context.terminal, [`${which} is revoked`]);
        printNext("keys list", context);
        return ExitCode.success;
      });
  }
};

/** Adds a key to the file that encrypts secrets; needs no database. */
async function rotateEncryption(
  reader: OptionReader,
  { terminal, output }: CommandContext,
): Promise<ExitCode> {
  const path = reader.text("keyFile");
  if (path === undefined) reader.problem("--key-file", "is missing; give the file to add a key to");
  reader.done();
  const id = await LocalKeyProvider.rotate(path ?? "");
  if (output.json) printJson(terminal, { added: id });
  else {
    printResult(terminal, [
      `key ${id} was added; copy the file to all instances and workers and restart them`,
    ]);
  }
  return ExitCode.success;
}

function gone(message: string): ReplicatorError {
  return new ReplicatorError(message, {
    exitCode: ExitCode.usage,
    remedy: "keys list shows all keys",
  });
}

async function find(session: Session, which: string): Promise<ApiKeyRow> {
  const prefix = /^(?:srk_)?([0-9a-f]{12})$/.exec(which)?.[1];
  const isId = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(which);
  const row = prefix !== undefined
    ? await findKeyByPrefix(session, prefix)
    : isId
    ? await findKey(session, which)
    : undefined;
  if (row === undefined) throw gone(`key "${which}" does not exist`);
  return row;
}

function readNewKey(reader: OptionReader, days: number | undefined): NewKey | undefined {
  const limits = {
    requests_per_second: reader.integer("requestsPerSecond"),
    most_running: reader.integer("maxRunning"),
    most_queued: reader.integer("maxQueued"),
    jobs_per_day: reader.integer("jobsPerDay"),
  };
  const owner = reader.text("owner");
  if (owner === undefined) {
    reader.problem("--owner", "is missing; give the user the key belongs to");
  }
  const checked = newKeySchema.safeParse({
    owner: owner ?? "?",
    name: reader.text("name") ?? "key",
    scopes: reader.text("scopes").split(",").map((each) => each.trim()),
    ...(days === undefined ? {} : { expires_in_days: days }),
    limits: Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined)),
  });
  for (const { path, message } of checked.error?.issues ?? []) {
    reader.problem(`--${String(path[0])}`, message);
  }
  return checked.data;
}

function printMade({ row, key }: CreatedKey, context: CommandContext): ExitCode {
  const { terminal, output } = context;
  if (output.json) printJson(terminal, { ...keyView(row), key });
  else {
    terminal.stderr.write(
      `Key of ${printable(row.owner)} (${row.scopes.join(", ")}), shown only once:\n`,
    );
    printResult(terminal, [key]);
  }
  printNext("keys list", context);
  return ExitCode.success;
}

function list(rows: readonly ApiKeyRow[], context: CommandContext): ExitCode {
  const { terminal, output } = context;
  const keys = rows.map(keyView);
  if (output.json) {
    printJson(terminal, keys);
    return ExitCode.success;
  }
  if (keys.length === 0) {
    printResult(terminal, ["No keys."]);
    printNext(nextOfKeys([], context), context);
    return ExitCode.success;
  }
  const day = (time: string | null) => time?.slice(0, 16).replace("T", " ") ?? "";
  printResult(
    terminal,
    renderTable(
      [
        { title: "Prefix" },
        { title: "Owner", narrow: "cut" },
        { title: "Name", narrow: "cut" },
        { title: "Scopes", narrow: "wrap" },
        { title: "Last used" },
        { title: "Expires" },
      ],
      keys.map((key) => [
        key.prefix,
        printable(key.owner),
        printable(key.name),
        key.scopes.join(", "),
        day(key.last_used_at),
        key.revoked_at === null ? day(key.expires_at) : "revoked",
      ]),
      tableOptions(terminal.stdout),
    ),
  );
  printNext(nextOfKeys(keys, context), context);
  return ExitCode.success;
}

/** `keys rotate` of the key that expires first, if that is soon; otherwise another key. */
function nextOfKeys(
  keys: readonly ReturnType<typeof keyView>[],
  { resolve: { environment, now } }: CommandContext,
): readonly string[] {
  const soon = now.getTime() + soonDays * 86_400_000;
  const [expiring] = keys
    .filter(({ revoked_at, replaced_by, expires_at }) =>
      revoked_at === null && replaced_by === null && expires_at !== null
    )
    .map(({ prefix, expires_at }) => ({ prefix, at: Date.parse(expires_at ?? "") }))
    .filter(({ at }) => at > now.getTime() && at < soon)
    .sort((one, other) => one.at - other.at);
  if (expiring !== undefined) return ["keys", "rotate", expiring.prefix];
  const owner = environment["USER"];
  return owner === undefined || owner === ""
    ? ["keys", "create", "--help"]
    : ["keys", "create", "--owner", owner];
}

/** A key that expires within this time is to be rotated next. */
const soonDays = 30;
