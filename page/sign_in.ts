/// <reference lib="dom" />
import type { KeyView } from "../lib/remote/api/views.ts";
import { Api, Refusal } from "./api.ts";
import { fill, make } from "./dom.ts";
import type { View } from "./view.ts";

/** Asks for a key. It goes from the field into the header of a request, and nowhere else. */
export function signInView(
  { notice, onReach, onSignedIn }: {
    /** Why somebody has to sign in again. */
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
    // a header takes no more than these; the form of a key is the service's to judge
    if (!/^[\x21-\x7e]+$/.test(key)) return complain("A key has letters, digits, - and _ only.");
    button.disabled = true;
    fill(problem);
    field.removeAttribute("aria-invalid");
    try {
      const me = await new Api({ key, onReach, onLocked: () => {} }).me();
      onSignedIn(key, me);
    } catch (error) {
      if (!(error instanceof Refusal)) complain("The service does not answer. Try again.");
      else if (error.status === 403) {
        complain(`${sentence(error.message)} Ask an administrator for a key that has it.`);
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
      "Kept in this tab until you close it or sign out. An administrator makes one with ",
      make("code", {}, "keys create"),
      ".",
    ),
  );
  queueMicrotask(() => field.focus());
  return { element: form, title: "Sign in", shortcuts: [] };
}

/** A message of the service as a sentence. */
export function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
