import { productNames } from "../../scripts/sql/product_names.ts";
import { repository } from "./cli.ts";
import { withSession } from "./sql.ts";

/** What a trap writes to the server's log, regardless of its transaction. */
export const sprungPattern = /LOG: {2}sprung .*/g;

/** The number of traps of each kind. */
export interface Traps {
  readonly functions: number;
  readonly operators: number;
  readonly types: number;
  readonly relations: number;
}

/** Operand types of operators in catalog queries. */
const operands = [
  "text,name,oid,int2,int4,int8,float8,numeric,bool,timestamptz,date,interval,json,jsonb,pg_lsn,regclass,char,xid",
  "uuid,bytea,anyarray,anyelement,anynonarray,_text,_oid",
].join(",");

/** Used instead of `"any"`, which only C functions may accept; an exact match takes precedence. */
const concrete = ["text", "name", "oid", "int4", "int8", "boolean"];

/**
 * Creates in schema `public` a better match for everything in `pg_catalog` that the product's SQL
 * calls, casts to and reads, as found by `deno task sql`. Each raises an error when run and writes
 * to the server's log.
 *
 * They match if `public` precedes `pg_catalog` in the search path.
 */
export async function setNameTraps(url: string): Promise<Traps> {
  const names = await productNames(repository);
  const namesOf = (kind: string) => [
    ...new Set(names.filter((each) => each.kind === kind).map(({ name }) => name)),
  ];
  const quiet = new URL(url);
  quiet.searchParams.set("search_path", "pg_catalog");
  return await withSession(quiet.href, async (session) => {
    const create = async (statements: readonly string[]): Promise<number> => {
      let created = 0;
      for (const statement of statements) {
        // for example an aggregate of a type that no state function accepts
        await session.unsafe(statement).simple().then(() => created++, () => {});
      }
      return created;
    };
    await session.unsafe(`
      CREATE FUNCTION public.trap(what text) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog AS
        $$BEGIN RAISE LOG 'sprung %', what; RAISE EXCEPTION 'a trap was sprung: %', what; END$$;
      CREATE FUNCTION public.trap_final(text) RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog AS
        $$BEGIN PERFORM public.trap('aggregate'); END$$;`).simple();
    const functions = await session.unsafe<FunctionRow[]>(functionsStatement, [
      namesOf("function").join(","),
    ]);
    const operators = await session.unsafe<OperatorRow[]>(operatorsStatement, [
      operands,
    ]);
    return {
      functions: await create(functions.flatMap(functionTraps)),
      operators: await create(operators.map(operatorTrap)),
      types: await create(namesOf("type").map(typeTrap)),
      relations: await create(namesOf("relation").map(relationTrap)),
    };
  });
}

type FunctionRow = {
  readonly name: string;
  readonly kind: string;
  readonly returns: string;
  readonly set: boolean;
  readonly variadic: boolean;
  readonly arguments: string[];
};

const functionsStatement = `
  SELECT p.proname AS name, p.prokind AS kind, format_type(p.prorettype, NULL) AS returns, p.proretset AS set,
         p.provariadic <> 0 AS variadic,
         to_json(ARRAY(SELECT format_type(a, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS t (a, n) ORDER BY n)) AS arguments
    FROM pg_proc AS p
   WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY (string_to_array($1, ','))
     AND NOT 'internal'::regtype = ANY (p.proargtypes) AND NOT 'cstring'::regtype = ANY (p.proargtypes)`;

/** One function for each list of argument types to match exactly. */
function functionTraps(row: FunctionRow): readonly string[] {
  const last = row.arguments.length - 1;
  const lists = !row.arguments.includes('"any"') ? [row.arguments] : concrete.flatMap((type) => {
    const known = row.arguments.map((each) => each === '"any"' ? type : each);
    return row.variadic ? [known, [...known, type], [...known, type, type]] : [known];
  });
  return lists.map((list, index) => {
    const isVariadicArray = row.variadic && row.arguments[last] !== '"any"';
    const args = list.map((type, at) => isVariadicArray && at === last ? `VARIADIC ${type}` : type);
    return row.kind === "a" ? aggregateTrap(row.name, list) : `
      CREATE FUNCTION public.${quote(row.name)}(${args.join(", ")})
      RETURNS ${row.set ? "SETOF " : ""}${row.returns === '"any"' ? "text" : row.returns}
      LANGUAGE plpgsql SET search_path = pg_catalog
      AS $$BEGIN PERFORM public.trap('function ${row.name} ${index}'); END$$`;
  });
}

let stateFunctions = 0;

function aggregateTrap(name: string, args: readonly string[]): string {
  const state = `public.trap_state_${++stateFunctions}`;
  return `
    CREATE FUNCTION ${state}(${["text", ...args].join(", ")}) RETURNS text LANGUAGE plpgsql
    SET search_path = pg_catalog AS $$BEGIN PERFORM public.trap('aggregate ${name}'); END$$;
    CREATE AGGREGATE public.${quote(name)}(${args.length === 0 ? "*" : args.join(", ")})
      (SFUNC = ${state}, STYPE = text, FINALFUNC = public.trap_final)`;
}

type OperatorRow = {
  readonly name: string;
  readonly left: string;
  readonly right: string;
  readonly result: string;
};

const operatorsStatement = `
  SELECT o.oprname AS name, format_type(o.oprleft, NULL) AS left, format_type(o.oprright, NULL) AS right,
         format_type(o.oprresult, NULL) AS result
    FROM pg_operator AS o
    JOIN pg_type AS l ON l.oid = o.oprleft
    JOIN pg_type AS r ON r.oid = o.oprright
   WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND l.typname = ANY (string_to_array($1, ','))
     AND r.typname = ANY (string_to_array($1, ','))`;

let operatorFunctions = 0;

function operatorTrap({ name, left, right, result }: OperatorRow): string {
  const body = `public.trap_operator_${++operatorFunctions}`;
  return `
    CREATE FUNCTION ${body}(${left}, ${right}) RETURNS ${result} LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$BEGIN PERFORM public.trap('operator ${name} (${left}, ${right})'); END$$;
    CREATE OPERATOR public.${name} (LEFTARG = ${left}, RIGHTARG = ${right}, FUNCTION = ${body})`;
}

function typeTrap(name: string): string {
  return `CREATE DOMAIN public.${quote(name)} AS pg_catalog.${quote(name)}
            CHECK (public.trap('type ${name}'))`;
}

/** Without the catalog's columns, which differ between versions: the traps are copied too. */
function relationTrap(name: string): string {
  return `CREATE VIEW public.${quote(name)} AS SELECT public.trap('relation ${name}')`;
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
