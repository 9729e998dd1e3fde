// @ts-check
/** A region with a name, a heading that shows it, and a body that scrolls by itself, also with the keyboard. */
import { make } from "./dom.js";

/** @param {"Transcript" | "Chunks" | "Tools"} name accessible name of the region */
export function panel(name) {
  const head = make("div", { class: "patter-head", "aria-hidden": "true" }, name);
  const body = make("div", { class: "patter-body", tabindex: "0", "data-lm-suppress-shortcuts": "true" });
  const element = make("section", { class: `patter-panel patter-${name.toLowerCase()}`, "aria-label": name }, head, body);
  return { element, head, body };
}
