// @ts-check
// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FakeEngine, FakeModel, STAGE, piece, toolRun } from "./console_doubles.js";
import entry from "../../../patter_nb/console/js/entry.js";

const ENGINE = Symbol.for("patter_nb.audio.2");
const PAGE = Symbol.for("patter_nb.console.1");
const page = /** @type {Record<symbol, any>} */ (globalThis);

/** @type {FakeModel} */
let screen;
/** @type {FakeModel} */
let ears;
/** @type {FakeEngine} */
let engine;
let seq = -1;

beforeEach(() => {
  vi.useFakeTimers();
  document.head.replaceChildren();
  document.body.replaceChildren();
  delete page[PAGE];
  page[ENGINE] = engine = new FakeEngine();
  [screen, ears, seq] = [new FakeModel("screen"), new FakeModel("ears"), -1];
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** @param {string} [part] @param {string} [keepsake] */
async function view(part = "console", keepsake = "") {
  const el = document.createElement("div");
  document.body.append(el);
  /** @type {Record<string, string>} */
  const traits = { part, keepsake, screen: "IPY_MODEL_screen", ears: "IPY_MODEL_ears" };
  const widget_manager = { get_model: async (/** @type {string} */ id) => /** @type {any} */ ({ screen, ears })[id] };
  const close = await entry.render({ model: { get: (name) => traits[name], widget_manager }, el });
  return { el, close };
}
const paint = () => vi.advanceTimersByTime(100);
/** @param {...any[]} ops */
const batch = (...ops) => {
  screen.emit("msg:custom", { kind: "batch", seq: ++seq, ops });
  paint();
};
/** @param {object} [picture] @param {object} [more] */
const snapshot = (picture, more) => {
  const runs = { hears: STAGE, thinks: { name: "AnthropicLLM", model: "claude-haiku-4-5", costs: true }, speaks: STAGE };
  screen.emit("msg:custom", { kind: "snapshot", seq, picture: { state: "ready", runs, ...picture }, ...more });
  paint();
};
const store = () => page[PAGE].leases.get("screen").store;
/** @param {string} name */
const theButton = (name) => {
  const visible = [...document.querySelectorAll("button")].filter(({ hidden }) => !hidden);
  const found = visible.filter((each) => (each.getAttribute("aria-label") ?? each.textContent) === name);
  expect(found).toHaveLength(1);
  return /** @type {HTMLButtonElement} */ (found[0]);
};
/** @param {string} selector */
const text = (selector) => {
  const visible = [...document.querySelectorAll(selector)].filter((each) => each.closest("[hidden]") === null);
  return visible.map(({ textContent }) => textContent);
};
/** @param {string} name */
const region = (name) => /** @type {HTMLElement} */ (document.querySelector(`section[aria-label="${name}"]`));

describe("accessible names", () => {
  it("are the agreed ones", async () => {
    await view();
    snapshot();
    for (const name of ["Talk", "Mute", "Stop", "Send"]) expect(theButton(name).type).toBe("button");
    expect(document.querySelector("textarea")?.getAttribute("aria-label")).toBe("Message");
    for (const name of ["Transcript", "Chunks", "Tools"]) expect(region(name)).not.toBe(null);
    const [status] = document.querySelectorAll('[role="status"]');
    expect(status?.textContent).toBe("Ready");
    expect(status?.getAttribute("aria-live")).toBe("polite");
  });

  it("stay when a button is pressed", async () => {
    await view();
    snapshot();
    theButton("Mute").click();
    paint();
    expect(theButton("Mute").getAttribute("aria-pressed")).toBe("true");
    theButton("Talk").click();
    await vi.advanceTimersByTimeAsync(100);
    expect(theButton("Talk").getAttribute("aria-pressed")).toBe("true");
  });

  it.each([
    ["transcript", ["Transcript"]],
    ["chunks", ["Chunks"]],
    ["tools", ["Tools"]],
    ["audio", []],
  ])("of a part alone: %s", async (part, regions) => {
    await view(part);
    snapshot();
    expect([...document.querySelectorAll("section")].map((each) => each.getAttribute("aria-label"))).toEqual(regions);
  });
});

describe("the transcript", () => {
  const spoken = { id: 1, user: "Hi", status: "running", pieces: [piece("One two three.", { start: 0, stop: 16_000 })] };

  it("says what to try before the first word, and not after it", async () => {
    await view();
    snapshot();
    expect(region("Transcript").textContent).toContain("Press Talk and say “What’s the weather in Paris?”");
    batch(["set", "partial", "what is"]);
    expect(text(".patter-welcome")).toEqual([]);
  });

  it("offers a recording where there is no microphone", async () => {
    engine.opens = async () => {
      throw Object.assign(new Error("no"), { name: "denied", cause: "No.", remedy: "Allow it." });
    };
    await view();
    snapshot();
    theButton("Talk").click();
    await vi.advanceTimersByTimeAsync(100);
    theButton("Send the example question").click();
    expect(ears.told("example")).toHaveLength(1);
  });

  it("lets ink follow the voice without making anything anew", async () => {
    await view();
    snapshot({ rate: 16_000 });
    screen.emit("msg:custom", { kind: "sound", to: store().page, start: 0, rate: 16_000 }, [new ArrayBuffer(2)]);
    batch(["turn", 1, spoken]);
    expect([text(".patter-ink"), text(".patter-ghost")]).toEqual([[""], ["One two three."]]);
    const nodes = [...document.querySelectorAll(".patter-ink, .patter-ghost")].map(({ firstChild }) => firstChild);
    engine.speaker.position = 8000;
    vi.advanceTimersByTime(40);
    expect([text(".patter-ink"), text(".patter-ghost")]).toEqual([["One two "], ["three."]]);
    batch(["piece", 1, 1, piece(" Four.", { start: 16_000, stop: 20_000 })]);
    expect([text(".patter-ink"), text(".patter-ghost")]).toEqual([["One two "], ["three. Four."]]);
    batch(["turn", 1, { heard: "One two", status: "interrupted", heard_ms: 500 }]);
    expect([text(".patter-ink"), text(".patter-ghost")]).toEqual([["One two "], ["three. Four."]]);
    expect([...document.querySelectorAll(".patter-ink, .patter-ghost")].map(({ firstChild }) => firstChild)).toEqual(nodes);
    expect(text(".patter-note")).toContain("interrupted after 0.5 s");
  });

  it("shows what was heard whole where the answer does not begin with it", async () => {
    await view();
    snapshot({ turns: [{ id: 1, status: "completed", pieces: [piece("Nothing like it.")], heard: "Something else." }] });
    expect([text(".patter-ink"), text(".patter-ghost")]).toEqual([["Something else."], [" Nothing like it."]]);
  });

  it.each([
    ["interrupted after 2.1 s", { status: "interrupted", heard: "One", heard_ms: 2100 }],
    ["interrupted before the first word", { status: "interrupted", heard: "", heard_ms: 0 }],
    ["heard 7.2 s late", { status: "offered", late_ms: 7200, pieces: [] }],
    ["failed: Too many requests.", { status: "failed", error: { type: "RateLimitError", message: "Too many requests." }, heard: "" }],
    ["the rest was not heard", { status: "completed", heard: "One two" }],
    ["never heard", { status: "completed", heard: "" }],
    ["said nothing", { status: "completed", pieces: [], heard: "" }],
  ])("says so: %s", async (note, more) => {
    await view();
    snapshot({ turns: [{ ...spoken, ...more }] });
    expect(text(".patter-note").filter(Boolean)).toEqual([note]);
  });

  it("has a late turn answered when the person wants it", async () => {
    await view();
    snapshot({ turns: [{ id: 4, user: "Hello?", source: "speech", status: "offered", late_ms: 7200 }] });
    theButton("Answer it now").click();
    expect(ears.told("accept")).toMatchObject([{ turn: 4 }]);
    batch(["turn", 4, { status: "running" }]);
    expect([...document.querySelectorAll("button")].find(({ textContent }) => textContent === "Answer it now")?.hidden).toBe(true);
  });

  it("keeps the rows that stand, and puts older ones before them", async () => {
    await view();
    snapshot({ older: 1, turns: [{ id: 2, user: "two" }] });
    const row = document.querySelector("article");
    theButton("Show 1 earlier turn").click();
    expect(ears.told("older")).toMatchObject([{ before: 2 }]);
    screen.emit("msg:custom", { kind: "older", to: ears.told("older")[0]?.page, turns: [{ id: 1, user: "one" }], older: 0 });
    paint();
    expect(text("article .patter-row:first-child .patter-words")).toEqual(["one", "two"]);
    expect(document.querySelectorAll("article")[1]).toBe(row);
  });

  it("shows partial words where they will end up, and what is typed until it is read", async () => {
    await view();
    snapshot();
    const box = /** @type {HTMLTextAreaElement} */ (document.querySelector("textarea"));
    box.value = "typed <b>";
    theButton("Send").click();
    batch(["set", "partial", "and I say"]);
    expect(text(".patter-partial .patter-words")).toEqual(["typed <b>", "and I say …"]);
    batch(["set", "partial", ""], ["turn", 1, { source: "typed", user: "typed <b>" }]);
    expect(text(".patter-partial .patter-words")).toEqual([""]);
    expect(text("article .patter-row:first-child .patter-words")).toEqual(["typed <b>"]);
  });
});

describe("tools", () => {
  it("fill in as their arguments stream, in one card", async () => {
    await view();
    snapshot({ turns: [{ id: 1 }] });
    batch(["tool", 1, 0, toolRun({ arguments: "", status: "streaming" })]);
    const card = document.querySelector(".patter-tools article");
    batch(["arguments", 1, 0, '{"city'], ["arguments", 1, 0, '": "Par']);
    expect(text(".patter-arguments code")).toEqual(['{"city": "Par']);
    batch(["tool", 1, 0, toolRun({ arguments: '{"city": "Paris"}', status: "completed", result: "18 degrees", duration_ms: 12 })]);
    expect(document.querySelector(".patter-tools article")).toBe(card);
    expect(text(".patter-tools .patter-card-head")).toEqual(["get_weatherdone12 ms"]);
    expect(text(".patter-result code")).toEqual(["→ 18 degrees"]);
  });

  it("fold long values, and cut endless ones", async () => {
    await view();
    snapshot({ turns: [{ id: 1, tools: [toolRun({ status: "completed", arguments: "x".repeat(161), result: "y".repeat(30_000) })] }] });
    expect(text(".patter-fold small")).toEqual(["161 characters", "30,000 characters"]);
    expect(text(".patter-result pre")[0]?.length).toBeLessThan(20_100);
    expect(text(".patter-result pre")[0]).toContain("10,000 more characters not shown");
  });

  it("say what failed", async () => {
    await view();
    snapshot({ turns: [{ id: 1, tools: [toolRun({ status: "failed", error: "<i>no\u202e" })] }] });
    expect(text(".patter-error-text")).toEqual(["<i>no\\u202e"]);
  });
});

describe("the message box", () => {
  /** @param {Partial<KeyboardEventInit>} init */
  const press = (init) => {
    const box = /** @type {HTMLTextAreaElement} */ (document.querySelector("textarea"));
    const event = new KeyboardEvent("keydown", { bubbles: true, cancelable: true, ...init });
    box.dispatchEvent(event);
    return { box, event };
  };

  it("sends on Enter, begins a line on Shift+Enter, is cleared by Escape, and leaves half-composed words alone", async () => {
    await view();
    snapshot();
    const { box } = press({ key: "a" });
    box.value = "hello";
    expect(press({ key: "Enter", shiftKey: true }).event.defaultPrevented).toBe(false);
    press({ key: "Enter", isComposing: true });
    expect(store().waiting).toEqual([]);
    expect(press({ key: "Enter" }).event.defaultPrevented).toBe(true);
    expect([store().waiting, box.value]).toEqual([["hello"], ""]);
    box.value = "oh no";
    press({ key: "Escape" });
    expect(box.value).toBe("");
    press({ key: "Enter" });
    expect(store().waiting).toEqual(["hello"]);
  });

  it("keeps its keys from the notebook", async () => {
    await view();
    const outside = vi.fn();
    document.addEventListener("keydown", outside);
    press({ key: "d" });
    document.removeEventListener("keydown", outside);
    expect(outside).not.toHaveBeenCalled();
    expect(document.querySelector("textarea")?.matches(".lm-suppress-shortcuts[data-lm-suppress-shortcuts]")).toBe(true);
  });

  it("can be used whatever happens, and keeps what nobody can read", async () => {
    await view();
    snapshot({ state: "stopped" });
    screen.emit("comm_live_update", (screen.comm_live = false));
    paint();
    const { box } = press({ key: "x" });
    expect([box.disabled, theButton("Send").disabled]).toEqual([false, false]);
    box.value = "hello";
    theButton("Send").click();
    paint();
    expect(box.value).toBe("hello");
    expect(text('[role="alert"] .patter-name')).toEqual(["Disconnected"]);
  });
});

describe("fault cards", () => {
  const fault = { id: 1, stage: "llm", type: "RateLimitError", message: "Too <b>many</b>.", hint: "Wait.", turn: null, status: 429 };

  it("tell cause, remedy and detail, and go when they are dismissed", async () => {
    await view();
    snapshot({ faults: [fault] });
    const card = /** @type {HTMLElement} */ (document.querySelector('[role="alert"]'));
    for (const told of ["RateLimitError", "Too <b>many</b>.", "What to do: Wait.", "status: 429"]) expect(card.textContent).toContain(told);
    theButton("Dismiss").click();
    paint();
    expect(document.querySelector('[role="alert"]')).toBe(null);
    snapshot({ faults: [fault] });
    expect(document.querySelector('[role="alert"]')).toBe(null);
  });

  it("are not made anew when another comes, and only the newest three are shown", async () => {
    await view();
    snapshot({ faults: [fault] });
    const card = document.querySelector('[role="alert"]');
    batch(["fault", { ...fault, id: 2, message: "two" }]);
    expect(document.querySelectorAll('[role="alert"]')[1]).toBe(card);
    for (const id of [3, 4, 5]) batch(["fault", { ...fault, id, message: `${id}` }]);
    expect(document.querySelectorAll('[role="alert"]')).toHaveLength(3);
    theButton("Show 2 more").click();
    expect(document.querySelectorAll('[role="alert"]')).toHaveLength(5);
  });
});

const VOICE = { name: "CartesiaTTS", model: "sonic-3", costs: true };

describe("the bar", () => {
  it("names what runs in each stage and what it costs, and nothing of a stage that is not there", async () => {
    await view();
    snapshot({ spent_by: { hears: { usd: "0", unpriced: 0 }, thinks: { usd: "0.0004", unpriced: 0 } } });
    expect(text(".patter-chip")).toEqual(["hears Scripted", "thinks Anthropic claude-haiku-4-5 · $0.0004", "speaks Scripted"]);
    batch(["set", "spent_by", {}], ["set", "runs", { thinks: { name: "OpenAILLM", model: "gpt", costs: true } }]);
    expect(text(".patter-chip")).toEqual(["thinks OpenAI gpt · paid per use"]);
    batch(["set", "spent_by", { thinks: { usd: "0", unpriced: 1 } }]);
    expect(text(".patter-chip")).toEqual(["thinks OpenAI gpt · $0 so far + 1 turn of unknown price"]);
    batch(["set", "spent_by", { thinks: { usd: null, unpriced: 2 } }]);
    expect(text(".patter-chip")).toEqual(["thinks OpenAI gpt · price unknown"]);
    batch(["set", "spent_by", {}], ["set", "runs", { engine: { name: "OpenAIRealtime", model: "rt", costs: false } }]);
    expect(text(".patter-chip")).toEqual(["engine OpenAIRealtime rt · free"]);
    batch(["set", "runs", { thinks: STAGE, speaks: VOICE }], ["set", "spent_by", { speaks: { usd: "0.0123", unpriced: 0 } }]);
    expect(text(".patter-chip")).toEqual(["thinks Scripted", "speaks Cartesia sonic-3 · $0.0123"]);
  });

  it("tells what all stages cost together where one alone does not say it", async () => {
    await view();
    const [one, other] = [{ usd: "0.002", unpriced: 0 }, { usd: "0.0123", unpriced: 0 }];
    const runs = { thinks: { name: "OpenAILLM", model: "gpt", costs: true }, speaks: VOICE };
    snapshot({ runs, spent: { usd: "0.0143", unpriced: 1 }, spent_by: { thinks: one, speaks: other } });
    const all = "in all $0.0143 + 1 turn of unknown price";
    expect(text(".patter-chip")).toEqual(["thinks OpenAI gpt · $0.0020", "speaks Cartesia sonic-3 · $0.0123", all]);
    batch(["set", "runs", { thinks: STAGE }], ["set", "spent_by", { engine: one }], ["set", "spent", one]);
    expect(text(".patter-chip"), "of what was replaced").toEqual(["thinks Scripted · free", "in all $0.0020"]);
  });

  it.each([
    ["has no speech recognition", { runs: { thinks: STAGE } }, {}],
    ["is over", { state: "stopped" }, {}],
    ["hears by other ears", {}, { hears: false }],
  ])("lets nobody talk to a session that %s, and says why", async (_, picture, more) => {
    await view();
    snapshot(picture, more);
    expect(theButton("Talk").disabled).toBe(true);
    expect(theButton("Talk").title).not.toBe("");
    expect(document.querySelector("textarea")?.disabled).toBe(false);
  });

  it("offers sound until this page has it", async () => {
    await view();
    snapshot();
    theButton("Enable sound").click();
    await vi.advanceTimersByTimeAsync(100);
    expect(ears.told("sound_on")).toHaveLength(1);
    expect(text('button[aria-label="Enable sound"]')).toEqual([]);
  });

  it("shows how loud it is while the microphone is open", async () => {
    await view();
    snapshot();
    theButton("Talk").click();
    await vi.advanceTimersByTimeAsync(100);
    engine.ears.onLevel({ rms: -6, peak: 0, silenced: false });
    const bars = [.../** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".patter-meter i"))];
    expect(bars.map((bar) => bar.style.getPropertyValue("--level")).slice(-2)).toEqual(["0.00", "1.00"]);
  });
});

describe("views", () => {
  it("of one session share a store, which lives as long as one of them", async () => {
    const one = await view();
    const two = await view("transcript");
    snapshot({ turns: [{ id: 1, user: "Hi" }] });
    expect(text("article .patter-row:first-child .patter-words")).toEqual(["Hi", "Hi"]);
    expect(ears.told("ready")).toHaveLength(1);
    one.close();
    vi.advanceTimersByTime(10_000);
    batch(["turn", 1, { user: "Hi again" }]);
    expect(two.el.textContent).toContain("Hi again");
    expect(one.el.textContent).not.toContain("Hi again");
    two.close();
    vi.advanceTimersByTime(10_000);
    expect(screen.listening).toBe(0);
    expect(engine.of("release")).toEqual([["screen"]]);
    expect(ears.told("bye")).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("that come back soon find the conversation going on", async () => {
    const first = await view();
    snapshot({ turns: [{ id: 1, user: "Hi" }] });
    first.close();
    first.close();
    vi.advanceTimersByTime(1000);
    await view();
    vi.advanceTimersByTime(10_000);
    expect(text("article .patter-row:first-child .patter-words")).toEqual(["Hi", "Hi"]);
    expect(ears.told("ready")).toHaveLength(1);
    expect(engine.of("release")).toEqual([]);
  });

  it("that fail do not take the others along", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    await view("chunks");
    await view("audio");
    const broken = vi.spyOn(document, "createDocumentFragment").mockImplementation(() => {
      throw new Error("no fragments today");
    });
    snapshot({ turns: [{ id: 1, chunks: [["text", "x"]] }], state: "speaking" });
    broken.mockRestore();
    paint();
    expect(text('[role="status"]')).toEqual(["Speaking"]);
    expect(text('[role="alert"] .patter-name')).toEqual(["Console error"]);
  });

  it("that cannot be shown say so", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    await view("kitchen");
    expect(text('[role="alert"]')[0]).toContain('There is no view named "kitchen"');
  });

  it("hide the static transcript while they are live, one that comes later too", async () => {
    const early = document.createElement("div");
    early.dataset.patterKeepsake = "k1";
    document.body.append(early);
    const shown = () => [...document.querySelectorAll("[data-patter-keepsake]")].map((each) => getComputedStyle(each).display);
    const one = await view("console", "k1");
    const two = await view("console", "k1");
    const late = document.createElement("div");
    late.dataset.patterKeepsake = "k1";
    const other = document.createElement("div");
    other.dataset.patterKeepsake = "k2";
    document.body.append(late, other);
    expect(shown()).toEqual(["none", "none", "block"]);
    one.close();
    one.close();
    expect(shown()).toEqual(["none", "none", "block"]);
    two.close();
    expect(shown()).toEqual(["block", "block", "block"]);
    expect(document.head.children).toHaveLength(0);
  });
});
