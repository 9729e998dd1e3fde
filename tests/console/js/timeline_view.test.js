// @ts-check
// @vitest-environment jsdom
/** The timeline between kernel and hand: what it asks, what it takes, when it paints, what it plays. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { TimelineHearing } from "../../../patter_nb/console/js/timeline/hearing.js";
import { listenToHand } from "../../../patter_nb/console/js/timeline/gestures.js";
import { TimelineSource } from "../../../patter_nb/console/js/timeline/source.js";
import { session } from "./console_doubles.js";

const SIZE = 4;
/** @param {number[]} bytes */
const view = (...bytes) => new DataView(Int8Array.from(bytes).buffer);
/** @param {number[]} times */
const times = (...times) => new DataView(Uint32Array.from(times).buffer);
const tile = (/** @type {number} */ value) => view(...Array.from({ length: SIZE * 5 }, () => value));

/** @type {ReturnType<typeof session>} */
let all;
/** @type {TimelineSource} */
let source;
let changes = 0;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
  all = session({});
  changes = 0;
  source = new TimelineSource(all.store, () => (changes += 1));
});

afterEach(() => {
  source.dispose();
  all.store.dispose();
  vi.useRealTimers();
});

const opening = () => all.ears.told("timeline_open");
const id = () => opening()[0].view;

/** @param {object} [more] */
function whole(more) {
  const lanes = { turns: [[0, 900, "one", "completed", 1]], words: [] };
  const shape = { levels: [10, 40], tile: SIZE, tiles: [[1, 0]] };
  all.kernel.says({ kind: "timeline_whole", to: id(), seq: 4, end: 1000, live: true, lanes, ...shape, ...more }, [times(5, 7), tile(1)]);
}

/** @param {object} more @param {DataView[]} buffers */
function news(more, ...buffers) {
  const told = { seq: 5, end: 1100, live: true, items: [], ranges: [], stale: [], ...more };
  all.kernel.says({ kind: "timeline_more", ...told }, buffers.length ? buffers : [times()]);
}

describe("the source", () => {
  it("asks for all of it, once, and takes it in", () => {
    expect(opening().length).toBe(1);
    source.open();
    expect(opening().length).toBe(1);
    expect(source.known).toBe(false);
    whole();
    expect([source.known, source.end, source.live, changes]).toEqual([true, 1000, true, 1]);
    expect(source.items.all("turns").map(({ text }) => text)).toEqual(["one"]);
    expect([...source.items.chunks({ from: 0, to: 100 })]).toEqual([5, 7]);
    expect(source.tiles.has(1, 0)).toBe(true);
  });

  it("follows what is new", () => {
    whole();
    const items = [["turns", 1, [950, null, "two", "running", 2]], ["turns", 0, [0, 900, "one", "interrupted", 1]]];
    news({ items, ranges: [[1, 2]], end: 1234 }, times(960), view(...[-9, 9, 0, 0, 5]));
    expect(source.items.all("turns").map(({ kind }) => kind)).toEqual(["interrupted", "running"]);
    expect(source.end).toBe(1234);
    expect(source.items.chunks({ from: 900, to: 1000 }).length).toBe(1);
    expect([...source.tiles.columns({ from: 80, to: 120 }, 1)]).toEqual([-9, 9, 0, 0, 5]);
  });

  it("lets go what is stale, and asks for it again when it is seen", () => {
    whole();
    source.want({ from: 0, to: 160 }, 4);
    expect(all.ears.told("timeline_tiles")).toEqual([]);
    news({ stale: [[1, 0]] });
    source.want({ from: 0, to: 160 }, 4);
    expect(all.ears.told("timeline_tiles").map(({ wanted }) => wanted)).toEqual([[[1, 0]]]);
  });

  it("does not apply news twice, and asks for all after a gap", () => {
    whole();
    news({ items: [["turns", 1, [950, null]]] });
    news({ items: [["turns", 2, [950, null]]] });
    expect(source.items.all("turns").length).toBe(2);
    vi.advanceTimersByTime(3000);
    news({ seq: 9 });
    expect(opening().length).toBe(2);
    whole({ seq: 9 });
    expect(source.items.all("turns").length).toBe(1);
  });

  it("asks for each tile once while it is on its way", () => {
    whole();
    source.want({ from: 0, to: 40 }, 4);
    source.want({ from: 0, to: 40 }, 4);
    expect(all.ears.told("timeline_tiles")).toEqual([expect.objectContaining({ wanted: [[0, 0]], view: id() })]);
    all.kernel.says({ kind: "timeline_tiles", to: id(), tiles: [[0, 0]] }, [tile(3)]);
    expect([...source.tiles.columns({ from: 0, to: 10 }, 1)]).toEqual([0, 3, 0, 3, 3]);
  });

  it("leaves what is for another view", () => {
    all.kernel.says({ kind: "timeline_whole", to: "another" });
    expect([source.known, changes]).toEqual([false, 0]);
  });

  it.each([
    ["without an end", { kind: "timeline_whole", seq: 0 }],
    ["without numbers", { kind: "timeline_sound", from: "x" }],
    ["that is unknown", { kind: "timeline_dance" }],
  ])("a message %s is a fault on a card, and not a broken page", (_, message) => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    all.kernel.says({ ...message, to: id() });
    expect(all.store.trouble.shown([]).length).toBe(1);
  });

  it("takes its leave", () => {
    source.dispose();
    expect(all.ears.told("timeline_close").length).toBe(1);
    whole();
    expect(source.known).toBe(false);
  });
});

describe("what is heard", () => {
  /** @type {any[][]} */
  let calls;
  /** @type {any} */
  let player;
  /** @type {any} */
  let engine;
  /** @type {TimelineHearing} */
  let hearing;
  /** @type {any[]} */
  let asked;

  beforeEach(() => {
    calls = [];
    asked = [];
    const note = (/** @type {string} */ name) => (/** @type {any[]} */ ...given) => void calls.push([name, ...given]);
    player = { position: 0, outputLatencyMs: 0, onPlayed: null, enqueue: note("enqueue"), flush: note("flush") };
    engine = { player: () => player, wake: async () => calls.push(["wake"]), release: async () => calls.push(["release"]) };
    hearing = new TimelineHearing(engine, "timeline", {
      ask: (...given) => asked.push(given),
      report: (error) => calls.push(["report", error]),
      changed: () => {},
    });
  });

  it("wakes the audio before it asks, and plays what comes", async () => {
    await hearing.hear(2000, 60_000);
    expect(calls).toEqual([["wake"]]);
    expect(asked).toEqual([[2000, 10_000, 1]]);
    expect([hearing.busy, hearing.at]).toEqual([true, null]);
    hearing.take(2000, new Int16Array(24_000), 24_000, 1);
    expect(calls.at(-1)?.slice(0, 2)).toEqual(["enqueue", 0]);
    player.position = 12_000;
    expect(hearing.at).toBe(2500);
    player.onPlayed({ position: 24_000 });
    expect([hearing.busy, hearing.at]).toEqual([false, null]);
  });

  it("never plays what was asked for before the newest click, or after Space", async () => {
    await hearing.hear(2000, 60_000);
    await hearing.hear(5000, 60_000);
    hearing.take(2000, new Int16Array(10), 24_000, 1);
    expect(calls.filter(([name]) => name === "enqueue")).toEqual([]);
    hearing.stop();
    hearing.take(5000, new Int16Array(10), 24_000, asked[1][2]);
    expect(calls.filter(([name]) => name === "enqueue")).toEqual([]);
    expect(hearing.busy).toBe(false);
  });

  it("begins behind what was given before, though that was cut off", async () => {
    await hearing.hear(0, 60_000);
    hearing.take(0, new Int16Array(5000), 24_000, asked[0][2]);
    player.position = 100;
    hearing.stop();
    expect(calls.at(-1)).toEqual(["flush"]);
    await hearing.hear(0, 60_000);
    hearing.take(0, new Int16Array(10), 24_000, asked[1][2]);
    expect(calls.at(-1)?.slice(0, 2)).toEqual(["enqueue", 5000]);
  });

  it("asks for nothing behind the end, and tells when there is no sound at all", async () => {
    await hearing.hear(900, 1000);
    expect(asked).toEqual([[900, 1000, 1]]);
    hearing.take(900, new Int16Array(0), 24_000, 1);
    expect(hearing.busy).toBe(false);
    engine.wake = async () => Promise.reject(new Error("no audio"));
    await hearing.hear(0, 1000);
    expect(calls.at(-1)?.[0]).toBe("report");
    expect(hearing.busy).toBe(false);
  });
});

describe("the hand", () => {
  /** @type {any[][]} */
  let calls;
  /** @type {HTMLElement} */
  let element;
  let zooms = true;
  /** @type {() => void} */
  let letGo;

  beforeEach(() => {
    vi.advanceTimersByTime(10_000);
    calls = [];
    zooms = true;
    element = document.createElement("div");
    document.body.replaceChildren(element);
    const note = (/** @type {string} */ name) => (/** @type {any[]} */ ...given) => void calls.push([name, ...given]);
    letGo = listenToHand(element, {
      zoom: (...given) => (calls.push(["zoom", ...given]), zooms),
      pan: note("pan"),
      hover: note("hover"),
      leave: note("leave"),
      click: note("click"),
      key: (...given) => (calls.push(["key", ...given]), true),
    });
  });

  afterEach(() => letGo());

  /** @param {string} type @param {object} more */
  function fire(type, more) {
    const event = new MouseEvent(type, { bubbles: true, cancelable: true, ...more });
    for (const [name, value] of Object.entries({ pointerId: 1, deltaX: 0, deltaY: 0, deltaMode: 0, ...more })) {
      if (!(name in event)) Object.defineProperty(event, name, { value });
    }
    element.dispatchEvent(event);
    return event.defaultPrevented;
  }

  it("a click asks for the moment, a drag moves and asks for nothing", () => {
    fire("pointerdown", { clientX: 100 });
    fire("pointermove", { clientX: 102 });
    fire("pointerup", { clientX: 102 });
    expect(calls).toEqual([["click", 102]]);
    calls = [];
    fire("pointerdown", { clientX: 100 });
    fire("pointermove", { clientX: 110 });
    fire("pointermove", { clientX: 130 });
    fire("pointerup", { clientX: 130 });
    expect(calls).toEqual([["pan", -10], ["pan", -20]]);
  });

  it("two fingers zoom about the middle between them", () => {
    fire("pointerdown", { pointerId: 1, clientX: 100 });
    fire("pointerdown", { pointerId: 2, clientX: 200 });
    fire("pointermove", { pointerId: 2, clientX: 300 });
    fire("pointerup", { pointerId: 2, clientX: 300 });
    fire("pointerup", { pointerId: 1, clientX: 100 });
    expect(calls).toEqual([["zoom", 2, 200]]);
  });

  it("the wheel zooms at the pointer, sideways it moves", () => {
    expect(fire("wheel", { deltaY: -100, clientX: 50 })).toBe(true);
    expect(calls[0][0]).toBe("zoom");
    expect(calls[0][1]).toBeCloseTo(Math.exp(0.2));
    expect(calls[0][2]).toBe(50);
    fire("wheel", { deltaX: 40, deltaY: 3 });
    expect(calls[1]).toEqual(["pan", 40]);
  });

  it("who scrolls the notebook past it goes on scrolling, but a pinch zooms always", () => {
    document.dispatchEvent(new Event("scroll"));
    expect(fire("wheel", { deltaY: 100 })).toBe(false);
    expect(calls).toEqual([]);
    expect(fire("wheel", { deltaY: 100, ctrlKey: true })).toBe(true);
    vi.advanceTimersByTime(400);
    expect(fire("wheel", { deltaY: 100 })).toBe(true);
    zooms = false;
    expect(fire("wheel", { deltaY: 100 })).toBe(false);
  });

  it("keys with a modifier are the browser's", () => {
    element.dispatchEvent(new KeyboardEvent("keydown", { key: "+", cancelable: true }));
    element.dispatchEvent(new KeyboardEvent("keydown", { key: "+", ctrlKey: true }));
    expect(calls).toEqual([["key", "+", false]]);
  });
});
