/** A major version that an entry can ask for. */
export type CorpusMajor = 12 | 13 | 14 | 15 | 16 | 17 | 18;

/**
 * One piece of a database: all objects of one subject. All entries together fit into one database.
 */
export interface CorpusEntry {
  readonly name: string;
  /** The oldest version that knows all of its syntax. */
  readonly minMajor: CorpusMajor;
  /** Extensions that must be available. Default: none. */
  readonly extensions?: readonly string[];
  /** Roles and their settings; to be run before, as a superuser. Does no harm when run again. */
  readonly globals?: string;
  /** One script, to be run as a superuser. */
  readonly sql: string;
}

/** A statement that makes a role unless it exists, and gives it these options. */
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

/** A string literal that means the same whatever `standard_conforming_strings` says. */
export function literal(text: string): string {
  const escaped = text.replaceAll("\\", "\\\\").replaceAll("'", "''");
  return text.includes("\\") ? `E'${escaped}'` : `'${escaped}'`;
}
