// @ts-check
/**
 * A card for each tool call, which fills in as its arguments stream: what was called, how it went, how long it took, what came of it.
 *
 * @typedef {import("./picture.js").ToolRun} ToolRun
 */
import { heldCall } from "./breakpoint.js";
import { make, setAttribute, setText, writtenOut } from "./dom.js";
import { asCount, asDuration } from "./figures.js";
import { follow } from "./follow.js";
import { panel } from "./panel.js";

const CALLS_SHOWN = 30;
const FOLDED_FROM = 160;
const SUMMARY_LENGTH = 120;
/** More of a value than this is not shown. */
const SHOWN_LENGTH = 20_000;
/** @type {Record<ToolRun["status"], string>} */
const STATUSES = { streaming: "arguments arrive", running: "running", completed: "done", failed: "failed", cancelled: "cancelled" };

/**
 * @param {import("./store.js").ConsoleStore} store
 * @returns {import("./bar.js").Part}
 */
export function toolsPanel(store) {
  const { element, body } = panel("Tools");
  const quiet = make("p", { class: "patter-quiet" }, "Calls of the agent’s tools will appear here: arguments, result, duration.");
  const folded = make("p", { class: "patter-quiet", hidden: true });
  const list = make("div", { class: "patter-cards" });
  body.append(quiet, folded, list);
  const end = follow(body);
  /** @type {Map<string, ReturnType<typeof toolCard>>} */
  const cards = new Map();

  function update() {
    const calls = store.picture.turns.flatMap((turn) => turn.tools.map((tool, place) => ({ key: `${turn.id}/${place}`, tool, turn, place })));
    const shown = calls.slice(-CALLS_SHOWN);
    const wanted = new Set(shown.map(({ key }) => key));
    for (const [key, card] of cards) {
      if (wanted.has(key)) continue;
      card.element.remove();
      cards.delete(key);
    }
    let next = list.firstElementChild;
    for (const { key, tool, turn, place } of shown) {
      const card = cards.get(key) ?? toolCard();
      cards.set(key, card);
      card.update(tool, heldCall(store.picture, turn, place));
      if (card.element === next) next = next.nextElementSibling;
      else list.insertBefore(card.element, next);
    }
    quiet.hidden = calls.length > 0;
    folded.hidden = calls.length === shown.length;
    setText(folded, asCount(calls.length - shown.length, "earlier call"));
    end.stay();
  }

  return { element, update, dispose: end.stop };
}

function toolCard() {
  const name = make("bdi", { class: "patter-name" });
  const status = make("span", { class: "patter-how" });
  const took = make("span", { class: "patter-took" });
  const given = foldedValue("patter-arguments", "");
  const result = foldedValue("patter-result", "→ ");
  const error = make("div", { class: "patter-error-text", dir: "auto" });
  const head = make("div", { class: "patter-card-head" }, name, status, took);
  const element = make("article", { class: "patter-card" }, head, given.element, result.element, error);

  /** @param {ToolRun} tool @param {"stopped" | "waits" | null} held */
  function update(tool, held) {
    setText(name, writtenOut(tool.name));
    const how = held === null ? STATUSES[tool.status] : held === "stopped" ? "stopped here" : "waits";
    setText(status, tool.edited ? `edited, ${how}` : how);
    setAttribute(element, "data-status", tool.status);
    setAttribute(element, "data-stopped", held === "stopped" ? "" : null);
    setText(took, tool.duration_ms === null ? "" : asDuration(tool.duration_ms));
    given.update(tool.arguments, tool.status !== "streaming");
    result.update(tool.result, true);
    error.hidden = tool.error === null;
    setText(error, tool.error === null ? "" : writtenOut(tool.error));
  }

  return { element, update };
}

/**
 * A value: as it is while it is short or still grows, else a summary that opens.
 * @param {string} cls
 * @param {string} before a word before it
 */
function foldedValue(cls, before) {
  const text = document.createTextNode("");
  const plain = make("code", { class: "patter-value" }, before, make("bdi", {}, text));
  const begin = document.createTextNode("");
  const size = make("small");
  const beginning = make("code", {}, before, make("bdi", {}, begin));
  const summary = make("summary", { class: "patter-fold", "data-lm-suppress-shortcuts": "true" }, beginning, size);
  const whole = make("pre", { tabindex: "0", dir: "auto" });
  const details = make("details", { hidden: true }, summary, whole);
  const element = make("div", { class: cls, hidden: true }, plain, details);
  /** @type {string | null} */
  let value = null;
  let mayFold = false;

  /**
   * @param {string | null} next
   * @param {boolean} complete
   */
  function update(next, complete) {
    if (next === value && complete === mayFold) return;
    const onward = value !== null && next !== null && !mayFold && !complete && next.startsWith(value) ? next.slice(value.length) : null;
    value = next;
    mayFold = complete;
    element.hidden = next === null;
    const long = complete && next !== null && next.length > FOLDED_FROM;
    plain.hidden = long;
    details.hidden = !long;
    if (onward !== null) text.appendData(writtenOut(onward));
    else setText(text, long || next === null ? "" : shortened(next));
    setText(begin, long ? writtenOut(next.slice(0, SUMMARY_LENGTH).replaceAll(/\s+/g, " ")) : "");
    setText(size, long ? asCount(next.length, "character") : "");
    setText(whole, long ? shortened(next) : "");
  }

  return { element, update };
}

/** @param {string} text */
function shortened(text) {
  const rest = text.length - SHOWN_LENGTH;
  return writtenOut(text.slice(0, SHOWN_LENGTH)) + (rest > 0 ? `\n… ${asCount(rest, "more character")} not shown` : "");
}
