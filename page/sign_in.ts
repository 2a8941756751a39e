/// <reference lib="dom" />
import type { KeyView } from "../lib/remote/api/views.ts";
import { Api, Refusal } from "./api.ts";
import { fill, make } from "./dom.ts";
import type { View } from "./view.ts";

/** Asks for a key, which is only ever sent in the header of a request. */
export function signInView(
  { notice, onReach, onSignedIn }: {
    /** Why the user must sign in again. */
    readonly notice: string | undefined;
    readonly onReach: (reached: boolean) => void;
    readonly onSignedIn: (key: string, me: KeyView) => void;
  },
): View {
  const problem = make("p", { id: "key-problem", class: "problem", role: "alert" }, notice);
  const field = make("input", {
    id: "key",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    autocapitalize: "off",
    required: true,
    "aria-describedby": "key-problem key-hint",
    placeholder: "srk_…",
  });
  const button = make("button", { class: "primary", type: "submit" }, "Sign in");

  async function submit(): Promise<void> {
    const key = field.value.trim();
    const complain = (text: string) => {
      fill(problem, text);
      field.setAttribute("aria-invalid", "true");
      field.focus();
      field.select();
    };
    // the characters allowed in a header; the service checks the format of the key
    if (!/^[\x21-\x7e]+$/.test(key)) {
      return complain("A key contains only letters, digits, - and _.");
    }
    button.disabled = true;
    fill(problem);
    field.removeAttribute("aria-invalid");
    try {
      const me = await new Api({ key, onReach, onLocked: () => {} }).me();
      onSignedIn(key, me);
    } catch (error) {
      if (!(error instanceof Refusal)) complain("The service is not responding. Try again.");
      else if (error.status === 403) {
        complain(`${sentence(error.message)} Ask an administrator for a key with this scope.`);
      } else complain(sentence(error.message));
    } finally {
      button.disabled = false;
    }
  }

  const form = make(
    "form",
    {
      class: "card sign-in",
      on: {
        submit: (event) => {
          event.preventDefault();
          void submit();
        },
      },
    },
    make("h1", {}, "Sign in"),
    make("label", { for: "key" }, "API key"),
    field,
    problem,
    button,
    make(
      "p",
      { id: "key-hint", class: "muted" },
      "Stored in this tab until you close it or sign out. Administrators create keys with ",
      make("code", {}, "keys create"),
      ".",
    ),
  );
  queueMicrotask(() => field.focus());
  return { element: form, title: "Sign in", shortcuts: [] };
}

/** Formats a message of the service as a sentence. */
export function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
