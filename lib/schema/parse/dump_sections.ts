/**
 * Divides a dump of both sections at the place where `pg_dump --section` would. Pure.
 *
 * One pg_dump for both sections reads the catalog once: half the work for the source, and half the
 * memory of the embedded one.
 *
 * Source: pg_dump's `RestoreArchive`, which writes all entries in the order of their sections, then
 * the privileges of both sections, then what may depend on privileges.
 *
 * @module
 */
import type { DumpStatement } from "./dump_reader.ts";

/** The statements of a dump before and after the data. */
export interface DumpSections {
  readonly preData: readonly DumpStatement[];
  readonly postData: readonly DumpStatement[];
}

/** Types of entries that are always post-data. */
const postDataTypes: ReadonlySet<string> = new Set([
  "CHECK CONSTRAINT",
  "CONSTRAINT",
  "EVENT TRIGGER",
  "FK CONSTRAINT",
  "INDEX",
  "INDEX ATTACH",
  "MATERIALIZED VIEW DATA",
  "POLICY",
  "PUBLICATION",
  "PUBLICATION TABLE",
  "PUBLICATION TABLES IN SCHEMA",
  "ROW SECURITY",
  "RULE",
  "STATISTICS",
  "SUBSCRIPTION",
  "SUBSCRIPTION TABLE",
  "TRIGGER",
]);

/** Divides the statements. Each section begins with the dump's settings. */
export function splitSections(statements: readonly DumpStatement[]): DumpSections {
  const sections = new Sections();
  for (const statement of statements) sections.add(statement);
  return sections.done();
}

class Sections {
  readonly #pre: DumpStatement[] = [];
  readonly #post: DumpStatement[] = [];
  /** Settings before the first entry. */
  readonly #common: DumpStatement[] = [];
  /** Settings that belong to the next entry. */
  #waiting: DumpStatement[] = [];
  /** The setting of either section that is in effect, by its name. */
  readonly #inEffect = new Map<string, DumpStatement>();
  /** Whether an entry that is always post-data has been seen: all others follow it. */
  #isPost = false;
  #arePrivilegesPost = false;
  /** Postponed views and functions: they depend on a key, and are post-data too. */
  readonly #postponed: DumpStatement[] = [];

  add(statement: DumpStatement): void {
    const { type } = statement;
    if (type === undefined) {
      const isCommon = this.#pre.length + this.#post.length === 0 &&
        settingName(statement) === undefined;
      (isCommon ? this.#common : this.#waiting).push(statement);
      return;
    }
    if (type === "ACL" || type === "DEFAULT ACL") {
      this.#arePrivilegesPost ||= type === "DEFAULT ACL" || this.#isOfPostponed(statement);
      this.#put(statement, this.#arePrivilegesPost);
      return;
    }
    this.#isPost ||= postDataTypes.has(type) || isAboutEventTrigger(statement);
    if (this.#isPost && !postDataTypes.has(type)) this.#postponed.push(statement);
    this.#put(statement, this.#isPost);
  }

  done(): DumpSections {
    return {
      preData: [...this.#common, ...this.#pre],
      postData: [...this.#common, ...this.#post, ...this.#waiting],
    };
  }

  #put(statement: DumpStatement, isPost: boolean): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    if (isPost) {
      const tablespace = this.#post.length === 0 ? ["default_tablespace"] : [];
      const method = createsRelation(statement) ? ["default_table_access_method"] : [];
      // pg_dump repeats a setting only where it changes
      this.#post.push(...this.#inherited([...tablespace, ...method], waiting));
      this.#post.push(...waiting, statement);
    } else this.#pre.push(...waiting, statement);
    for (const setting of waiting) {
      const name = settingName(setting);
      if (name !== undefined) this.#inEffect.set(name, setting);
    }
  }

  /** The settings that the entries of pre-data have left in effect. */
  #inherited(
    names: readonly string[],
    waiting: readonly DumpStatement[],
  ): readonly DumpStatement[] {
    return names.flatMap((name) => {
      const setting = this.#inEffect.get(name);
      const isSet = [...this.#post, ...waiting].some((each) => settingName(each) === name);
      return setting === undefined || isSet ? [] : [setting];
    });
  }

  /** The entry of a privilege is named `TABLE name`, `COLUMN name.column` or `FUNCTION name(…)`. */
  #isOfPostponed({ name = "", schema }: DumpStatement): boolean {
    const [, object = ""] = /^[A-Z]+ (.*)$/.exec(name) ?? [];
    return this.#postponed.some((each) =>
      each.schema === schema && each.name !== undefined &&
      (object === each.name || (name.startsWith("COLUMN ") && object.startsWith(`${each.name}.`)))
    );
  }
}

/** The name of a setting that pg_dump changes between entries. */
function settingName({ sql }: DumpStatement): string | undefined {
  return /^SET (default_tablespace|default_table_access_method) = /.exec(sql)?.[1];
}

function createsRelation({ type }: DumpStatement): boolean {
  return type === "TABLE" || type === "MATERIALIZED VIEW";
}

function isAboutEventTrigger({ type, name }: DumpStatement): boolean {
  return (type === "COMMENT" || type === "SECURITY LABEL") &&
    (name?.startsWith("EVENT TRIGGER ") ?? false);
}
