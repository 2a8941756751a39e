/**
 * Tables that cannot be queried at all without running a user's function.
 *
 * A server that plans a query of a table evaluates what is constant in the expressions and predicates of its indexes, and in the expressions of
 * its extended statistics, whatever the query asks for: `CREATE INDEX … WHERE id > f(0)` runs `f(0)` in every session that reads the table.
 *
 * Source: PostgreSQL's `RelationGetIndexExpressions` and `get_relation_statistics`; no setting switches that off.
 *
 * @module
 */
import { displayName, showOpaque, type TableName, tokenize } from "../core/mod.ts";
import { queryBytes, type Session } from "../postgres/mod.ts";

// dependencies on what the server itself brings are not recorded
const expressionStatement = `
  SELECT i.indrelid AS table_oid, pg_catalog.format('index %s', c.relname) AS what,
         pg_catalog.format('%s %s', i.indexprs, i.indpred) AS tree
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
   WHERE (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
     AND EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
                    AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass,
                                         'pg_catalog.pg_operator'::pg_catalog.regclass))
   UNION ALL
  SELECT s.stxrelid, pg_catalog.format('statistics %s', s.stxname), pg_catalog.to_jsonb(s) ->> 'stxexprs'
    FROM pg_catalog.pg_statistic_ext AS s
   WHERE pg_catalog.to_jsonb(s) ->> 'stxexprs' IS NOT NULL`;

// what an extension made is the server's, as far as this goes
const functionStatement = (trusting: boolean) => `
  SELECT p.oid, n.nspname AS schema, p.proname AS name,
         l.lanname = 'sql' AND NOT p.prosecdef AND p.proconfig IS NULL AS may_be_inlined,
         p.prosrc AS body, pg_catalog.to_jsonb(p) ->> 'prosqlbody' AS parsed_body,
         pg_catalog.to_jsonb(p.proargnames) AS arguments,
         (SELECT pg_catalog.json_agg(o.oid) FROM pg_catalog.pg_operator AS o WHERE o.oprcode = p.oid) AS operators
    FROM pg_catalog.pg_proc AS p
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
   WHERE p.oid >= 16384
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                      WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
                        AND d.deptype = 'e')
     ${
  trusting
    ? `AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r
                        WHERE r.oid = p.proowner AND (r.rolsuper OR r.rolname = current_user))`
    : ""
}`;

type ExpressionRow = { readonly table_oid: number; readonly what: string; readonly tree: string };

/** A function of a user's own. */
export interface UserFunction {
  readonly schema: string;
  readonly name: string;
  /** Whether the server may put its body in its place, and evaluate what is constant there. */
  readonly may_be_inlined: boolean;
  readonly body: string;
  readonly parsed_body: string | null;
  readonly arguments: readonly string[] | null;
}

type FunctionRow = UserFunction & {
  readonly oid: number | string;
  readonly operators: readonly (number | string)[] | null;
};

/**
 * By the table's OID, why a query of it would run a user's function.
 *
 * @param trusting whether functions of superusers and of the session's own role do not count
 */
export async function readPlanningHazards(
  session: Session,
  { trusting = false }: { readonly trusting?: boolean } = {},
): Promise<ReadonlyMap<number, string>> {
  const expressions = await session.query<ExpressionRow>(expressionStatement);
  if (expressions.length === 0) return new Map();
  // bodies may be in any bytes, and this may run within a transaction, which an error would end
  const rows = await queryBytes<FunctionRow>(session, functionStatement(trusting));
  const functions = new Map<number, UserFunction>();
  for (const row of rows) {
    functions.set(Number(row.oid), row);
    for (const operator of row.operators ?? []) functions.set(Number(operator), row);
  }
  return new Map(expressions.flatMap(({ table_oid, what, tree }) => {
    const found = constantCall(tree, functions);
    return found === undefined
      ? []
      : [[table_oid, `${what} calls ${showOpaque(displayName(found))} with constants`] as const];
  }));
}

/** Why a query of one table would run a function that neither a superuser nor the session's role owns; undefined when none would. */
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

/** What makes an expression no constant: columns, parameters, what stands for the value of a CASE or of an array's element. */
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

/**
 * The first user function that the server would evaluate in an expression. Pure.
 *
 * @param tree as the catalogs hold it (`pg_node_tree`)
 * @param functions by their OID, and by those of the operators that they are behind
 */
export function constantCall(
  tree: string,
  functions: ReadonlyMap<number, UserFunction>,
  within: ReadonlySet<UserFunction> = new Set(),
): UserFunction | undefined {
  const stack: { readonly type: string; readonly called: UserFunction[]; isVariable: boolean }[] =
    [];
  for (
    const [token, type, field] of tree.matchAll(/\\.|\{(\w+)|\}|:(?:funcid|opno|opfuncid) (\d+)/gs)
  ) {
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

/** Whether a function's body, put in the place of its call, has something constant to evaluate. */
function callsWithin(
  called: UserFunction,
  functions: ReadonlyMap<number, UserFunction>,
  within: ReadonlySet<UserFunction>,
): boolean {
  if (!called.may_be_inlined) return false;
  const inner = new Set([...within, called]);
  return called.parsed_body === null
    ? callsInText(called, new Set([...functions.values()].map(({ name }) => name)))
    : constantCall(called.parsed_body, functions, inner) !== undefined;
}

/** The same of a body that is text: calls by name whose arguments name no parameter, operators of a schema, casts of literals. */
function callsInText(
  { body, arguments: parameters }: UserFunction,
  names: ReadonlySet<string>,
): boolean {
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
