/** How the executable is called, in help and messages. */
export const programName = "postgres-seren-replicator";

/** The version of the tool; a test compares it with `deno.json`. */
export const version = "0.1.0";

/** Where defects are reported. */
export const reportPlace = "the project's issue tracker";
