/**
 * What every new database has from the start, and the source may have dropped or changed: a dump
 * does not mention what is not there.
 *
 * @module
 */
import { redact } from "../core/internal.ts";
import type { Session } from "../postgres/internal.ts";
import { type Adaptation, isRefusal } from "./adaptation.ts";

interface Facts {
  /** Whether there is a schema `public`. */
  readonly public: boolean;
  /** Whether it belongs to whom it belongs to in a new database. */
  readonly publicHasDefaultOwner: boolean;
  readonly publicHasComment: boolean;
  /** Whether everyone may create in it: the default before 15. */
  readonly everyoneCreates: boolean;
  readonly plpgsql: boolean;
}

// 10 is the bootstrap superuser
const statement = `
  SELECT n.oid IS NOT NULL AS "public",
         coalesce(n.nspowner = 10 OR pg_catalog.pg_get_userbyid(n.nspowner) = 'pg_database_owner', false) AS "publicHasDefaultOwner",
         pg_catalog.obj_description(n.oid, 'pg_namespace') IS NOT NULL AS "publicHasComment",
         EXISTS (SELECT FROM pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) AS a
                  WHERE a.grantee = 0 AND a.privilege_type = 'CREATE') AS "everyoneCreates",
         EXISTS (SELECT FROM pg_catalog.pg_extension AS e WHERE e.extname = 'plpgsql') AS plpgsql
    FROM (SELECT 1) AS one
    LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = 'public'`;

/** One thing that is to be taken away. */
interface Removal {
  readonly object: string;
  readonly sql: string;
  readonly consequence: string;
}

/**
 * Takes away from a database that has just been created, or is empty, what the source does not
 * have. Nothing that holds or carries anything else is dropped: the server refuses, and that is
 * reported.
 */
export async function matchNewDatabase(
  source: Session,
  target: Session,
): Promise<readonly Adaptation[]> {
  const wanted = await source.queryOne<Facts & Record<string, unknown>>(statement);
  const found = await target.queryOne<Facts & Record<string, unknown>>(statement);
  const adaptations: Adaptation[] = [];
  for (const { object, sql, consequence } of removals(wanted, found)) {
    try {
      await target.execute(sql);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      adaptations.push({
        side: "target",
        object,
        message: `${consequence}: ${
          redact(error.serverMessage.message)
        } (SQLSTATE ${error.sqlState})`,
        remedy: `if the target should not have it either, run on the target: ${sql}`,
      });
    }
  }
  return adaptations;
}

function removals(wanted: Facts, found: Facts): readonly Removal[] {
  const object = "SCHEMA public";
  return [
    ...!wanted.public && found.public && found.publicHasDefaultOwner
      ? [{
        object,
        sql: 'DROP SCHEMA "public" RESTRICT',
        consequence: "stays, although the source has no such schema",
      }]
      : [],
    ...wanted.public && !wanted.publicHasComment && found.publicHasComment
      ? [{
        object,
        sql: 'COMMENT ON SCHEMA "public" IS NULL',
        consequence: "keeps its comment, which the source does not have",
      }]
      : [],
    // where it belongs to, and the rest of its privileges, are in the dump
    ...wanted.public && !wanted.everyoneCreates && found.everyoneCreates
      ? [{
        object,
        sql: 'REVOKE CREATE ON SCHEMA "public" FROM PUBLIC',
        consequence: "everyone may create objects in it, unlike on the source",
      }]
      : [],
    ...!wanted.plpgsql && found.plpgsql
      ? [{
        object: "EXTENSION plpgsql",
        sql: 'DROP EXTENSION "plpgsql" RESTRICT',
        consequence: "stays, although the source does not have it",
      }]
      : [],
  ];
}
