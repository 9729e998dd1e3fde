// @ts-check
/**
 * What there is to choose from for a stage: a small dialog under its chip. A list says of each provider whether it could run now and
 * whether it costs; beside it stands what is missing, the cell that does the same, and what uses it.
 *
 * The kernel is asked each time it opens, for a key may have been set since.
 *
 * @typedef {import("./offer.js").Offer} Offer
 * @typedef {import("./stages.js").StageName} StageName
 */
import { copyButton } from "./copying.js";
import { button, keepKeys, make, setText, writtenOut } from "./dom.js";
import { cellOf, isForPicker, isModelName, modelsOf, nameOfOffer, readGroups } from "./offer.js";

/** @type {Record<StageName, string>} */
const QUESTIONS = { hears: "What hears", thinks: "What thinks", speaks: "What speaks", engine: "What runs" };
/** States in which an answer is under way, that can be taken over. */
const ANSWERING = new Set(["thinking", "calling", "speaking", "paused"]);
const ANOTHER = "\u0000";
const MARGIN = 10;

/**
 * @param {import("./store.js").ConsoleStore} store
 * @param {(stage: StageName) => HTMLElement} chipOf what the keyboard goes back to
 */
export function stagePicker(store, chipOf) {
  const list = make("div", { class: "patter-offers", role: "listbox" });
  const detail = offerDetail(store, choose);
  const wait = make("p", { class: "patter-quiet" }, "Asking the kernel what there is …");
  const element = make("div", { class: "patter-picker", role: "dialog", hidden: true }, wait, list, detail.element);
  const told = make("span", { class: "patter-unseen-words", "aria-live": "polite" });
  /** @type {StageName | null} */
  let stage = null;
  /** @type {{offer: Offer, element: HTMLElement}[]} */
  let options = [];
  /** Whether something was chosen here; the page may show the session twice. */
  let awaited = false;
  const unhear = store.hear((content) => take(content));
  keepKeys(element);
  element.addEventListener("keydown", (event) => void (event.key === "Escape" && close(true)));
  element.addEventListener("focusout", ({ relatedTarget }) => {
    if (relatedTarget instanceof Node && isOutside(relatedTarget)) close(false);
  });
  list.addEventListener("keydown", walk);

  /** @param {Node} node */
  function isOutside(node) {
    return !element.contains(node) && stage !== null && !chipOf(stage).contains(node);
  }

  /** @param {Event} event */
  function pressed(event) {
    const [target] = event.composedPath();
    if (target instanceof Node && isOutside(target)) close(false);
  }

  /** @param {StageName} wanted */
  function toggle(wanted) {
    if (stage === wanted) return close(true);
    stage = wanted;
    options = [];
    list.replaceChildren();
    element.setAttribute("aria-label", `${QUESTIONS[wanted]}: choose`);
    list.setAttribute("aria-label", QUESTIONS[wanted]);
    list.hidden = detail.element.hidden = true;
    wait.hidden = element.hidden = false;
    document.addEventListener("pointerdown", pressed, true);
    store.tell({ kind: "menu", stage: wanted });
    store.changed();
    fit();
  }

  /** @param {boolean} back whether the keyboard goes back to the chip */
  function close(back) {
    if (stage === null) return;
    const chip = chipOf(stage);
    stage = null;
    element.hidden = true;
    document.removeEventListener("pointerdown", pressed, true);
    if (back) chip.focus();
    store.changed();
  }

  /** It hangs under its chip, over what is below the bar, and goes no further than the console does. */
  function fit() {
    const root = element.closest(".patter");
    if (root === null || stage === null) return;
    const hangs = getComputedStyle(element).position === "absolute";
    const room = root.getBoundingClientRect().bottom - element.getBoundingClientRect().top - MARGIN;
    const widest = (element.offsetParent?.clientWidth ?? 0) - element.offsetWidth;
    element.style.maxHeight = hangs ? `${Math.max(room, 0)}px` : "";
    element.style.left = hangs ? `${Math.max(Math.min(chipOf(stage).offsetLeft, widest), 0)}px` : "";
  }

  /** @param {Record<string, any>} content */
  function take(content) {
    if (!isForPicker(content) || content.to !== store.page) return;
    if (content.kind === "menu" && content.stage === stage) show(content.groups);
    if (content.kind === "chosen" && awaited) settle(content);
  }

  /** @param {unknown} groups */
  function show(groups) {
    options = [];
    list.replaceChildren(
      ...readGroups(groups).map(({ title, offers }) => {
        const head = make("div", { class: "patter-offers-title", "aria-hidden": "true" }, writtenOut(title));
        return make("div", { role: "group", "aria-label": writtenOut(title) }, head, ...offers.map(optionOf));
      }),
    );
    wait.hidden = true;
    list.hidden = detail.element.hidden = false;
    const first = options.find(({ offer }) => offer.runs) ?? options.find(({ offer }) => offer.ready) ?? options[0];
    if (first !== undefined) select(first);
    fit();
    first?.element.scrollIntoView?.({ block: "nearest" });
  }

  /** @param {Offer} offer */
  function optionOf(offer) {
    const price = make("span", { class: "patter-offer-price" }, offer.costs ? "paid per use" : "free");
    const badge = make("span", { class: "patter-offer-badge" }, offer.runs ? "runs now" : writtenOut(offer.badge));
    const state = offer.runs ? "runs" : offer.ready ? "ready" : "missing";
    const dot = make("span", { class: "patter-offer-dot", "aria-hidden": "true" });
    const name = make("span", { class: "patter-offer-name" }, writtenOut(nameOfOffer(offer)));
    const attributes = { class: "patter-offer", role: "option", tabindex: "-1", "aria-selected": "false", "data-state": state };
    const option = { offer, element: make("div", attributes, dot, name, " ", price, " ", badge) };
    option.element.addEventListener("click", () => select(option));
    option.element.addEventListener("dblclick", () => detail.use());
    options.push(option);
    return option.element;
  }

  /** @param {{offer: Offer, element: HTMLElement}} option */
  function select(option) {
    for (const each of options) {
      each.element.setAttribute("aria-selected", String(each === option));
      each.element.tabIndex = each === option ? 0 : -1;
    }
    detail.show(option.offer);
    option.element.focus();
  }

  /** @param {KeyboardEvent} event */
  function walk(event) {
    const at = options.findIndex(({ element: each }) => each.tabIndex === 0);
    /** @type {Record<string, number>} */
    const ways = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: options.length - 1 };
    const next = options[Object.hasOwn(ways, event.key) ? ways[event.key] : byLetter(event.key, at)];
    if (event.key === "Enter" || event.key === " ") detail.use();
    else if (next === undefined) return;
    else select(next);
    event.preventDefault();
  }

  /** @param {string} key @param {number} at the next option that begins with this letter, -1 for none */
  function byLetter(key, at) {
    if (!/^\p{L}$/u.test(key)) return -1;
    const places = [...options.keys()].map((place) => (at + 1 + place) % options.length);
    return places.find((place) => nameOfOffer(options[place].offer).toLowerCase().startsWith(key.toLowerCase())) ?? -1;
  }

  /** @param {Offer} offer @param {string | null} model @param {"turn" | "now"} when */
  function choose({ part, name }, model, when) {
    awaited = true;
    store.tell({ kind: "choose", part, name, model, when });
  }

  /** The kernel has done it, or says why not. @param {Record<string, any>} content */
  function settle({ name, when, error }) {
    awaited = false;
    const isOpen = stage !== null;
    if (isOpen) close(element.contains(document.activeElement));
    if (error === null) return setText(told, `${name ?? "nothing"} ${when === "now" ? "from now on" : "from the next turn on"}`);
    const message = `It could not be chosen: ${error.message}`;
    store.report({ stage: "console", type: String(error.type), message, ...(error.hint ? { hint: String(error.hint) } : {}) });
  }

  function update() {
    if (stage === null) return;
    if (!store.live || store.picture.state === "stopped") return close(false);
    detail.update();
    fit();
  }

  return {
    element: make("div", { class: "patter-picker-place" }, element, told),
    /** Which stage it is open for. @returns {StageName | null} */
    get stage() {
      return stage;
    },
    toggle,
    update,
    dispose() {
      document.removeEventListener("pointerdown", pressed, true);
      unhear();
    },
  };
}

/**
 * One offer: which model, what is missing, its cell, and what uses it.
 * @param {import("./store.js").ConsoleStore} store
 * @param {(offer: Offer, model: string | null, when: "turn" | "now") => void} choose
 */
function offerDetail(store, choose) {
  const why = make("p", { class: "patter-offer-why", "aria-live": "polite" });
  const select = make("select", { class: "patter-select", "aria-label": "Model" });
  const own = make("input", { class: "patter-own-model", type: "text", "aria-label": "Name of the model", maxlength: "200", spellcheck: "false" });
  const model = make("div", { class: "patter-offer-model" }, make("span", { "aria-hidden": "true" }, "Model"), select, own);
  const code = make("pre", { tabindex: "0", "aria-label": "The cell that does the same" });
  const useButton = button("Use", () => use(), { class: "patter-button patter-small patter-primary" });
  const nowButton = button("Now", () => use("now"), { class: "patter-button patter-small", title: "in the middle of this answer" });
  const copy = copyButton("Copy cell", () => cell(), code);
  const acts = make("div", { class: "patter-offer-acts" }, useButton, nowButton, copy);
  const element = make("div", { class: "patter-offer-detail" }, why, model, acts, code);
  /** @type {Offer | null} */
  let offer = null;
  let sent = false;
  select.addEventListener("change", () => {
    update();
    if (select.value === ANOTHER) own.focus();
  });
  own.addEventListener("input", update);
  own.addEventListener("keydown", ({ key, isComposing }) => void (key === "Enter" && !isComposing && use()));

  function chosenModel() {
    return select.value === ANOTHER ? own.value.trim() : select.value;
  }

  function cell() {
    return offer === null ? "" : cellOf(offer, chosenModel());
  }

  function mayUse() {
    return offer !== null && offer.ready && !sent && (!offer.any_model || isModelName(chosenModel()));
  }

  /** @param {"turn" | "now"} [when] */
  function use(when = "turn") {
    if (offer === null || !mayUse()) return;
    sent = true;
    choose(offer, offer.any_model ? chosenModel() : null, when);
    update();
  }

  /** @param {Offer} next */
  function show(next) {
    offer = next;
    sent = false;
    setText(why, writtenOut(next.why));
    why.classList.toggle("patter-missing", !next.ready);
    model.hidden = !next.any_model;
    const names = modelsOf(next).map((name) => new Option(writtenOut(name), name));
    select.replaceChildren(...names, new Option("another …", ANOTHER));
    select.value = next.model ?? next.models[0] ?? ANOTHER;
    own.value = "";
    update();
  }

  function update() {
    if (offer === null) return;
    const answering = ANSWERING.has(store.picture.state);
    own.hidden = select.value !== ANOTHER;
    setText(code, writtenOut(cell()));
    useButton.hidden = nowButton.hidden = !offer.ready;
    nowButton.hidden ||= !answering;
    setText(useButton, answering ? "From the next turn" : "Use");
    useButton.disabled = nowButton.disabled = !mayUse();
  }

  return { element, show, update, use };
}
