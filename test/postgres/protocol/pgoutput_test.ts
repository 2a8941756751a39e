import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { ChangeDecoder, ProtocolError } from "../../../lib/postgres/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { withDatabase } from "../../support/databases.ts";
import { exec, query } from "../../support/sql.ts";

const server = await sharedCluster(15);

/** Messages of one transaction of each kind of change, as the server sends them. */
async function readMessages(): Promise<readonly Uint8Array[]> {
  return await withDatabase(server, undefined, async ({ url, name }) => {
    await exec(
      url,
      `CREATE TABLE a (id int PRIMARY KEY, t text, b text); ALTER TABLE a ALTER b SET STORAGE EXTERNAL;
       CREATE TABLE f (v text); ALTER TABLE f REPLICA IDENTITY FULL;
       CREATE PUBLICATION p FOR ALL TABLES`,
    );
    await query(url, "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [name]);
    await exec(
      url,
      `BEGIN; INSERT INTO a VALUES (1, NULL, repeat('x', 5000)); UPDATE a SET t = 'y'; UPDATE a SET id = 2;
       DELETE FROM a; INSERT INTO f VALUES ('z'); UPDATE f SET v = NULL; TRUNCATE a, f RESTART IDENTITY; COMMIT`,
    );
    const rows = await query<{ message: string }>(
      url,
      `SELECT encode(data, 'hex') AS message
         FROM pg_logical_slot_get_binary_changes($1, NULL, NULL, 'proto_version', '1', 'publication_names', 'p')`,
      [name],
    );
    await query(url, "SELECT pg_drop_replication_slot($1)", [name]);
    return rows.map(({ message }) => Uint8Array.fromHex(message));
  });
}

Deno.test("every kind of message is decoded, without the values that were not sent", async () => {
  const decoder = new ChangeDecoder();
  const described = new Set<string>();
  const messages = (await readMessages()).map((each) => decoder.decode(each)).filter((message) => {
    if (message.kind !== "relation") return true;
    const isFirst = !described.has(message.relation.name);
    described.add(message.relation.name); // some versions describe a table again
    return isFirst;
  });
  const text = (row: readonly (Uint8Array | null | undefined)[] | undefined) =>
    row?.map((value) => value && new TextDecoder().decode(value).slice(0, 3));
  deepStrictEqual(
    messages.map((message) => {
      switch (message.kind) {
        case "insert":
          return ["insert", text(message.row)];
        case "update":
          return ["update", text(message.before), text(message.row)];
        case "delete":
          return ["delete", text(message.before)];
        case "truncate":
          return ["truncate", message.relations.map(({ name }) => name), message.restartsIdentity];
        case "relation":
          return ["relation", message.relation.name, message.relation.isIdentityFull];
        default:
          return [message.kind];
      }
    }),
    [
      ["begin"],
      ["relation", "a", false],
      ["insert", ["1", null, "xxx"]],
      ["update", undefined, ["1", "y", undefined]],
      ["update", ["1", null, null], ["2", "y", undefined]],
      ["delete", ["2", null, null]],
      ["relation", "f", true],
      ["insert", ["z"]],
      ["update", ["z"], [null]],
      ["truncate", ["a", "f"], true],
      ["commit"],
    ],
  );
});

Deno.test("a message that is cut, extended or altered is refused or decoded, and never read past its end", async () => {
  const messages = await readMessages();
  const known = () => {
    const decoder = new ChangeDecoder();
    for (const each of messages) if (each[0] === 0x52) decoder.decode(each);
    return decoder;
  };
  let refused = 0;
  const attempt = (bytes: Uint8Array) => {
    try {
      known().decode(bytes);
    } catch (error) {
      ok(error instanceof ProtocolError, String(error));
      refused++;
    }
  };
  for (const message of messages) {
    for (let length = 0; length < Math.min(message.length, 100); length++) {
      throws(() => known().decode(message.slice(0, length)), ProtocolError);
    }
    throws(() => known().decode(new Uint8Array([...message, 0])), ProtocolError);
    for (let at = 0; at < Math.min(message.length, 80); at++) {
      for (const value of [0, 1, 0x74, 0x7f, 0xff]) {
        const altered = message.slice();
        altered[at] = value;
        attempt(altered);
      }
    }
  }
  ok(refused > 500, String(refused));
});

Deno.test("a change of a table that was not described is refused", () => {
  throws(
    () => new ChangeDecoder().decode(new Uint8Array([0x49, 0, 0, 0, 1, 0x4e, 0, 0])),
    /had not described/,
  );
  // streaming and two-phase messages are never requested
  for (const letter of "SEcAbPKrpM") {
    throws(
      () => new ChangeDecoder().decode(new TextEncoder().encode(`${letter}xxxxxxxxxxxxxxxx`)),
      ProtocolError,
    );
  }
  strictEqual(new ChangeDecoder().decode(new TextEncoder().encode("Yxxxx")).kind, "other");
});
