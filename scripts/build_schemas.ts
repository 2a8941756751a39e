/**
 * Writes `docs/reference/schemas`: JSON Schemas of everything that the tool writes or reads as
 * JSON, from the types of the source code, and the tables of the ledger.
 * [Formats](../docs/reference/formats.md) says what may change.
 *
 * The generator's versions are pinned by `scripts/schemas/deno.lock`.
 *
 * @module
 */
import { z } from "zod";
import { createLedgerStatements, ledgerFormat } from "../lib/checkpoint/ledger_sql.ts";
import { jobSpecSchema } from "../lib/remote/spec/job_spec.ts";
import { formatText } from "./option_docs/format_text.ts";
import { errorSchema, versionSchema } from "./schemas/fixed.ts";
import { type Definitions, schemaOf } from "./schemas/schema_of.ts";

const folder = "docs/reference/schemas";

/** The file of each type. */
const files: Readonly<Record<string, { readonly type: string; readonly title: string }>> = {
  "cleanup-plan": { type: "CleanupPlan", title: "cleanup --dry-run --json" },
  "cleanup-report": { type: "CleanupReport", title: "cleanup --json" },
  "cutover-finish-report": { type: "CutoverFinishReport", title: "cutover finish --json" },
  "cutover-prepare-report": { type: "CutoverPrepareReport", title: "cutover prepare --json" },
  "cutover-status-report": { type: "CutoverStatusReport", title: "cutover --json" },
  "cutover-switch-report": {
    type: "CutoverSwitchReport",
    title: "cutover run --json and cutover rollback --json",
  },
  "event": { type: "RunEvent", title: "An event of a run" },
  "init-plan": { type: "InitPlan", title: "init --dry-run --json" },
  "init-report": { type: "InitReport", title: "init --json" },
  "job-event": { type: "JobEvent", title: "An entry in the journal of a job" },
  "state": { type: "StateDocument", title: "The state file of init" },
  "sync-report": { type: "SyncReport", title: "sync --json" },
  "validate-report": { type: "ValidationReport", title: "validate --json" },
  "verify-report": { type: "VerifyReport", title: "verify --json" },
};

/** The definitions of all exported types. */
async function readTypes(): Promise<Definitions> {
  const { success, stdout, stderr } = await new Deno.Command("deno", {
    args: [
      ...["run", "--lock=deno.lock", "--frozen", "--quiet", "--allow-all"],
      ...["npm:ts-json-schema-generator@2.4.0", "--path", "formats.ts"],
      ...["--tsconfig", "tsconfig.json", "--type", "*", "--no-type-check"],
      "--additional-properties",
    ],
    cwd: "scripts/schemas",
  }).output();
  const text = new TextDecoder();
  if (!success) throw new Error(text.decode(stderr));
  return JSON.parse(text.decode(stdout)).definitions;
}

async function write(name: string, schema: unknown): Promise<void> {
  const text = await formatText(JSON.stringify(schema), "json");
  await Deno.writeTextFile(`${folder}/${name}.schema.json`, text);
}

await Deno.mkdir(folder, { recursive: true });
const definitions = await readTypes();
for (const [name, { type, title }] of Object.entries(files)) {
  await write(name, schemaOf(type, { title, definitions }));
}
await write("job-spec", {
  title: "The body of POST /v1/jobs",
  ...z.toJSONSchema(jobSpecSchema, { io: "input", target: "draft-7" }),
});
await write("error", errorSchema);
await write("version", versionSchema);
await Deno.writeTextFile(
  `${folder}/ledger.sql`,
  `-- The ledger of an unfinished copy, format ${ledgerFormat}. Documents are JSON.\n${
    createLedgerStatements.replaceAll(/^ {2}/gm, "").trim()
  }\n`,
);
