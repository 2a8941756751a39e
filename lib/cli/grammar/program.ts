/** How the executable is called, in help and messages. */
export const programName = "postgres-seren-replicator";

/** Where defects are reported. */
export const reportPlace = "the project's issue tracker";
