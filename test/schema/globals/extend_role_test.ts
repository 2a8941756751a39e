import { strictEqual } from "node:assert/strict";
import { Secret } from "../../../lib/core/internal.ts";
import { extendRole } from "../../../lib/schema/globals/extend_role.ts";
import type { RoleObject } from "../../../lib/schema/globals/model.ts";

const role = (password: string | undefined): RoleObject => ({
  kind: "role",
  name: "app",
  attributes: {
    superuser: false,
    inherit: true,
    createRole: false,
    createDatabase: false,
    login: true,
    replication: false,
    bypassRls: false,
    connectionLimit: -1,
    validUntil: undefined,
  },
  password: password === undefined ? undefined : new Secret(password),
  settings: [],
  comment: undefined,
  securityLabels: [],
});

Deno.test("a password of the target that cannot be read is kept, and not said to differ", () => {
  const message = (existing: string | undefined, passwordsReadable: boolean) =>
    extendRole(role("md5source"), role(existing), { passwordsReadable }).note?.message;
  strictEqual(
    message(undefined, false),
    "it already exists on the target: it keeps its password, which cannot be compared with the source's",
  );
  strictEqual(
    message("md5target", true),
    "it already exists on the target: it keeps its password, unlike on the source",
  );
  strictEqual(
    message(undefined, true),
    "it already exists on the target: it gains the source's password",
  );
  strictEqual(message("md5source", true), undefined);
});
