// @ts-check
// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { talkingSession } from "./console_doubles.js";
import { cellOf, isModelName, readGroups } from "../../../patter_nb/console/js/offer.js";
import { stageChips } from "../../../patter_nb/console/js/stages.js";

/** @typedef {import("../../../patter_nb/console/js/offer.js").Offer} Offer */

/** @param {Partial<Offer>} more @returns {Offer} */
function offer(more) {
  const cell = `session.use(llm=${more.name ?? "OneLLM"}(model="{model}"))`;
  const ready = { badge: "ready", ready: true, costs: true, why: "KEY is set.", runs: false, model: null };
  return { part: "llm", name: "OneLLM", ...ready, models: ["m1", "m2"], any_model: true, cell, ...more };
}
const MISSING = { badge: "key missing", ready: false, why: "Not set: TWO_API_KEY" };
const GROUPS = [
  { title: "Language models", offers: [offer({}), offer({ name: "TwoLLM", ...MISSING }), offer({ name: "ThreeLLM", costs: false, any_model: false })] },
  { title: "Engines", offers: [offer({ name: "Four", part: "engine" })] },
];
const RUNS = { thinks: { name: "OneLLM", model: "m1", costs: true } };

/** @type {ReturnType<typeof talkingSession>} */
let all;
/** @type {ReturnType<typeof stageChips>} */
let chips;

beforeEach(() => {
  vi.useFakeTimers();
  document.body.replaceChildren();
  all = talkingSession({ runs: RUNS });
  chips = stageChips(all.store);
  const outside = document.createElement("button");
  document.body.append(chips.element, outside);
  chips.update();
  all.store.subscribe(chips.update);
  all.ears.sent.length = 0;
});
afterEach(() => {
  chips.dispose?.();
  all.store.dispose();
  vi.useRealTimers();
});

const paint = () => vi.advanceTimersByTime(100);
const dialog = () => /** @type {HTMLElement} */ (document.querySelector('[role="dialog"]'));
const chip = (stage = "thinks") => /** @type {HTMLButtonElement} */ (document.querySelector(`[data-stage="${stage}"]`));
const options = () => /** @type {HTMLElement[]} */ ([...document.querySelectorAll('[role="option"]')]);
/** @param {string} name */
const option = (name) => /** @type {HTMLElement} */ (options().find((each) => each.textContent?.startsWith(name)));
const selected = () => options().filter((each) => each.getAttribute("aria-selected") === "true").map((each) => each.textContent?.split(" ")[0]);
/** @param {string} name */
const named = (name) => /** @type {HTMLButtonElement} */ ([...dialog().querySelectorAll("button")].find((each) => each.textContent === name));
const cell = () => dialog().querySelector("pre")?.textContent;
/** @param {string} key @param {Element | null} [on] */
const press = (key, on = document.activeElement) => on?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));

function open(stage = "thinks", groups = GROUPS) {
  chip(stage).click();
  all.kernel.says({ kind: "menu", to: "this page", stage, groups });
  paint();
}
/** @param {object | null} error */
const chosen = (error, to = "this page") => {
  all.kernel.says({ kind: "chosen", to, name: "OneLLM", when: "turn", error });
  paint();
};

describe("the picker", () => {
  it("asks the kernel anew each time it opens, and is a dialog that its chip names", () => {
    expect([chip().getAttribute("aria-haspopup"), chip().getAttribute("aria-expanded"), dialog().hidden]).toEqual(["dialog", "false", true]);
    open();
    expect(all.ears.told("menu")).toEqual([{ kind: "menu", stage: "thinks", page: "this page" }]);
    expect([chip().getAttribute("aria-expanded"), dialog().hidden]).toEqual(["true", false]);
    expect(dialog().getAttribute("aria-label")).toBe("What thinks: choose");
    expect([...document.querySelectorAll('[role="group"]')].map((each) => each.getAttribute("aria-label"))).toEqual(["Language models", "Engines"]);
    press("Escape");
    paint();
    expect([dialog().hidden, document.activeElement === chip(), chip().getAttribute("aria-expanded")]).toEqual([true, true, "false"]);
    open();
    expect(all.ears.told("menu")).toHaveLength(2);
  });

  it("says of each whether it is ready and whether it costs, and begins with what runs", () => {
    const [one, two] = GROUPS[0].offers;
    open("thinks", [{ title: "Language models", offers: [two, { ...one, runs: true, model: "of-ones-own" }] }]);
    expect(options().map((each) => each.textContent)).toEqual(["TwoLLM paid per use key missing", "OneLLM paid per use runs now"]);
    expect(selected()).toEqual(["OneLLM"]);
    expect(document.activeElement).toBe(option("OneLLM"));
    expect([...(dialog().querySelector("select")?.options ?? [])].map(({ text }) => text)).toEqual(["of-ones-own", "m1", "m2", "another …"]);
  });

  it("goes through the list by keys, past its end and by letter", () => {
    open();
    press("ArrowDown");
    expect([selected(), document.activeElement]).toEqual([["TwoLLM"], option("TwoLLM")]);
    press("End");
    press("ArrowDown");
    expect(selected()).toEqual(["Four"]);
    press("t");
    press("t");
    expect(selected()).toEqual(["ThreeLLM"]);
    press("Home");
    press("ArrowUp");
    expect(selected()).toEqual(["OneLLM"]);
    expect(options().map(({ tabIndex }) => tabIndex)).toEqual([0, -1, -1, -1]);
  });

  it("has what is chosen used, once, and tells that it went well", () => {
    open();
    press("Enter");
    press("Enter");
    expect(all.ears.told("choose")).toEqual([{ kind: "choose", part: "llm", name: "OneLLM", model: "m1", when: "turn", page: "this page" }]);
    chosen(null, "another page");
    expect(dialog().hidden).toBe(false);
    chosen(null);
    expect([dialog().hidden, document.activeElement === chip()]).toEqual([true, true]);
    expect(document.querySelector(".patter-unseen-words")?.textContent).toBe("OneLLM from the next turn on");
    expect(all.store.trouble.shown([])).toEqual([]);
  });

  it("makes a card with the way out of what could not be chosen, and of another view's choice nothing", () => {
    chosen({ type: "PatterConfigError", message: "It is taken.", hint: "Make another." });
    expect(all.store.trouble.shown([])).toEqual([]);
    open();
    named("Use").click();
    chosen({ type: "PatterConfigError", message: "It is taken.", hint: "Make another." });
    expect(all.store.trouble.shown([])).toMatchObject([{ message: "It could not be chosen: It is taken.", hint: "Make another.", times: 1 }]);
    expect(dialog().hidden).toBe(true);
  });

  it("offers to take over now where an answer runs", () => {
    open();
    expect([named("Use").hidden, named("Now").hidden]).toEqual([false, true]);
    all.kernel.batch(["set", "state", "speaking"]);
    paint();
    named("Now").click();
    expect(named("From the next turn").disabled).toBe(true);
    expect(all.ears.told("choose")).toMatchObject([{ when: "now" }]);
  });

  it("uses nothing that is not ready, but has its cell", () => {
    open();
    option("TwoLLM").click();
    expect(dialog().querySelector(".patter-offer-why")?.textContent).toBe("Not set: TWO_API_KEY");
    expect([named("Use").hidden, named("Now").hidden, named("Copy cell").hidden]).toEqual([true, true, false]);
    press("Enter");
    option("TwoLLM").dispatchEvent(new MouseEvent("dblclick", { bubbles: true }));
    expect(all.ears.told("choose")).toEqual([]);
    expect(cell()).toBe('session.use(llm=TwoLLM(model="m1"))');
  });

  it("takes another model's name, written into the cell, where it is one", () => {
    open();
    const select = /** @type {HTMLSelectElement} */ (dialog().querySelector("select"));
    const own = /** @type {HTMLInputElement} */ (dialog().querySelector("input"));
    expect(own.hidden).toBe(true);
    select.value = select.options[2].value;
    select.dispatchEvent(new Event("change"));
    expect([own.hidden, document.activeElement === own, named("Use").disabled]).toEqual([false, true, true]);
    for (const [name, ok] of /** @type {[string, boolean][]} */ ([['x")', false], [" owner/model:1 ", true], ["a\u202eb", false]])) {
      own.value = name;
      own.dispatchEvent(new Event("input"));
      expect(named("Use").disabled).toBe(!ok);
      expect(cell()).toBe(`session.use(llm=OneLLM(model="${ok ? name.trim() : "..."}"))`);
    }
    own.value = "owner/model:1";
    press("Enter", own);
    expect(all.ears.told("choose")).toMatchObject([{ model: "owner/model:1" }]);
    option("ThreeLLM").click();
    expect(/** @type {HTMLElement} */ (select.parentElement).hidden).toBe(true);
  });

  it("copies the cell, or selects it where there is no clipboard", async () => {
    open();
    const written = vi.fn(async () => {});
    vi.stubGlobal("navigator", { clipboard: { writeText: written } });
    named("Copy cell").click();
    await vi.advanceTimersByTimeAsync(10);
    expect(written).toHaveBeenCalledWith('session.use(llm=OneLLM(model="m1"))');
    expect(named("Copied")).toBeDefined();
    await vi.advanceTimersByTimeAsync(2500);
    vi.stubGlobal("navigator", {});
    named("Copy cell").click();
    await vi.advanceTimersByTimeAsync(10);
    expect(getSelection()?.toString()).toBe('session.use(llm=OneLLM(model="m1"))');
    vi.unstubAllGlobals();
  });

  it("closes when the person goes elsewhere, or the session is gone", () => {
    open();
    document.body.lastElementChild?.dispatchEvent(new Event("pointerdown", { bubbles: true }));
    paint();
    expect(dialog().hidden).toBe(true);
    open();
    named("Copy cell").focus();
    /** @type {HTMLElement} */ (document.body.lastElementChild).focus();
    expect([dialog().hidden, document.activeElement === document.body.lastElementChild]).toEqual([true, true]);
    open();
    all.kernel.batch(["set", "state", "stopped"]);
    paint();
    expect([dialog().hidden, chip().disabled]).toEqual([true, true]);
  });

  it("leaves the notebook's shortcuts their keys and takes its own from them", () => {
    const heard = vi.fn();
    document.body.addEventListener("keydown", heard);
    open();
    for (const key of ["a", "d", "Escape"]) press(key);
    expect(heard).not.toHaveBeenCalled();
    document.body.removeEventListener("keydown", heard);
  });

  it("is reached for a stage that nobody does, too, but not beside an engine", () => {
    expect(chip("hears").hidden).toBe(false);
    expect([chip("hears").textContent, chip("hears").className]).toEqual(["hears nothing", "patter-nobody"]);
    all.kernel.batch(["set", "runs", { engine: { name: "OpenAIRealtime", model: "rt", costs: true } }]);
    paint();
    expect(["hears", "thinks", "speaks", "engine"].filter((stage) => !chip(stage).hidden)).toEqual(["engine"]);
  });

  it("keeps its chips, so that one that is focused stays so while the price changes", () => {
    chip().focus();
    all.kernel.batch(["set", "spent_by", { thinks: { usd: "0.5", unpriced: 0 } }]);
    paint();
    expect([chip().textContent, document.activeElement === chip()]).toEqual(["thinks One m1 · $0.5000", true]);
  });
});

describe("an offer", () => {
  it("of another form is not understood", () => {
    const wrong = [undefined, [{ title: "x" }], [{ title: "x", offers: [{ ...offer({}), ready: "yes" }] }], [{ title: "x", offers: [{ ...offer({}), key: 1, models: [1] }] }]];
    for (const groups of wrong) expect(() => readGroups(groups)).toThrow("The kernel sent a menu of another form.");
  });

  it("is written into a cell as it is, with no way out of its quotes", () => {
    expect(cellOf(offer({}), "$&$1")).toBe('session.use(llm=OneLLM(model="$&$1"))');
    expect(["a b", "hf:owner/repo/file.gguf", "", 'a"b', "a\\b", "a\nb", "a\u0000", "a\u202e", "x".repeat(201)].map(isModelName)).toEqual([true, true, ...Array(7).fill(false)]);
  });
});
