/**
 * The state document that points to a run: validated when read. Pure.
 *
 * @module
 */
import { ExitCode, ReplicatorError } from "../core/internal.ts";
import type { RunScope } from "./model.ts";
import type { RunEnds } from "./operation.ts";

/** The only format of the document that this version writes and resumes. */
export const stateFormat = 1;

/** One database of a run. */
export interface DatabaseState {
  /** Its name on the source. */
  readonly source: string;
  /** Its name on the target. */
  readonly target: string;
  /** Its state. */
  readonly state: "waiting" | "begun" | "complete";
}

/**
 * What a run stores where it was started. The ledgers in the target record what is done; this
 * document records where they are.
 */
export interface StateDocument {
  /** The format. */
  readonly format: typeof stateFormat;
  /** Version of the tool that wrote it. */
  readonly tool: string;
  /** See `operationOf`. */
  readonly operation: string;
  /** The two servers. */
  readonly ends: RunEnds;
  /** A UUID. */
  readonly run: string;
  /** ISO 8601. */
  readonly startedAt: string;
  /** What is in scope. */
  readonly scope: RunScope;
  /** Whether non-empty target databases are dropped. */
  readonly dropExisting: boolean;
  /** The databases. */
  readonly databases: readonly DatabaseState[];
  /** Temporary memberships granted to the tool's role for this run. */
  readonly memberships: readonly { readonly role: string; readonly member: string }[];
  /** Whether everything is done except removing the ledgers. */
  readonly finished: boolean;
}

/** The document as text. */
export function writeStateDocument(document: StateDocument): string {
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

/** The expected operation, and the origin of the text. */
export interface ReadStateOptions {
  /** Which operation. */
  readonly operation: string;
  /** The two servers. */
  readonly ends: RunEnds;
  /** For messages. */
  readonly place: string;
}

/**
 * Reads a document.
 *
 * @throws ReplicatorError (usage) when it is damaged, or of another format version or other servers
 */
export function readStateDocument(
  text: string,
  { operation, ends, place }: ReadStateOptions,
): StateDocument {
  const refuse = (message: string, remedy: string, cause?: unknown) =>
    new ReplicatorError(message, { object: place, remedy, exitCode: ExitCode.usage, cause });
  const startOver =
    "remove the file and run the same command again: it resumes from the record in the target";
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw refuse(
      text.trim() === ""
        ? "the state file is empty"
        : "the state file is damaged: it is not valid JSON",
      startOver,
      error,
    );
  }
  if (!isRecord(value) || typeof value["format"] !== "number") {
    throw refuse("the state file is damaged: it has no format number", startOver);
  }
  const { format, tool } = value;
  const writer = typeof tool === "string" ? ` (written by version ${tool})` : "";
  if (format > stateFormat) {
    throw refuse(
      `the state file is from a newer version of this tool: format ${format}${writer}; this version supports ${stateFormat}`,
      "resume with the newer version, or start over with --no-resume",
    );
  }
  if (format < stateFormat) {
    throw refuse(
      `the state file is from an older version of this tool: format ${format}${writer}; this version requires ${stateFormat}`,
      "finish that run with the older version, or start over with --no-resume",
    );
  }
  const problems = problemsOf(value);
  if (problems.length > 0) {
    throw refuse(`the state file is damaged: ${problems.join(", ")}`, startOver);
  }
  const document = value as unknown as StateDocument;
  const side = document.ends.source !== ends.source
    ? document.ends.target !== ends.target ? "other servers" : "another source"
    : document.ends.target !== ends.target
    ? "another target"
    : document.operation === operation
    ? undefined
    : "another operation";
  if (side !== undefined) {
    throw refuse(
      `the state file belongs to ${side}`,
      "it was renamed or copied from elsewhere: remove it, or move it back",
    );
  }
  return document;
}

const checks: Readonly<Record<string, (value: unknown) => boolean>> = {
  tool: isText,
  operation: isText,
  ends: (value) => isRecord(value) && isText(value["source"]) && isText(value["target"]),
  run: isText,
  startedAt: isText,
  scope: (value) =>
    isRecord(value) && isText(value["fingerprint"]) && isText(value["now"]) &&
    typeof value["sync"] === "boolean" && isRecord(value["databases"]) &&
    Object.values(value["databases"]).every(isText),
  dropExisting: (value) => typeof value === "boolean",
  databases: (value) =>
    Array.isArray(value) &&
    value.every((each) =>
      isRecord(each) && isText(each["source"]) && isText(each["target"]) &&
      ["waiting", "begun", "complete"].includes(String(each["state"]))
    ),
  memberships: (value) =>
    Array.isArray(value) &&
    value.every((each) => isRecord(each) && isText(each["role"]) && isText(each["member"])),
  finished: (value) => typeof value === "boolean",
};

function problemsOf(value: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.entries(checks).flatMap(([key, isValid]) =>
    isValid(value[key]) ? [] : [key in value ? `"${key}" is invalid` : `"${key}" is missing`]
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}
