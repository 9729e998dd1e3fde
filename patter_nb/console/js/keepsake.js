// @ts-check
/**
 * A saved notebook has no console, so the conversation also lies as a static transcript in an output of its own. While a console shows
 * the same thing live, the transcript is hidden: by a rule of style, which also holds for one that appears later or is written anew.
 */
import { thisPage } from "./pages.js";

/**
 * @param {string} id of the transcript; nothing for ""
 * @returns {() => void} what shows it again, once the last live view is gone
 */
export function hideKeepsake(id) {
  if (id === "") return () => {};
  const { keepsakes } = thisPage();
  let hidden = keepsakes.get(id);
  if (hidden === undefined) {
    const style = document.createElement("style");
    style.textContent = `[data-patter-keepsake="${id.replaceAll(/[^\w-]/g, escaped)}"]{display:none !important}`;
    document.head.append(style);
    hidden = { count: 0, style };
    keepsakes.set(id, hidden);
  }
  const held = hidden;
  held.count += 1;
  let here = true;
  return () => {
    if (!here) return;
    here = false;
    held.count -= 1;
    if (held.count > 0) return;
    held.style.remove();
    keepsakes.delete(id);
  };
}

/** @param {string} character as a string of CSS can hold it */
function escaped(character) {
  return `\\${character.charCodeAt(0).toString(16)} `;
}
