/**
 * What the tool writes conforms to the published schemas, including samples of earlier versions.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { z } from "zod";
import { ledgerFormat, stateFormat } from "../../lib/checkpoint/internal.ts";
import { failureDocument } from "../../lib/cli/print/failure.ts";
import { versionDocument } from "../../lib/cli/print/version.ts";
import { ExitCode, ReplicatorError, UsageError } from "../../lib/core/internal.ts";
import { specVersion } from "../../lib/remote/mod.ts";
import { type Definitions, schemaOf } from "../../scripts/schemas/schema_of.ts";
import { repository } from "../support/cli.ts";

const reference = `${repository}docs/reference/`;

type Schema = Parameters<typeof z.fromJSONSchema>[0];

async function readSchema(path: string): Promise<Schema & object> {
  return JSON.parse(await Deno.readTextFile(`${reference}${path}.schema.json`));
}

/** What violates a schema; empty if nothing does. */
async function violations(document: unknown, path: string): Promise<readonly string[]> {
  const { error } = z.fromJSONSchema(await readSchema(path)).safeParse(document);
  return error?.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`) ?? [];
}

async function sample(name: string): Promise<string> {
  return await Deno.readTextFile(new URL(`samples/${name}`, import.meta.url));
}

for (
  const [name, schema] of [
    ["state.json", "schemas/state"],
    ["init-report.json", "schemas/init-report"],
    ["validate-report.json", "schemas/validate-report"],
    ["verify-report.json", "schemas/verify-report"],
    ["cleanup-report.json", "schemas/cleanup-report"],
    ["status-report.json", "status"],
  ] as const
) {
  Deno.test(`the sample ${name} conforms to its schema, and no other document does`, async () => {
    const found = await violations(JSON.parse(await sample(name)), schema);
    // an earlier version wrote it: properties may have been added since, but none changed its type
    deepStrictEqual(found.filter((each) => !each.endsWith("received undefined")), []);
    ok((await violations({ unknown: true }, schema)).length > 0);
  });
}

Deno.test("events and job specifications of samples conform to their schemas", async () => {
  for (const line of (await sample("events.jsonl")).trim().split("\n")) {
    deepStrictEqual(await violations(JSON.parse(line), "schemas/event"), [], line);
  }
  for (const { input } of JSON.parse(await sample("job-specs.json"))) {
    deepStrictEqual(await violations(input, "schemas/job-spec"), []);
  }
});

Deno.test("errors and versions conform to their schemas", async () => {
  const failures = [
    new ReplicatorError("a", { side: "source", exitCode: ExitCode.sourceUnreachable }),
    new UsageError([{ path: "--jobs", message: "is not a number" }]),
    new Error("unexpected"),
  ];
  for (const error of failures) {
    const document = JSON.parse(JSON.stringify(failureDocument(error)));
    deepStrictEqual(await violations(document, "schemas/error"), []);
  }
  deepStrictEqual(await violations(versionDocument(), "schemas/version"), []);
});

Deno.test("the page of formats links every schema, and has their versions", async () => {
  const page = await Deno.readTextFile(`${reference}formats.md`);
  for await (const { name } of Deno.readDir(`${reference}schemas`)) {
    ok(page.includes(`(schemas/${name})`), name);
  }
  ok(page.includes(`\`format\`: ${stateFormat} `));
  ok(page.includes(`\`run.format\`: ${ledgerFormat} `));
  ok(page.includes(`\`schema_version\`: ${specVersion} `));
  const ledger = await Deno.readTextFile(`${reference}schemas/ledger.sql`);
  ok(ledger.includes(`format ${ledgerFormat}.`), "run deno task schemas");
});

Deno.test("a schema has the definitions that it needs, and descriptions without links", () => {
  const definitions: Definitions = {
    A: { properties: { b: { $ref: "#/definitions/B" } }, description: "See {@linkcode  B } ." },
    B: { items: { $ref: "#/definitions/C" } },
    C: { type: "string" },
    D: {},
  };
  const schema = schemaOf("A", { title: "T", definitions });
  strictEqual(schema["description"], "See B.");
  deepStrictEqual(Object.keys(schema["definitions"] as object), ["B", "C"]);
});
