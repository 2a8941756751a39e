/** The major versions that an entry may require. */
export type CorpusMajor = 12 | 13 | 14 | 15 | 16 | 17 | 18;

/**
 * Objects of one topic. All entries together fit into one database.
 */
export interface CorpusEntry {
  readonly name: string;
  /** The oldest version that supports all of its syntax. */
  readonly minMajor: CorpusMajor;
  /** Extensions that must be available. Default: none. */
  readonly extensions?: readonly string[];
  /** A script for roles and their settings, run first as a superuser; may be repeated. */
  readonly globals?: string;
  /** A script to run as a superuser. */
  readonly sql: string;
}

/** A statement that creates a role unless it exists, and sets these options. */
export function role(name: string, options = ""): string {
  const identifier = quote(name);
  return `
DO $role$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = ${literal(name)}) THEN
    CREATE ROLE ${identifier};
  END IF;
END
$role$;
${options ? `ALTER ROLE ${identifier} ${options};` : ""}`;
}

/** An identifier in double quotes. */
export function quote(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}

/** A string literal that is independent of `standard_conforming_strings`. */
export function literal(text: string): string {
  const escaped = text.replaceAll("\\", "\\\\").replaceAll("'", "''");
  return text.includes("\\") ? `E'${escaped}'` : `'${escaped}'`;
}
