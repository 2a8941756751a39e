/**
 * Finds tables that cannot be queried without running user-defined functions.
 *
 * When planning any query of a table, the server evaluates constant subexpressions of its indexes,
 * index predicates and extended statistics: `CREATE INDEX … WHERE id > f(0)` runs `f(0)` in every
 * session that reads the table.
 *
 * Source: PostgreSQL's `RelationGetIndexExpressions` and `get_relation_statistics`; no setting
 * disables this.
 *
 * @module
 */
import { displayName, showOpaque, type TableName, tokenize } from "../../core/internal.ts";
import { catalogResultBytes, queryBytes, type Session } from "../../postgres/internal.ts";

/**
 * Rows per query: there may be any number of functions and indexes, with texts of any length.
 */
const pageRows = 200;

// dependencies on built-in objects are not recorded
const keyStatement = `
  SELECT i.indexrelid AS oid, true AS is_index
    FROM pg_catalog.pg_index AS i
   WHERE (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
     AND EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = i.indexrelid
                    AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass,
                                         'pg_catalog.pg_operator'::pg_catalog.regclass))
   UNION ALL
  SELECT s.oid, false
    FROM pg_catalog.pg_statistic_ext AS s
   WHERE pg_catalog.to_jsonb(s) ->> 'stxexprs' IS NOT NULL`;

const treeStatement = `
  SELECT i.indrelid AS table_oid, pg_catalog.format('index %s', c.relname) AS what,
         pg_catalog.format('%s %s', i.indexprs, i.indpred) AS tree
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
   WHERE i.indexrelid = ANY ($1::pg_catalog.oid[])
   UNION ALL
  SELECT s.stxrelid, pg_catalog.format('statistics %s', s.stxname), pg_catalog.to_jsonb(s) ->> 'stxexprs'
    FROM pg_catalog.pg_statistic_ext AS s
   WHERE s.oid = ANY ($2::pg_catalog.oid[])`;

/** Condition for user-defined functions, which exclude those of extensions. */
const userFunction = (trusting: boolean) =>
  `p.oid >= 16384
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                      WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
                        AND d.deptype = 'e')
     ${
    trusting
      ? `AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r
                        WHERE r.oid = p.proowner AND (r.rolsuper OR r.rolname = current_user))`
      : ""
  }`;

/** User-defined functions among the given OIDs of functions and operators. */
const functionStatement = (oids: readonly number[], trusting: boolean) => `
  SELECT w.oid, n.nspname AS schema, p.proname AS name, m.may_be_inlined,
         CASE WHEN m.may_be_inlined THEN p.prosrc END AS body,
         CASE WHEN m.may_be_inlined THEN pg_catalog.to_jsonb(p) ->> 'prosqlbody' END AS parsed_body,
         pg_catalog.to_jsonb(p.proargnames) AS arguments
    FROM (SELECT u.oid, u.oid AS function_oid
            FROM pg_catalog.unnest('${oidArray(oids)}'::pg_catalog.oid[]) AS u (oid)
           UNION ALL
          SELECT o.oid, o.oprcode::pg_catalog.oid
            FROM pg_catalog.pg_operator AS o
           WHERE o.oid = ANY ('${oidArray(oids)}'::pg_catalog.oid[])) AS w
    JOIN pg_catalog.pg_proc AS p ON p.oid = w.function_oid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
   CROSS JOIN LATERAL (
     SELECT l.lanname = 'sql' AND NOT p.prosecdef AND p.proconfig IS NULL AS may_be_inlined) AS m
   WHERE ${userFunction(trusting)}`;

const nameStatement = (trusting: boolean) => `
  SELECT DISTINCT p.proname AS name FROM pg_catalog.pg_proc AS p WHERE ${userFunction(trusting)}`;

function oidArray(oids: readonly number[]): string {
  return `{${oids.join(",")}}`;
}

type KeyRow = { readonly oid: number; readonly is_index: boolean };

type ExpressionRow = {
  readonly table_oid: number;
  readonly what: string;
  readonly tree: string;
};

/** A user-defined function. */
interface UserFunction {
  readonly schema: string;
  readonly name: string;
  /** Whether the server may inline its body, and evaluate constant subexpressions in it. */
  readonly may_be_inlined: boolean;
  /** Null if it is not inlined. */
  readonly body: string | null;
  readonly parsed_body: string | null;
  readonly arguments: readonly string[] | null;
}

type FunctionRow = UserFunction & { readonly oid: number | string };

/**
 * By table OID, why a query of the table would run a user-defined function.
 *
 * @param trusting whether to ignore functions of superusers and of the session's role
 */
export async function readPlanningHazards(
  session: Session,
  { trusting = false }: { readonly trusting?: boolean } = {},
): Promise<ReadonlyMap<number, string>> {
  const functions = new UserFunctions(session, trusting);
  const hazards = new Map<number, string>();
  const keys = await session.query<KeyRow>(keyStatement, [], { resultBytes: catalogResultBytes });
  for (let at = 0; at < keys.length; at += pageRows) {
    const page = keys.slice(at, at + pageRows);
    const oidsOf = (isIndex: boolean) =>
      oidArray(page.filter(({ is_index }) => is_index === isIndex).map(({ oid }) => oid));
    const expressions = await session.query<ExpressionRow>(
      treeStatement,
      [oidsOf(true), oidsOf(false)],
      { resultBytes: catalogResultBytes },
    );
    await functions.load(expressions.map(({ tree }) => tree));
    for (const { table_oid, what, tree } of expressions) {
      const found = constantCall(tree, functions);
      if (found === undefined) continue;
      hazards.set(table_oid, `${what} calls ${showOpaque(displayName(found))} with constants`);
    }
  }
  return hazards;
}

/**
 * The user-defined functions that expressions call, directly or through inlined bodies.
 */
class UserFunctions {
  readonly #session: Session;
  readonly #trusting: boolean;
  readonly #byOid = new Map<number, UserFunction>();
  readonly #known = new Set<number>();
  #names: ReadonlySet<string> | undefined;

  constructor(session: Session, trusting: boolean) {
    this.#session = session;
    this.#trusting = trusting;
  }

  /** By its OID, or that of an operator that it implements. */
  get(oid: number): UserFunction | undefined {
    return this.#byOid.get(oid);
  }

  /** Names of all user-defined functions; empty unless a loaded one has a body in text. */
  get names(): ReadonlySet<string> {
    return this.#names ?? new Set();
  }

  /** Loads the functions that the expressions call. */
  async load(trees: readonly string[]): Promise<void> {
    let pending = this.#unknownIn(trees);
    while (pending.length > 0) {
      const found: string[] = [];
      for (let at = 0; at < pending.length; at += pageRows) {
        found.push(...await this.#read(pending.slice(at, at + pageRows)));
      }
      pending = this.#unknownIn(found);
    }
  }

  #unknownIn(trees: readonly string[]): readonly number[] {
    const oids = new Set<number>();
    for (const tree of trees) {
      for (const [, , field] of treeTokens(tree)) {
        const oid = Number(field);
        if (oid >= firstUserOid && !this.#known.has(oid)) oids.add(oid);
      }
    }
    return [...oids];
  }

  /** @returns the trees of their bodies */
  async #read(oids: readonly number[]): Promise<readonly string[]> {
    // bodies may contain any bytes, and an error would abort the caller's transaction
    const rows = await queryBytes<FunctionRow>(
      this.#session,
      functionStatement(oids, this.#trusting),
      { resultBytes: catalogResultBytes },
    );
    for (const oid of oids) this.#known.add(oid);
    for (const row of rows) this.#byOid.set(Number(row.oid), row);
    if (rows.some((row) => row.may_be_inlined && row.parsed_body === null)) await this.#readNames();
    return rows.flatMap(({ parsed_body }) => parsed_body ?? []);
  }

  async #readNames(): Promise<void> {
    if (this.#names !== undefined) return;
    const rows = await queryBytes<{ readonly name: string }>(
      this.#session,
      nameStatement(this.#trusting),
      { resultBytes: catalogResultBytes },
    );
    this.#names = new Set(rows.map(({ name }) => name));
  }
}

/** The first OID of user objects: `FirstNormalObjectId`. */
const firstUserOid = 16_384;

/**
 * Why a query of the table would run a function that neither a superuser nor the session's role
 * owns; undefined when it would not.
 */
export async function planningHazardOf(
  session: Session,
  { schema, name }: TableName,
): Promise<string | undefined> {
  const hazards = await readPlanningHazards(session, { trusting: true });
  if (hazards.size === 0) return undefined;
  const [table] = await session.query<{ readonly oid: number }>(
    `SELECT c.oid FROM pg_catalog.pg_class AS c
       JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      WHERE n.nspname = $1 AND c.relname = $2`,
    [schema, name],
  );
  return table === undefined ? undefined : hazards.get(table.oid);
}

/**
 * Nodes that make an expression non-constant: columns, parameters, placeholders for values of CASE
 * and domains.
 */
const variables: ReadonlySet<string> = new Set([
  "VAR",
  "PARAM",
  "CASETESTEXPR",
  "COERCETODOMAINVALUE",
]);

const calls: ReadonlySet<string> = new Set([
  "FUNCEXPR",
  "OPEXPR",
  "DISTINCTEXPR",
  "NULLIFEXPR",
  "SCALARARRAYOPEXPR",
]);

function treeTokens(tree: string): IterableIterator<RegExpExecArray> {
  return tree.matchAll(/\\.|\{(\w+)|\}|:(?:funcid|opno|opfuncid) (\d+)/gs);
}

/**
 * The first user-defined function that the server would evaluate in an expression. Pure.
 *
 * @param tree the expression as `pg_node_tree`
 * @param functions with the functions it calls loaded
 */
function constantCall(
  tree: string,
  functions: UserFunctions,
  within: ReadonlySet<UserFunction> = new Set(),
): UserFunction | undefined {
  const stack: { readonly type: string; readonly called: UserFunction[]; isVariable: boolean }[] =
    [];
  for (const [token, type, field] of treeTokens(tree)) {
    const node = stack.at(-1);
    if (type !== undefined) stack.push({ type, called: [], isVariable: variables.has(type) });
    else if (field !== undefined) {
      const called = functions.get(Number(field));
      if (called !== undefined && node !== undefined && calls.has(node.type)) {
        node.called.push(called);
      }
    } else if (token === "}" && node !== undefined) {
      stack.pop();
      const found = node.called.find((called) =>
        !node.isVariable || !within.has(called) && callsWithin(called, functions, within)
      );
      if (found !== undefined) return found;
      const outer = stack.at(-1);
      if (outer !== undefined && node.isVariable) outer.isVariable = true;
    }
  }
  return undefined;
}

/** Whether a function's body, once inlined, contains a constant call. */
function callsWithin(
  called: UserFunction,
  functions: UserFunctions,
  within: ReadonlySet<UserFunction>,
): boolean {
  if (!called.may_be_inlined) return false;
  const inner = new Set([...within, called]);
  return called.parsed_body === null
    ? callsInText(called, functions.names)
    : constantCall(called.parsed_body, functions, inner) !== undefined;
}

/**
 * The same for a body in text: calls by name without parameters in their arguments, operators
 * qualified with a schema, casts of literals.
 */
function callsInText(
  { body, arguments: parameters }: UserFunction,
  names: ReadonlySet<string>,
): boolean {
  if (body === null) return false;
  const tokens = [...tokenize(body)]
    .filter(({ kind }) => !["space", "line-comment", "block-comment"].includes(kind))
    .map(({ kind, start, end }) => ({ kind, text: body.slice(start, end) }));
  const nameOf = (text: string) => text.startsWith('"') ? text.slice(1, -1) : text.toLowerCase();
  const isParameter = ({ kind, text }: { readonly kind: string; readonly text: string }) =>
    kind === "parameter" || parameters?.includes(nameOf(text)) === true;
  return tokens.some(({ kind, text }, at) => {
    if (tokens[at + 1]?.text === "(" && (kind === "word" || kind === "quoted-identifier")) {
      if (text.toLowerCase() === "operator") return tokens[at + 2]?.text !== "pg_catalog";
      return names.has(nameOf(text)) && !argumentsAt(tokens, at + 2).some(isParameter);
    }
    const isCast = (kind === "string" || kind === "number") && tokens[at + 1]?.text === ":";
    return isCast && tokens[at + 4]?.text === "." && tokens[at + 3]?.text !== "pg_catalog";
  });
}

function argumentsAt<Token extends { readonly text: string }>(
  tokens: readonly Token[],
  from: number,
): readonly Token[] {
  let depth = 1;
  let end = from;
  for (; end < tokens.length && depth > 0; end++) {
    if (tokens[end]!.text === "(") depth++;
    else if (tokens[end]!.text === ")") depth--;
  }
  return tokens.slice(from, end);
}
