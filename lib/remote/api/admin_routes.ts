import { z } from "zod";
import { findKey, listAudit, listKeys } from "../store/mod.ts";
import { parseBody, readBody } from "./body.ts";
import { createKey, endKey, newKeySchema, rotateKey, rotationSchema } from "./keys.ts";
import { HttpProblem } from "./problem.ts";
import { addRoute, checkBody, type ServiceApp } from "./routing.ts";
import type { ServiceParts } from "./service.ts";
import { auditSchema, auditView, keySchema, keyView } from "./views.ts";

const byId = z.object({ id: z.uuid() });
const madeKeySchema = keySchema.extend({
  key: z.string().meta({ description: "The key itself, shown only once" }),
});

/** `/v1/keys` and `/v1/audit`, for admins; `/v1/me`, for all keys. */
export function addAdminRoutes(app: ServiceApp, parts: ServiceParts): void {
  addRoute(app, parts, {
    method: "get",
    path: "/v1/me",
    summary: "The key of this request",
    scope: "jobs:read",
    responses: { 200: { description: "The key", schema: keySchema } },
    problems: [],
    handle: ({ context, key }) => context.json(keyView(key)),
  });

  addRoute(app, parts, {
    method: "get",
    path: "/v1/keys",
    summary: "List keys, newest first",
    scope: "admin",
    responses: { 200: { description: "Keys", schema: z.object({ keys: z.array(keySchema) }) } },
    problems: [],
    async handle({ context }) {
      const keys = await parts.pool.use((session) => listKeys(session));
      return context.json({ keys: keys.map(keyView) });
    },
  });

  addRoute(app, parts, {
    method: "post",
    path: "/v1/keys",
    summary: "Create a key",
    scope: "admin",
    body: newKeySchema,
    responses: { 201: { description: "The key", schema: madeKeySchema } },
    problems: [400, 413, 415],
    async handle({ context, actor }) {
      const input = checkBody(newKeySchema, parseBody(await readBody(context.req.raw)));
      const { row, key } = await parts.pool.transaction((session) =>
        createKey(session, input, actor)
      );
      return context.json({ ...keyView(row), key }, 201);
    },
  });

  addRoute(app, parts, {
    method: "post",
    path: "/v1/keys/{id}/rotate",
    summary: "Create a successor of a key; the old key remains valid for a while",
    scope: "admin",
    params: byId,
    body: rotationSchema,
    responses: { 201: { description: "The successor", schema: madeKeySchema } },
    problems: [400, 404, 409, 413, 415],
    async handle({ context, params: { id }, actor }) {
      const input = checkBody(rotationSchema, parseBody(await readBody(context.req.raw)));
      const created = await parts.pool.transaction(async (session) => {
        if (await findKey(session, id) === undefined) {
          throw new HttpProblem(404, "the key does not exist");
        }
        return await rotateKey(session, {
          id,
          overlapSeconds: input.overlap_seconds,
          expiresInDays: input.expires_in_days,
        }, actor);
      });
      if (created === undefined) {
        throw new HttpProblem(409, "the key is revoked or already has a successor");
      }
      return context.json({ ...keyView(created.row), key: created.key }, 201);
    },
  });

  addRoute(app, parts, {
    method: "delete",
    path: "/v1/keys/{id}",
    summary: "Revoke a key immediately",
    scope: "admin",
    params: byId,
    responses: { 204: { description: "The key is revoked" } },
    problems: [404],
    async handle({ context, params: { id }, actor }) {
      const done = await parts.pool.transaction((session) => endKey(session, id, actor));
      if (!done) throw new HttpProblem(404, "the key does not exist or is already revoked");
      return context.body(null, 204);
    },
  });

  addRoute(app, parts, {
    method: "get",
    path: "/v1/audit",
    summary: "List the audit trail, newest first",
    scope: "admin",
    query: z.strictObject({
      before: z.coerce.number().int().min(1).optional(),
      limit: z.coerce.number().int().min(1).max(1000).default(100),
    }),
    responses: {
      200: { description: "Entries", schema: z.object({ entries: z.array(auditSchema) }) },
    },
    problems: [400],
    async handle({ context, query }) {
      const entries = await parts.pool.use((session) =>
        listAudit(session, { before: query.before, limit: query.limit })
      );
      return context.json({ entries: entries.map(auditView) });
    },
  });
}
