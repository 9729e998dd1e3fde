// @ts-check
// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FakeModel, piece, session, toolRun } from "./console_doubles.js";
import { ConsoleStore } from "../../../patter_nb/console/js/store.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("batches", () => {
  it("ask for the whole picture first, and wait for it", () => {
    const { ears, store, kernel } = session();
    expect(ears.told("ready")).toEqual([{ kind: "ready", last: -1, page: "this page", sent: expect.any(Number) }]);
    kernel.batch(["set", "state", "speaking"]);
    expect(store.picture.state).toBe("starting");
    kernel.snapshot({ state: "ready" });
    kernel.batch(["set", "state", "listening"]);
    expect(store.picture.state).toBe("listening");
  });

  it("carry out every kind of change", () => {
    const { store, kernel } = session({});
    kernel.batch(
      ["turn", 1, { id: 1, source: "speech", user: "What is it?" }],
      ["piece", 1, 0, piece("It is.", { done: false })],
      ["piece", 1, 0, piece("It is.", { start: 0, stop: 80 })],
      ["tool", 1, 0, toolRun({ arguments: "", status: "streaming", id: null })],
      ["arguments", 1, 0, '{"a"'],
      ["arguments", 1, 0, ": 1}"],
      ["chunks", 1, [["text", "It"]]],
      ["chunks", 1, [["text", " is", " dry"], ["reasoning", "hm"]]],
      ["turn", 1, { status: "completed", heard: "It is." }],
      ["fault", { id: 1, stage: "llm", type: "ServerError", message: "It broke.", turn: 1, status: 500, provider: "openai" }],
    );
    const [turn] = store.picture.turns;
    expect(turn).toMatchObject({ id: 1, source: "speech", user: "What is it?", status: "completed", heard: "It is.", first_ms: null });
    expect(turn?.pieces).toEqual([piece("It is.", { start: 0, stop: 80 })]);
    expect(turn?.tools[0]?.arguments).toBe('{"a": 1}');
    expect(turn?.chunks).toEqual([["text", "It"], ["text", " is"], ["text", " dry"], ["reasoning", "hm"]]);
    expect(store.picture.faults).toEqual([
      { id: 1, stage: "llm", type: "ServerError", message: "It broke.", hint: null, turn: 1, detail: "status: 500\nprovider: openai" },
    ]);
  });

  it("that were applied already change nothing", () => {
    const { store, kernel } = session({ turns: [{ id: 1 }] });
    const batch = { kind: "batch", seq: 0, ops: [["chunks", 1, [["text", "x"]]]] };
    kernel.says(batch);
    kernel.says(batch);
    expect(store.picture.turns[0]?.chunks).toHaveLength(1);
  });

  it("after a gap wait for the picture, which is asked for again when it does not come", () => {
    const { ears, store, kernel } = session({});
    kernel.batch(["set", "partial", "one"]);
    kernel.lose();
    kernel.batch(["set", "partial", "three"]);
    expect(store.picture.partial).toBe("one");
    expect(ears.told("ready").at(-1)).toMatchObject({ last: 0 });
    kernel.batch(["set", "partial", "four"]);
    expect(ears.told("ready")).toHaveLength(2);
    vi.advanceTimersByTime(2500);
    kernel.batch(["set", "partial", "five"]);
    expect(ears.told("ready")).toHaveLength(3);
    kernel.snapshot({ partial: "five" });
    kernel.batch(["set", "partial", "six"]);
    expect(store.picture.partial).toBe("six");
  });
});

describe("pictures", () => {
  it("that another page asked for are not shown again", () => {
    const { store, kernel } = session({ turns: [{ id: 1 }] });
    const { turns } = store.picture;
    kernel.snapshot({ turns: [{ id: 1 }] });
    expect(store.picture.turns).toBe(turns);
  });

  it("keep the older turns that are here", () => {
    const { screen, store, kernel } = session({ older: 2, turns: [{ id: 3 }] });
    kernel.says({ kind: "older", to: "another page", turns: [{ id: 1, user: "not asked for" }], older: 0 });
    kernel.says({ kind: "older", to: "this page", turns: [{ id: 1, user: "first" }, { id: 2 }], older: 0 });
    expect(store.picture.turns.map(({ id }) => id)).toEqual([1, 2, 3]);
    screen.emit("comm_live_update", (screen.comm_live = false));
    screen.emit("comm_live_update", (screen.comm_live = true));
    kernel.snapshot({ older: 3, turns: [{ id: 4 }] });
    expect(store.picture.turns.map(({ id }) => id)).toEqual([1, 2, 3, 4]);
    expect(store.picture.older).toBe(0);
  });

  it("keep no more of them than there are before it", () => {
    const { screen, store, kernel } = session({ turns: [{ id: 1 }, { id: 2 }, { id: 3 }] });
    screen.emit("comm_live_update", (screen.comm_live = false));
    screen.emit("comm_live_update", (screen.comm_live = true));
    kernel.snapshot({ older: 1, turns: [{ id: 4 }] });
    expect(store.picture.turns.map(({ id }) => id)).toEqual([3, 4]);
  });

  it("of a session begun anew keep nothing of the one before", () => {
    const { screen, store, kernel } = session({ turns: [{ id: 1 }, { id: 2 }] });
    screen.emit("comm_live_update", (screen.comm_live = false));
    screen.emit("comm_live_update", (screen.comm_live = true));
    kernel.snapshot({ turns: [] });
    expect(store.picture.turns).toEqual([]);
  });

  it("come from the synced trait until the kernel has sent one", () => {
    const screen = new FakeModel("screen", { picture: { turns: [{ id: 1, user: "saved" }] } });
    const store = new ConsoleStore({ screen, ears: new FakeModel("ears"), page: "p", answers: async () => true });
    expect(store.picture.turns[0]?.user).toBe("saved");
    screen.emit("msg:custom", { kind: "snapshot", seq: -1, picture: { turns: [{ id: 1, user: "live" }] } });
    screen.emit("change:picture");
    expect(store.picture.turns[0]?.user).toBe("live");
    store.dispose();
  });

  it("are copied, for the widget's state is not ours to change", () => {
    const turn = { id: 1, tools: [toolRun()], chunks: [], pieces: [] };
    const before = structuredClone(turn);
    const { kernel } = session({ turns: [turn] });
    kernel.batch(["arguments", 1, 0, "x"], ["chunks", 1, [["text", "x"]]], ["piece", 1, 0, piece("x")]);
    expect(turn).toEqual(before);
  });

  it("tell absent stages from unknown ones", () => {
    const { store, kernel } = session();
    expect(store.picture.runs.hears).toBe(undefined);
    kernel.snapshot({ runs: { thinks: { name: "LocalLLM", model: "smollm2", costs: false } } });
    expect(store.picture.runs.hears).toBe(null);
  });
});

it("lets old chunks and very old turns go", () => {
  const { store, kernel } = session({});
  for (let id = 1; id <= 301; id++) kernel.batch(["turn", id, { status: "completed" }], ["chunks", id, [["text", "x"]]]);
  const { turns, older } = store.picture;
  expect(turns).toHaveLength(200);
  expect(older).toBe(101);
  expect(turns.filter(({ chunks }) => chunks.length > 0).map(({ id }) => id)).toEqual([299, 300, 301]);
});

describe("what is malformed", () => {
  it.each([
    ["no object", "hello"],
    ["an unknown field", { kind: "batch", seq: 0, ops: [["set", "colour", "red"]] }],
    ["a name of every object", { kind: "batch", seq: 0, ops: [["set", "constructor", 1]] }],
    ["a wrong value", { kind: "batch", seq: 0, ops: [["set", "state", "dancing"]] }],
    ["an unknown change", { kind: "batch", seq: 0, ops: [["twist", 1, 0, "x"]] }],
    ["a turn that is not here", { kind: "batch", seq: 0, ops: [["chunks", 9, [["text", "x"]]]] }],
    ["chunks of another form", { kind: "batch", seq: 0, ops: [["chunks", 1, ["text"]]] }],
    ["chunks without a text", { kind: "batch", seq: 0, ops: [["chunks", 1, [["text"]]]] }],
    ["a piece out of order", { kind: "batch", seq: 0, ops: [["piece", 1, 4, piece("x")]] }],
    ["a batch without changes", { kind: "batch", seq: 0 }],
    ["older turns that are none", { kind: "older", to: "this page", turns: [{ user: "x" }], older: 0 }],
  ])("becomes a card: %s", (_, message) => {
    const error = vi.spyOn(console, "error").mockImplementation(() => {});
    const { store, kernel } = session({ turns: [{ id: 1 }] });
    kernel.says(/** @type {any} */ (message));
    const [fault] = store.trouble.shown([]);
    expect(fault).toMatchObject({ stage: "console", type: "Not understood" });
    expect(fault?.detail).toContain("The kernel sent");
    expect(error).toHaveBeenCalled();
    error.mockRestore();
  });

  it("does not keep the rest of its batch away", () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const { store, kernel } = session({});
    kernel.batch(["set", "state", "dancing"], ["set", "partial", "still here"]);
    expect(store.picture.partial).toBe("still here");
    vi.restoreAllMocks();
  });
});

describe("listeners", () => {
  it("are told once of many changes, with the next frame", () => {
    const { store, kernel } = session({});
    const listener = vi.fn();
    store.subscribe(listener);
    vi.advanceTimersByTime(200);
    listener.mockClear();
    const timers = vi.getTimerCount();
    for (let i = 0; i < 50; i++) kernel.batch(["set", "partial", `${i}`]);
    expect(listener).not.toHaveBeenCalled();
    expect(vi.getTimerCount() - timers).toBe(2); // a frame and a timer
    vi.advanceTimersByTime(17);
    expect(listener).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(500);
    expect(listener).toHaveBeenCalledTimes(1);
  });

  it("are told ten times a second of changes that stream in, and of the last one too", () => {
    const { store, kernel } = session({});
    const told = vi.fn();
    store.subscribe(() => told(store.picture.partial));
    vi.advanceTimersByTime(200);
    told.mockClear();
    for (let i = 0; i < 100; i++) {
      kernel.batch(["set", "partial", `${i}`]);
      vi.advanceTimersByTime(10);
    }
    expect(told.mock.calls.length).toBeLessThanOrEqual(11);
    expect(told.mock.calls.length).toBeGreaterThanOrEqual(9);
    vi.advanceTimersByTime(100);
    expect(told).toHaveBeenLastCalledWith("99");
  });

  it("are told within 100 ms where no frames come", () => {
    vi.stubGlobal("requestAnimationFrame", () => 1);
    const { store, kernel } = session({});
    const listener = vi.fn();
    store.subscribe(listener);
    kernel.batch(["set", "partial", "x"]);
    vi.advanceTimersByTime(100);
    expect(listener).toHaveBeenCalledTimes(1);
    vi.unstubAllGlobals();
  });

  it("that fail are reported once, and keep nobody else from hearing", () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const { store, kernel } = session({});
    const listener = vi.fn();
    store.subscribe(() => {
      throw new Error("broken view");
    });
    store.subscribe(listener);
    for (let i = 0; i < 5; i++) {
      kernel.batch(["set", "partial", `${i}`]);
      vi.advanceTimersByTime(100);
    }
    expect(listener.mock.calls.length).toBeGreaterThanOrEqual(5);
    expect(store.trouble.shown([])).toMatchObject([{ type: "Console error", times: 1 }]);
    vi.restoreAllMocks();
  });
});

it("puts away what an earlier turn failed of, once a later one has gone well", () => {
  const { store, kernel } = session({});
  /** @param {number} id @param {number} turn @param {string} stage */
  const fault = (id, turn, stage) => ({ id, stage, turn, type: "ConnectionFailed", message: `${stage} ${turn}`, hint: null });
  kernel.batch(["turn", 1, { source: "typed", user: "a", status: "failed" }], ["fault", fault(1, 1, "llm")], ["fault", fault(2, 1, "tool")]);
  expect(store.trouble.shown(store.picture.faults)).toHaveLength(2);
  kernel.batch(["turn", 2, { source: "typed", user: "b", status: "running" }]);
  expect(store.trouble.shown(store.picture.faults)).toHaveLength(2);
  kernel.batch(["turn", 2, { status: "completed" }]);
  expect(store.trouble.shown(store.picture.faults)).toMatchObject([{ stage: "tool" }]);
});

describe("connection", () => {
  it("counts how long a beat is missing, and stops when it comes", () => {
    const { store, kernel } = session({});
    kernel.says({ kind: "beat" });
    vi.advanceTimersByTime(800);
    expect(store.busyMs).toBe(0);
    vi.advanceTimersByTime(1000);
    expect(store.busyMs).toBe(1800);
    kernel.says({ kind: "beat" });
    expect(store.busyMs).toBe(0);
  });

  it("tells a server that is gone from a kernel that is busy, and asks no more than it must", async () => {
    const answers = vi.fn(async () => true);
    const { store, kernel } = session({}, answers);
    kernel.says({ kind: "beat" });
    await vi.advanceTimersByTimeAsync(1200);
    expect([answers.mock.calls.length, store.serverGone]).toEqual([1, false]);
    answers.mockImplementation(async () => false);
    await vi.advanceTimersByTimeAsync(2000);
    expect([answers.mock.calls.length, store.serverGone]).toEqual([2, true]);
    kernel.says({ kind: "beat" });
    expect(store.serverGone).toBe(false);
    await vi.advanceTimersByTimeAsync(800);
    expect(answers.mock.calls.length).toBe(2);
  });

  it("misses no beats of a session that is over, or before the first", () => {
    const { store, kernel } = session({});
    vi.advanceTimersByTime(5000);
    expect(store.busyMs).toBe(0);
    kernel.says({ kind: "beat" });
    kernel.batch(["set", "state", "stopped"]);
    vi.advanceTimersByTime(5000);
    expect(store.busyMs).toBe(0);
  });

  it("that is lost is known, and a kernel that comes back is asked for the picture", () => {
    const { screen, ears, store } = session({});
    screen.emit("comm_live_update", (screen.comm_live = false));
    expect(store.live).toBe(false);
    expect(store.tell({ kind: "stop" })).toBe(false);
    expect(ears.told("stop")).toEqual([]);
    screen.emit("comm_live_update", (screen.comm_live = true));
    expect(store.live).toBe(true);
    expect(ears.told("ready")).toHaveLength(2);
  });

  it("is lost with its model", () => {
    const { screen, store } = session({});
    screen.emit("destroy");
    expect(store.live).toBe(false);
  });
});

describe("what was typed", () => {
  it("waits until it comes back as a turn", () => {
    const { store, kernel } = session({});
    store.wait("one");
    store.wait("two");
    kernel.batch(["turn", 1, { source: "typed", user: "two" }]);
    expect(store.waiting).toEqual(["one"]);
    kernel.batch(["turn", 2, { source: "speech", user: "one" }]);
    expect(store.waiting).toEqual(["one"]);
    kernel.batch(["turn", 3, { source: "typed", user: "one, as a guardrail changed it" }]);
    expect(store.waiting).toEqual([]);
  });

  it("waits no longer when something failed", () => {
    const { store, kernel } = session({});
    store.wait("one");
    kernel.batch(["fault", { id: 1, stage: "session", type: "PatterError", message: "no", turn: null }]);
    expect(store.waiting).toEqual([]);
  });
});

describe("faults", () => {
  it("that say the same are one, with their number, and are put away together", () => {
    const { store } = session({});
    for (let i = 0; i < 3; i++) store.report({ stage: "audio", type: "Microphone denied", message: "No." });
    const [fault] = store.trouble.shown([]);
    expect(fault?.times).toBe(3);
    store.dismiss(fault?.ids ?? []);
    expect(store.trouble.shown([])).toEqual([]);
  });

  it("that the page told the kernel, and that come back from its log, are shown once, in the page's words", () => {
    const { store, kernel } = session({});
    store.report({ stage: "audio", type: "Microphone denied", message: "No." });
    kernel.batch(["fault", { id: 7, stage: "transport", type: "AudioError", message: "No.", turn: null }]);
    const shown = store.trouble.shown(store.picture.faults);
    expect(shown).toMatchObject([{ type: "Microphone denied", times: 1 }]);
    store.dismiss(shown[0]?.ids ?? []);
    expect(store.trouble.shown(store.picture.faults)).toEqual([]);
  });
});

it("hears nothing any more once it is disposed of", () => {
  const { screen, store, kernel } = session({});
  store.dispose();
  expect(screen.listening).toBe(0);
  kernel.batch(["set", "partial", "x"]);
  expect(store.picture.partial).toBe("");
  expect(vi.getTimerCount()).toBe(0);
});
