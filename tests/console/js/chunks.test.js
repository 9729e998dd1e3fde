// @ts-check
// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { session } from "./console_doubles.js";
import { chunksPanel } from "../../../patter_nb/console/js/chunks.js";

/** @type {ReturnType<typeof session>} */
let all;
/** @type {ReturnType<typeof chunksPanel>} */
let panel;

beforeEach(() => {
  vi.useFakeTimers();
  all = session({ turns: [{ id: 3 }] });
  panel = chunksPanel(all.store);
  document.body.append(panel.element);
});
afterEach(() => {
  document.body.replaceChildren();
  vi.useRealTimers();
});

const standing = () => [...document.querySelectorAll(".patter-chunk")];
/** @param {...string} texts */
const stream = (...texts) => {
  all.kernel.batch(["chunks", 3, texts.map((text) => ["text", text])]);
  panel.update();
};
/** @param {number} count */
const many = (count) => Array.from({ length: count }, (_, place) => ` ${place}`);

describe("chunks", () => {
  it("stand with their borders, in order, the newest tinted", () => {
    stream("Fif", "teen", " minutes");
    stream(",");
    expect(standing().map(({ textContent }) => textContent)).toEqual(["Fif", "teen", " minutes", ","]);
    expect(standing().map(({ classList }) => classList.contains("patter-new"))).toEqual([false, false, false, true]);
  });

  it("that stand are never made anew", () => {
    stream("a", "b");
    const before = standing();
    stream("c");
    expect(standing().slice(0, 2)).toEqual(before);
    expect(standing()[0]).toBe(before[0]);
  });

  it("go in with one fragment, 2,000 of them too", () => {
    stream("first");
    const run = /** @type {HTMLElement} */ (document.querySelector(".patter-run"));
    const appended = vi.spyOn(run, "append");
    const streamed = vi.spyOn(/** @type {HTMLElement} */ (document.querySelector(".patter-stream")), "append");
    const observer = new MutationObserver(() => {});
    observer.observe(document.body, { childList: true, subtree: true });
    stream(...many(2000));
    const removed = observer.takeRecords().flatMap(({ removedNodes }) => [...removedNodes]);
    expect(standing()).toHaveLength(2001);
    expect(appended).toHaveBeenCalledTimes(1);
    expect(appended.mock.calls[0]?.[0]).toBeInstanceOf(DocumentFragment);
    expect(streamed).not.toHaveBeenCalled();
    expect(removed.filter((node) => node instanceof HTMLElement)).toEqual([]);
  });

  it("of another kind begin a run with its name", () => {
    all.kernel.batch(["chunks", 3, [["reasoning", "hm"], ["tool_call", "{"], ["tool_call", "}"], ["text", "Done"]]]);
    panel.update();
    const runs = [...document.querySelectorAll(".patter-run")];
    expect(runs.map((run) => run.getAttribute("data-kind"))).toEqual(["reasoning", "tool_call", "text"]);
    expect(runs.map(({ textContent }) => textContent)).toEqual(["reasoninghm", "tool call{}", "Done"]);
  });

  it("of a very long stream are folded into a line that counts them", () => {
    stream(...many(2900));
    stream(...many(200));
    expect(standing()).toHaveLength(2000);
    expect(panel.element.textContent).toContain("1,100 earlier chunks not shown");
    expect(panel.element.textContent).toContain("3,100 chunks · turn 3");
    stream("last");
    expect(standing().at(-1)?.textContent).toBe("last");
  });

  it("are those of the newest turn that has any", () => {
    stream("old");
    all.kernel.batch(["turn", 3, { status: "completed" }], ["turn", 4, {}]);
    panel.update();
    expect(standing().map(({ textContent }) => textContent)).toEqual(["old"]);
    all.kernel.batch(["chunks", 4, [["text", "new"]]]);
    panel.update();
    expect(standing().map(({ textContent }) => textContent)).toEqual(["new"]);
  });

  it("are text, and a newline is seen", () => {
    stream("<b>x</b>", "a\nb", "\u202e");
    expect(standing().map(({ textContent }) => textContent)).toEqual(["<b>x</b>", "a↵\nb", "\\u202e"]);
    expect(document.querySelector(".patter-run b")).toBe(null);
  });

  it("are read from right to left where they begin so", () => {
    stream("… ", "שלום", " hello");
    expect(document.querySelector(".patter-run")?.getAttribute("dir")).toBe("rtl");
  });
});

it("gives no rate for what came all at once", () => {
  stream("All at once.");
  all.kernel.batch(["turn", 3, { tokens: 84, stream_ms: 0.2 }]);
  panel.update();
  expect(panel.element.querySelector(".patter-line")?.textContent).toBe("1 chunk · turn 3");
});

it("says in one line how many came, how fast, and in which turn, but only what was measured", () => {
  const line = () => panel.element.querySelector(".patter-line")?.textContent;
  stream(...many(11));
  expect(line()).toBe("11 chunks · turn 3");
  all.kernel.batch(["turn", 3, { first_ms: 312, tokens: 84, stream_ms: 1000 }]);
  panel.update();
  expect(line()).toBe("11 chunks · first after 312 ms · 84 tokens/s · turn 3");
  all.kernel.batch(["turn", 3, { tokens: 0 }]);
  panel.update();
  expect(line()).toBe("11 chunks · first after 312 ms · turn 3");
});
