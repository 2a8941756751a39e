/**
 * The statements of one database that its target refused, and what a report says of them.
 *
 * @module
 */
import { redact } from "../core/internal.ts";
import type { Session } from "../postgres/internal.ts";
import { type Adaptation, excerpt } from "./adaptation.ts";
import {
  type ApplyOptions,
  applyStatements,
  completedView,
  describeStatement,
  SchemaError,
  type SetAsideSink,
} from "./apply_schema.ts";
import type { DumpStatement } from "./dump_reader.ts";
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
 * What was refused so far. Sessions add to it while they work ({@linkcode add}); {@linkcode retry}
 * takes away what has come about since. Nothing of it is durable before the database is complete:
 * until then another attempt tries everything that is not done.
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
   * Sets aside what was refused elsewhere. @throws the error when it says nothing of the one
   * statement
   */
  put(error: SchemaError): void {
    const { statement, refusal, remedy } = error;
    if (statement.type === undefined || !concernsOneObject(refusal)) throw error;
    this.add({ statement, error: refusal, remedy, context: [] });
  }

  /** Whether a part of the statement's object was refused. */
  has(statement: DumpStatement): boolean {
    const object = describeStatement(statement);
    return this.#items.some((item) => describeStatement(item.statement) === object);
  }

  /** Forgets everything of the statement's object: it is tried in another way. */
  forget(statement: DumpStatement): void {
    const object = describeStatement(statement);
    this.#items = this.#items.filter((item) => describeStatement(item.statement) !== object);
  }

  /**
   * Tries again, in rounds, all but foreign keys, which are also to be validated. @returns what the
   * target got differently
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

  /** @throws SchemaError when a table is missing, so that its rows cannot be copied */
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
        : `without it rows cannot be copied: ${others.slice(0, 5).join(", ")}${
          others.length > 5 ? ", …" : ""
        }`,
    });
  }

  /**
   * What is left, object by object: first causes, then what hangs on them, each in the order in
   * which it was refused.
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
    // causes first
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
      : "until it is created the view is a placeholder that gives NULLs; ";
    if (root === undefined || cause === undefined) {
      return { ...common, reason: placeholder + reasonOf(error), remedy: remedyOf(item) };
    }
    return {
      ...common,
      reason: `${placeholder}it needs ${cause}, which is not there: ${reasonOf(root.error)}`,
      remedy: `it comes with ${cause}: ${remedyOf(root)}`,
      cause,
      ...(isAttribute(statement) || followers.has(statement.type ?? "") ? { attribute: true } : {}),
    };
  }
}

/** Entries that go with the one object that they name. */
const followers: ReadonlySet<string> = new Set(["MATERIALIZED VIEW DATA", "SEQUENCE OWNED BY"]);

function inContext({ statement, context }: SetAsideStatement): readonly DumpStatement[] {
  const settings = context.map((sql): DumpStatement => ({ sql }));
  const authorized = context.some((sql) => sql.startsWith("SET SESSION AUTHORIZATION "));
  return [
    ...settings,
    statement,
    ...(authorized ? [{ sql: "RESET SESSION AUTHORIZATION;" }] : []),
  ];
}
