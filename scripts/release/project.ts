/** Where the project is published, unless GitHub Actions names another repository. */
export const defaultRepositoryUrl = "https://github.com/seren/postgres-seren-replicator";

/** The name of the program. */
export const programName = "postgres-seren-replicator";
