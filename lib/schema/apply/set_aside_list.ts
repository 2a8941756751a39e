/**
 * The refused statements of one database, and their report.
 *
 * @module
 */
import { redact } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { type Adaptation, excerpt } from "./adaptation.ts";
import type { ApplyOptions, SetAsideSink } from "./apply_options.ts";
import { applyStatements } from "./apply_schema.ts";
import { completedView, describeStatement, SchemaError } from "./schema_error.ts";
import type { DumpStatement } from "../parse/dump_reader.ts";
import { retryInRounds } from "./retry_rounds.ts";
import {
  CauseFinder,
  concernsOneObject,
  holdsRows,
  isAttribute,
  reasonOf,
  remedyOf,
  type SetAsideObject,
  type SetAsideStatement,
} from "./set_aside.ts";

/**
 * The statements refused so far. Sessions append ({@linkcode add}); {@linkcode retry} removes those
 * that succeed later. Nothing is durable until the database is complete: before that another
 * attempt runs everything that is not done.
 */
export class SetAsideList implements SetAsideSink {
  #items: readonly SetAsideStatement[] = [];

  get items(): readonly SetAsideStatement[] {
    return this.#items;
  }

  readonly add = (item: SetAsideStatement): void => {
    this.#remove(item.statement);
    this.#items = [...this.#items, item];
  };

  /**
   * Sets aside a statement that was refused elsewhere.
   *
   * @throws SchemaError the given error, when it does not concern one statement only
   */
  put(error: SchemaError): void {
    const { statement, refusal, remedy } = error;
    if (statement.type === undefined || !concernsOneObject(refusal)) throw error;
    this.add({ statement, error: refusal, remedy, context: [] });
  }

  /** Whether any statement of the object was refused. */
  has(statement: DumpStatement): boolean {
    const object = describeStatement(statement);
    return this.#items.some((item) => describeStatement(item.statement) === object);
  }

  /** Removes all statements of the object, which is created in another way. */
  forget(statement: DumpStatement): void {
    const object = describeStatement(statement);
    this.#items = this.#items.filter((item) => describeStatement(item.statement) !== object);
  }

  /**
   * Retries all statements in rounds, except foreign keys, which also need validation.
   *
   * @returns what was done differently on the target
   */
  async retry(
    session: Session,
    options: Pick<ApplyOptions, "incomplete" | "record" | "sourceMajor">,
  ): Promise<readonly Adaptation[]> {
    const adaptations: Adaptation[] = [];
    const items = this.#items.filter(({ statement }) => statement.type !== "FK CONSTRAINT");
    await retryInRounds(items, async (item) => {
      this.#remove(item.statement);
      adaptations.push(
        ...await applyStatements(session, inContext(item), {
          ...options,
          batchSize: 1,
          setAside: this,
        }),
      );
      return !this.#items.some(({ statement }) => statement === item.statement);
    });
    return adaptations;
  }

  /** @throws SchemaError when a table is missing, whose rows therefore cannot be copied */
  refuseMissingTables(): void {
    const tables = this.#items.filter(({ statement }) => holdsRows(statement));
    const [first] = tables;
    if (first === undefined) return;
    const { statement, error, remedy } = new CauseFinder(this.#items).rootOf(first) ?? first;
    const others = tables.map((item) => describeStatement(item.statement))
      .filter((object) => object !== describeStatement(statement));
    throw new SchemaError(error, statement, remedy, {
      needed: others.length === 0
        ? undefined
        : `rows cannot be copied without it: ${others.slice(0, 5).join(", ")}${
          others.length > 5 ? ", …" : ""
        }`,
    });
  }

  /**
   * The remaining objects: first causes, then what depends on them, each in the order of refusal.
   */
  objects(): readonly SetAsideObject[] {
    const causes = new CauseFinder(this.#items);
    const objects = new Map<string, SetAsideObject>();
    for (const item of this.#items) {
      const object = describeStatement(item.statement);
      const described = this.#describe(item, causes);
      const known = objects.get(object);
      if (known === undefined || known.attribute && !described.attribute) {
        objects.set(object, described);
      }
    }
    const all = [...objects.values()];
    return [
      ...all.filter(({ cause }) => cause === undefined),
      ...all.filter(({ cause }) => cause !== undefined),
    ];
  }

  #remove({ sql, type }: DumpStatement): void {
    this.#items = this.#items.filter(({ statement }) =>
      statement.sql !== sql || statement.type !== type
    );
  }

  #describe(item: SetAsideStatement, causes: CauseFinder): SetAsideObject {
    const { statement, error } = item;
    const object = describeStatement(statement);
    const root = causes.rootOf(item);
    const described = root === undefined ? undefined : describeStatement(root.statement);
    const cause = described === object ? undefined : described;
    const common = {
      object,
      statement: excerpt(redact(statement.sql), 500),
      sqlState: error.sqlState,
    };
    const placeholder = completedView(statement) === undefined
      ? ""
      : "until it is created, the view is a placeholder that returns NULLs; ";
    if (root === undefined || cause === undefined) {
      return { ...common, reason: placeholder + reasonOf(error), remedy: remedyOf(item) };
    }
    return {
      ...common,
      reason: `${placeholder}it needs ${cause}, which does not exist: ${reasonOf(root.error)}`,
      remedy: `it is created once ${cause} is: ${remedyOf(root)}`,
      cause,
      ...(isAttribute(statement) || dependentTypes.has(statement.type ?? "")
        ? { attribute: true }
        : {}),
    };
  }
}

/** Entries that belong to the one object that they name. */
const dependentTypes: ReadonlySet<string> = new Set([
  "MATERIALIZED VIEW DATA",
  "SEQUENCE OWNED BY",
]);

function inContext({ statement, context }: SetAsideStatement): readonly DumpStatement[] {
  const settings = context.map((sql): DumpStatement => ({ sql }));
  const authorized = context.some((sql) => sql.startsWith("SET SESSION AUTHORIZATION "));
  return [
    ...settings,
    statement,
    ...(authorized ? [{ sql: "RESET SESSION AUTHORIZATION;" }] : []),
  ];
}
