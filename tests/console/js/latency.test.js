// @ts-check
// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { session } from "./console_doubles.js";
import { latencyPanel } from "../../../patter_nb/console/js/latency.js";

/** @typedef {import("../../../patter_nb/console/js/picture.js").Share} Share */
/** @type {Share[]} */
const PARTS = [
  ["endpointing", 500, "setting endpointing_ms", "500 ms of silence", true],
  ["stt", 0, "moonshine tiny", "", true],
  ["check", 0.3, "hooks and guardrails", "", true],
  ["first token", 312, "claude <b>haiku</b>", "", true],
];
/** @type {Share} */
const UNHEARD = ["browser", 0, "browser", "nobody told when it was heard", false];

/** @type {ReturnType<typeof session>} */
let all;
/** @type {ReturnType<typeof latencyPanel>} */
let panel;

beforeEach(() => {
  vi.useFakeTimers();
  all = session({ turns: [{ id: 3 }] });
  panel = latencyPanel(all.store);
  document.body.append(panel.element);
});
afterEach(() => {
  document.body.replaceChildren();
  vi.useRealTimers();
});

/** @param {Share[]} parts @param {number | null} gap */
function fell(parts, gap, why = "") {
  all.kernel.batch(["turn", 3, { waterfall: { gap, since: "your last word", why, parts } }]);
  panel.update();
}
const bar = () => /** @type {HTMLElement[]} */ ([...document.querySelectorAll(".patter-fall > li")]);
const list = () => [...document.querySelectorAll(".patter-shares > li")].map(({ textContent }) => textContent);
const head = () => document.querySelector("summary")?.textContent;

describe("latency", () => {
  it("is a region that says what it will show", () => {
    panel.update();
    expect(panel.element.getAttribute("aria-label")).toBe("Latency");
    expect(panel.element.querySelector("p")?.hidden).toBe(false);
    expect(bar()).toEqual([]);
  });

  it("has each part as wide as it is long, and its owner in words", () => {
    fell(PARTS, 812.3);
    expect(head()).toBe("Latency · turn 3: 812 ms from your last word to the first sound");
    const widths = bar().map(({ style }) => Number(style.flexGrow));
    expect(widths[0]).toBeCloseTo((100 * 500) / 812.3, 3);
    expect(widths.reduce((sum, each) => sum + each)).toBeCloseTo(100, 6);
    expect(bar()[0].getAttribute("aria-label")).toBe("endpointing 500 ms · setting endpointing_ms: 500 ms of silence");
    expect(list()).toEqual(["endpointing 500 ms setting endpointing_ms", "stt 0.0 ms moonshine tiny", "first token 312 ms claude <b>haiku</b>"]);
    expect(document.querySelector(".patter-shares b b")).toBeNull();
  });

  it("never leaves out what was not measured", () => {
    fell([...PARTS, UNHEARD], null, "not yet");
    expect(head()).toBe("Latency · turn 3, so far");
    all.kernel.batch(["turn", 3, { status: "completed" }]);
    fell([...PARTS, UNHEARD], null, "nobody told when it was heard");
    expect(head()).toBe("Latency · turn 3: not measured, nobody told when it was heard");
    expect(list().at(-1)).toBe("browser not measured browser");
    expect(bar().at(-1)?.dataset.measured).toBe("false");
    expect(Number(bar().at(-1)?.style.flexGrow)).toBeGreaterThan(0);
  });

  it("tells of the part that is pointed at or reached by the keyboard", () => {
    fell(PARTS, 812.3);
    bar()[3].dispatchEvent(new Event("pointerover", { bubbles: true }));
    expect(head()).toBe("Latency · first token 312 ms · claude <b>haiku</b>");
    document.querySelector(".patter-fall")?.dispatchEvent(new Event("pointerleave"));
    expect(head()).toContain("812 ms");
    expect(bar().map(({ tabIndex }) => tabIndex)).toEqual([-1, -1, -1, 0]);
    bar()[3].focus();
    const press = (/** @type {string} */ key) => document.activeElement?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    press("ArrowLeft");
    press("ArrowLeft");
    expect(document.activeElement).toBe(bar()[1]);
    expect(head()).toBe("Latency · stt 0.0 ms · moonshine tiny");
    press("ArrowRight");
    expect(document.activeElement).toBe(bar()[2]);
    bar()[2].blur();
    expect(head()).toContain("812 ms");
  });

  it("keeps the part that is reached while others come in", () => {
    fell(PARTS.slice(0, 2), null, "not yet");
    bar()[0].focus();
    const before = document.activeElement;
    fell(PARTS, 812.3);
    expect(document.activeElement).toBe(before);
    expect(bar()).toHaveLength(4);
  });

  it("is of the newest turn", () => {
    fell(PARTS, 812.3);
    all.kernel.batch(["turn", 4, { waterfall: { gap: null, since: "your message", why: "not yet", parts: [] } }]);
    panel.update();
    expect(head()).toBe("Latency · turn 4, so far");
    expect(bar()).toEqual([]);
  });
});
