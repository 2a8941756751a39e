const draft = "http://json-schema.org/draft-07/schema#";
const text = { type: "string" };
const textOrNull = { type: ["string", "null"] };

/** The document that a failed command prints with `--json`. */
export const errorSchema: unknown = {
  $schema: draft,
  title: "A failed command with --json",
  type: "object",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["message", "side", "object", "details", "remedy", "exitCode"],
      properties: {
        message: text,
        side: { enum: ["source", "target", null] },
        object: textOrNull,
        details: { type: "array", items: text },
        remedy: textOrNull,
        exitCode: { type: "integer" },
        problems: {
          description: "With exit code 2: every problem of the input.",
          type: "array",
          items: {
            type: "object",
            required: ["path", "message"],
            properties: { path: text, message: text },
          },
        },
      },
    },
  },
};

/** The document of `--version --json`. */
export const versionSchema: unknown = {
  $schema: draft,
  title: "--version --json",
  type: "object",
  required: ["program", "version", "deno", "platform", "executable", "formats"],
  properties: {
    program: { const: "postgres-seren-replicator" },
    version: text,
    deno: text,
    platform: text,
    executable: { type: "boolean" },
    formats: {
      description: "The formats that this version writes.",
      type: "object",
      required: ["state", "ledger", "job", "status"],
      properties: {
        state: { type: "integer" },
        ledger: { type: "integer" },
        job: text,
        status: { type: "integer" },
      },
    },
  },
};
