/// <reference lib="dom" />
import { make } from "./dom.ts";
import { keepShortcuts, readShortcuts } from "./settings.ts";

/** A single-key shortcut of the page or a view. */
export interface Shortcut {
  readonly key: string;
  readonly label: string;
  readonly run: () => void;
}

/** Handles single-key shortcuts, except in input fields. */
export class Shortcuts {
  readonly #everywhere: readonly Shortcut[];
  #ofView: readonly Shortcut[] = [];
  #on = readShortcuts();

  constructor(everywhere: readonly Shortcut[]) {
    const help: Shortcut = { key: "?", label: "Show shortcuts", run: () => this.showHelp() };
    this.#everywhere = [...everywhere, help];
    document.addEventListener("keydown", (event) => this.#press(event));
  }

  /** Sets the shortcuts of the current view. */
  setView(shortcuts: readonly Shortcut[]): void {
    this.#ofView = shortcuts;
  }

  #press(event: KeyboardEvent): void {
    const { key, target } = event;
    if (!this.#on || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (target instanceof Element && target.closest("input, textarea, select, dialog") !== null) {
      return;
    }
    const found = [...this.#ofView, ...this.#everywhere].find((each) => each.key === key);
    if (found === undefined) return;
    event.preventDefault();
    found.run();
  }

  /** Shows the available shortcuts. */
  showHelp(): void {
    const on = make("input", {
      type: "checkbox",
      checked: this.#on,
      on: {
        change: () => {
          this.#on = on.checked;
          keepShortcuts(on.checked);
        },
      },
    });
    const dialog = make(
      "dialog",
      { class: "dialog", "aria-labelledby": "help-title", on: { close: () => dialog.remove() } },
      make("h2", { id: "help-title" }, "Keyboard"),
      make(
        "dl",
        { class: "keys" },
        ...[...this.#ofView, ...this.#everywhere].map(({ key, label }) =>
          make(
            "div",
            {},
            make("dt", {}, make("kbd", {}, key === "Escape" ? "Esc" : key)),
            make("dd", {}, label),
          )
        ),
      ),
      make("label", { class: "check" }, on, "Enable single-key shortcuts"),
      make(
        "div",
        { class: "actions" },
        make("button", { class: "primary", on: { click: () => dialog.close() } }, "Close"),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  }
}

/** Asks for confirmation of an irreversible action. The safe choice has the focus. */
export function confirmDialog(
  { title, text, yes, no }: {
    readonly title: string;
    readonly text: string;
    readonly yes: string;
    readonly no: string;
  },
): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const keep = make("button", { on: { click: () => dialog.close("no") } }, no);
  const dialog = make(
    "dialog",
    {
      class: "dialog",
      role: "alertdialog",
      "aria-labelledby": "confirm-title",
      "aria-describedby": "confirm-text",
      on: {
        close: () => {
          dialog.remove();
          resolve(dialog.returnValue === "yes");
        },
      },
    },
    make("h2", { id: "confirm-title" }, title),
    make("p", { id: "confirm-text" }, text),
    make(
      "div",
      { class: "actions" },
      keep,
      make("button", { class: "danger", on: { click: () => dialog.close("yes") } }, yes),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  keep.focus();
  return promise;
}
