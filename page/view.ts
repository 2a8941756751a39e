/// <reference lib="dom" />
import type { KeyView } from "../lib/remote/api/views.ts";
import type { Api } from "./api.ts";
import type { Shortcut } from "./shortcuts.ts";

/** What is shown in the page's middle; ends with its signal. */
export interface View {
  readonly element: HTMLElement;
  /** Of the window, and read out when the view is entered. */
  readonly title: string;
  readonly shortcuts: readonly Shortcut[];
}

/** What a view works with. */
export interface ViewContext {
  readonly api: Api;
  readonly me: KeyView;
  /** Aborted when the view is left. */
  readonly signal: AbortSignal;
}
