/**
 * Removes what every new database contains but the source has dropped or changed: a dump does not
 * mention what does not exist.
 *
 * @module
 */
import { redact } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { type Adaptation, isRefusal } from "../apply/adaptation.ts";

interface InitialObjects {
  /** Whether schema `public` exists. */
  readonly public: boolean;
  /** Whether its owner is that of a new database. */
  readonly publicHasDefaultOwner: boolean;
  readonly publicHasComment: boolean;
  /** Whether PUBLIC has CREATE on it: the default before 15. */
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

/** One removal. */
interface Removal {
  readonly object: string;
  readonly sql: string;
  readonly consequence: string;
}

/**
 * Removes from a new or empty database what the source does not have. The server refuses to drop
 * anything that other objects depend on; that is reported.
 */
export async function matchNewDatabase(
  source: Session,
  target: Session,
): Promise<readonly Adaptation[]> {
  const onSource = await source.queryOne<InitialObjects & Record<string, unknown>>(statement);
  const onTarget = await target.queryOne<InitialObjects & Record<string, unknown>>(statement);
  const adaptations: Adaptation[] = [];
  for (const { object, sql, consequence } of removals(onSource, onTarget)) {
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
        remedy: `to match the source, run on the target: ${sql}`,
      });
    }
  }
  return adaptations;
}

function removals(
  onSource: InitialObjects,
  onTarget: InitialObjects,
): readonly Removal[] {
  const object = "SCHEMA public";
  return [
    ...!onSource.public && onTarget.public && onTarget.publicHasDefaultOwner
      ? [{
        object,
        sql: 'DROP SCHEMA "public" RESTRICT',
        consequence: "kept, although it does not exist on the source",
      }]
      : [],
    ...onSource.public && !onSource.publicHasComment && onTarget.publicHasComment
      ? [{
        object,
        sql: 'COMMENT ON SCHEMA "public" IS NULL',
        consequence: "keeps its comment, which the source does not have",
      }]
      : [],
    // its owner and its other privileges are in the dump
    ...onSource.public && !onSource.everyoneCreates && onTarget.everyoneCreates
      ? [{
        object,
        sql: 'REVOKE CREATE ON SCHEMA "public" FROM PUBLIC',
        consequence: "PUBLIC may create objects in it, unlike on the source",
      }]
      : [],
    ...!onSource.plpgsql && onTarget.plpgsql
      ? [{
        object: "EXTENSION plpgsql",
        sql: 'DROP EXTENSION "plpgsql" RESTRICT',
        consequence: "kept, although it does not exist on the source",
      }]
      : [],
  ];
}
