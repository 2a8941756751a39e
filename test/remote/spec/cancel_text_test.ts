import { match, strictEqual } from "node:assert/strict";
import { cutoverActions } from "../../../lib/config/internal.ts";
import { cancelText } from "../../../lib/remote/spec/mod.ts";

const running = { command: "cutover", state: "running", attempt: 1 };

Deno.test("who cancels a switch reads what it does before and after the point of no return", () => {
  for (const action of ["run", "rollback"]) {
    const text = cancelText({ ...running, spec: { options: { action } } });
    match(text, /Before the point of no return, the switch is abandoned: writers continue/);
    match(text, /After it, the switch is completed first: the other side is opened/);
    // it may have lost its worker past the point of no return
    strictEqual(
      cancelText({ ...running, state: "queued", attempt: 1, spec: { options: { action } } }),
      text,
    );
  }
});

Deno.test("cancelling a job that has not started changes nothing, and a plan only reads", () => {
  const options = { action: "run" };
  match(
    cancelText({ ...running, state: "queued", attempt: 0, spec: { options } }),
    /has not started; nothing was changed/,
  );
  match(cancelText({ ...running, spec: { options: { ...options, dry_run: true } } }), /only reads/);
  match(cancelText({ ...running, spec: {} }), /only reads/);
});

Deno.test("a cancelled sync can be resumed, a cancelled copy cannot", () => {
  match(cancelText({ ...running, command: "sync", spec: {} }), /another sync resumes/);
  match(cancelText({ ...running, command: "init", spec: {} }), /cannot be resumed/);
});

Deno.test("no text of a cutover is about a copy", () => {
  for (const action of cutoverActions) {
    strictEqual(
      /Copied data/.test(cancelText({ ...running, spec: { options: { action } } })),
      false,
      action,
    );
  }
});
