/// <reference lib="dom" />
import type { KeyView } from "../lib/remote/api/views.ts";
import type { Api } from "./api.ts";
import type { Shortcut } from "./shortcuts.ts";

/** A view, shown in the main part of the page. */
export interface View {
  readonly element: HTMLElement;
  /** The title of the window. */
  readonly title: string;
  readonly shortcuts: readonly Shortcut[];
}

/** What a view can use. */
export interface ViewContext {
  readonly api: Api;
  readonly me: KeyView;
  /** Aborted when the view is left. */
  readonly signal: AbortSignal;
}
