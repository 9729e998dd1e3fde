// @ts-check
/** A button that copies a text: to the clipboard, or, on a page that has none, by selecting it for Ctrl+C. */
import { button, setText } from "./dom.js";

const SAYS_SO_MS = 2000;

/**
 * @param {string} label accessible name
 * @param {() => string} text what is copied
 * @param {HTMLElement} shown where it stands, to be selected
 */
export function copyButton(label, text, shown) {
  const copy = button(label, copyIt, { class: "patter-button patter-small" });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let saying;
  return copy;

  async function copyIt() {
    try {
      await navigator.clipboard.writeText(text());
      setText(copy, "Copied");
    } catch {
      getSelection()?.selectAllChildren(shown);
      setText(copy, "Selected");
    }
    clearTimeout(saying);
    saying = setTimeout(() => setText(copy, label), SAYS_SO_MS);
  }
}
