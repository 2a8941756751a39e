/// <reference lib="dom" />
import type { JobView, KeyView } from "../lib/remote/api/views.ts";
import { Api, Refusal } from "./api.ts";
import { backOff, Connection } from "./connection.ts";
import { announce, fill, make, setText } from "./dom.ts";
import { jobListView } from "./job_list.ts";
import { jobView } from "./job_view.ts";
import { applyTheme, keepKey, nextTheme, readKey, readTheme } from "./settings.ts";
import { Shortcuts } from "./shortcuts.ts";
import { sentence, signInView } from "./sign_in.ts";
import type { View } from "./view.ts";
import { stateWords } from "./words.ts";

const themeWords = { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" } as const;

/** The page: signed out, or signed in with a key and showing the view of the URL's fragment. */
class Page {
  readonly #connection = new Connection();
  readonly #main = make("main", { id: "main", tabindex: -1 });
  readonly #who = make("div", { class: "who" });
  readonly #shortcuts: Shortcuts;
  #theme = readTheme();
  #left = new AbortController();
  #session: { readonly api: Api; readonly me: KeyView } | undefined;

  constructor(root: HTMLElement) {
    applyTheme(this.#theme);
    const themeButton = make("button", {
      class: "quiet",
      on: { click: () => changeTheme() },
    }, themeWords[this.#theme]);
    const changeTheme = () => {
      this.#theme = nextTheme(this.#theme);
      applyTheme(this.#theme);
      setText(themeButton, themeWords[this.#theme]);
      announce(themeWords[this.#theme]);
    };
    this.#shortcuts = new Shortcuts([
      { key: "t", label: "Light, dark or system theme", run: changeTheme },
    ]);
    const skip = make("a", {
      class: "skip",
      href: "#main",
      on: {
        // keeps the fragment that names the view
        click: (event) => {
          event.preventDefault();
          this.#main.focus();
        },
      },
    }, "Skip to the content");
    fill(
      root,
      skip,
      make(
        "header",
        { class: "top" },
        make("a", { class: "brand", href: "#/jobs" }, "postgres-seren-replicator"),
        this.#who,
        make(
          "button",
          { class: "quiet help", on: { click: () => this.#shortcuts.showHelp() } },
          "Keyboard",
        ),
        themeButton,
      ),
      this.#connection.element,
      this.#main,
      make("div", { id: "live", class: "unseen", "aria-live": "polite" }),
    );
    addEventListener("hashchange", () => this.#show());
  }

  /** Signs in with the key of this tab, if any. */
  async start(): Promise<void> {
    const key = readKey();
    if (key === undefined) return this.#signOut(undefined);
    fill(this.#main, make("p", { class: "muted", role: "status" }, "Loading…"));
    const api = this.#api(key);
    for (let failures = 0;; failures++) {
      try {
        this.#signIn(key, await api.me());
        return;
      } catch (error) {
        if (error instanceof Refusal && error.status === 401) return; // already signed out
        if (error instanceof Refusal && error.status !== 429) {
          return this.#signOut(sentence(error.message));
        }
        await backOff(failures, this.#left.signal);
      }
    }
  }

  #api(key: string): Api {
    return new Api({
      key,
      onReach: this.#connection.reached,
      onLocked: (refusal) => this.#signOut(`You were signed out: ${refusal.message}.`),
    });
  }

  #signIn(key: string, me: KeyView): void {
    keepKey(key);
    this.#session = { api: this.#api(key), me };
    fill(
      this.#who,
      make("bdi", { class: "user", title: `Key ${me.prefix}: ${me.scopes.join(", ")}` }, me.owner),
      make("button", { class: "quiet", on: { click: () => this.#signOut(undefined) } }, "Sign out"),
    );
    announce(`Signed in as ${me.owner}`);
    this.#show();
  }

  #signOut(notice: string | undefined): void {
    keepKey(undefined);
    this.#session = undefined;
    fill(this.#who);
    this.#enter(signInView({
      notice,
      onReach: this.#connection.reached,
      onSignedIn: (key, me) => this.#signIn(key, me),
    }));
  }

  /** Shows the view of the URL's fragment, which never contains the key. */
  #show(): void {
    if (this.#session === undefined || location.hash === "#main") return;
    const signal = this.#leave();
    const context = { ...this.#session, signal };
    const { path, query } = readAddress(location.hash);
    const [, id] = /^\/jobs\/([0-9a-f-]{36})$/.exec(path) ?? [];
    if (id !== undefined) return this.#enter(jobView(context, { id }), signal);
    const state = Object.keys(stateWords).find((each): each is JobView["state"] =>
      each === query.get("state")
    );
    this.#enter(jobListView(context, { state }), signal);
  }

  #leave(): AbortSignal {
    this.#left.abort(new DOMException("another view is shown", "AbortError"));
    this.#left = new AbortController();
    return this.#left.signal;
  }

  #enter({ element, title, shortcuts }: View, signal: AbortSignal = this.#leave()): void {
    signal.throwIfAborted();
    document.title = `${title} · postgres-seren-replicator`;
    this.#shortcuts.setView(shortcuts);
    fill(this.#main, element);
    scrollTo(0, 0);
    // keyboard and screen reader users start at the top of the new view
    element.querySelector<HTMLElement>("#title")?.focus({ preventScroll: true });
  }
}

function readAddress(hash: string): { readonly path: string; readonly query: URLSearchParams } {
  const [path = "", query = ""] = hash.replace(/^#/, "").split("?");
  return { path, query: new URLSearchParams(query) };
}

const root = document.getElementById("app");
if (root !== null) void new Page(root).start();
