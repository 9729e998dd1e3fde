// @ts-check
/**
 * What went wrong, as cards: cause, remedy, and a detail to copy. Never a red traceback over the conversation.
 *
 * @typedef {import("./trouble.js").ShownFault} ShownFault
 */
import { copyButton } from "./copying.js";
import { button, foreign, make, setText } from "./dom.js";

const FAULTS_SHOWN = 3;

/**
 * @param {import("./store.js").ConsoleStore} store
 * @returns {import("./bar.js").Part}
 */
export function faultCards(store) {
  const list = make("div", { class: "patter-fault-list" });
  const more = button("", () => showAll(), { class: "patter-button patter-small", hidden: true });
  const element = make("div", { class: "patter-faults" }, list, more);
  /** @type {Map<string, ReturnType<typeof faultCard>>} */
  const cards = new Map();
  let limit = FAULTS_SHOWN;

  function showAll() {
    limit = Infinity;
    update();
  }

  function update() {
    const all = store.trouble.shown(store.picture.faults);
    const shown = all.slice(Math.max(0, all.length - limit)).reverse();
    const keys = new Set(shown.map(keyOf));
    for (const [key, card] of cards) {
      if (keys.has(key)) continue;
      card.element.remove();
      cards.delete(key);
    }
    let next = list.firstElementChild;
    for (const fault of shown) {
      const card = cards.get(keyOf(fault)) ?? faultCard(fault, (ids) => store.dismiss(ids));
      cards.set(keyOf(fault), card);
      card.update(fault);
      if (card.element === next) next = next.nextElementSibling;
      else list.insertBefore(card.element, next);
    }
    element.hidden = all.length === 0;
    more.hidden = all.length <= shown.length;
    setText(more, `Show ${all.length - shown.length} more`);
    if (all.length <= FAULTS_SHOWN) limit = FAULTS_SHOWN;
  }

  return { element, update };
}

/** @param {ShownFault} fault */
function keyOf({ ids }) {
  return String(ids[0]);
}

/**
 * @param {ShownFault} fault
 * @param {(ids: ShownFault["ids"]) => void} dismiss
 */
function faultCard(fault, dismiss) {
  let { ids } = fault;
  const times = make("span", { class: "patter-took" });
  const close = button("×", () => dismiss(ids), { class: "patter-close", "aria-label": "Dismiss", title: "Dismiss" });
  const stage = make("span", { class: "patter-stage" }, foreign(fault.stage));
  const head = make("div", { class: "patter-card-head" }, foreign(fault.type, "patter-name"), stage, times, close);
  const element = make("div", { class: "patter-card patter-fault", role: "alert" }, head, make("p", {}, foreign(fault.message)));
  if (fault.hint) element.append(make("p", {}, make("b", {}, "What to do: "), foreign(fault.hint)));
  if (fault.detail) element.append(detailOf(fault.detail));

  return {
    element,
    /** @param {ShownFault} now */
    update(now) {
      ids = now.ids;
      setText(times, now.times > 1 ? `${now.times} times` : "");
    },
  };
}

/** @param {string} detail */
function detailOf(detail) {
  const text = make("pre", { tabindex: "0" }, foreign(detail));
  const copy = copyButton("Copy", () => detail, text);
  return make("details", {}, make("summary", { "data-lm-suppress-shortcuts": "true" }, "Detail"), text, copy);
}
