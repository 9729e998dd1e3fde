// @ts-check
// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { piece, session, talkingSession, toolRun } from "./console_doubles.js";
import { breakpointStrip } from "../../../patter_nb/console/js/breakpoint.js";
import { chunksPanel } from "../../../patter_nb/console/js/chunks.js";
import { saidOf, seamsOf } from "../../../patter_nb/console/js/heard.js";
import { HeardText } from "../../../patter_nb/console/js/heardtext.js";
import { statusOf } from "../../../patter_nb/console/js/status.js";
import { toolsPanel } from "../../../patter_nb/console/js/tools.js";
import { transcriptPanel } from "../../../patter_nb/console/js/transcript.js";

const STOP = { hit: 7, point: "tool_call", turn: 1, tool: "b", what: 'get_weather({"city": "Rome"})', cell: 'session.resume(arguments={"city": "Rome"})' };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());
/** @param {object} more */
const turn = (more = {}) => ({ id: 1, user: "Hi", status: "running", tools: [toolRun({ id: "a" }), toolRun({ id: "b" })], ...more });

describe("where an answer has stopped", () => {
  it("the status says in words, before anything but a kernel that is not heard", () => {
    const { store } = session({ state: "calling", calling: ["get_weather"], stopped_at: STOP });
    expect(statusOf(store)).toEqual({ word: 'Stopped before get_weather({"city": "Rome"})', mood: "warn" });
    store.picture.stopped_at = /** @type {any} */ ({ ...STOP, what: "saying “\u202eHi”" });
    expect(statusOf(store).word).toBe("Stopped before saying “\\u202eHi”");
    store.busyMs = 2000;
    expect(statusOf(store).word).toBe("Kernel busy 2.0 s");
  });

  it("the strip goes on from, once for each click and from nowhere else", () => {
    const { store, ears, kernel } = session({});
    const strip = breakpointStrip(store);
    const [resume, copy] = strip.element.querySelectorAll("button");
    strip.update();
    expect(strip.element.hidden).toBe(true);
    kernel.batch(["set", "breakpoints", ["tool_call", "speak"]]);
    strip.update();
    expect([strip.element.hidden, strip.element.querySelector("code")?.textContent, copy.hidden]).toEqual([
      ...[false, "stops before each tool call, each piece that is spoken", true],
    ]);
    ears.sent.length = 0;
    resume.click();
    expect([ears.told("resume"), resume.getAttribute("aria-disabled")]).toEqual([[], "true"]);
    kernel.batch(["set", "stopped_at", STOP]);
    strip.update();
    expect([resume.textContent, resume.getAttribute("aria-disabled"), copy.hidden]).toEqual(["Resume", null, false]);
    expect(strip.element.querySelector("code")?.textContent).toBe(STOP.cell);
    resume.click();
    expect(ears.told("resume")).toEqual([{ kind: "resume", hit: 7, page: "this page" }]);
    kernel.batch(["set", "breakpoints", []], ["set", "stopped_at", null]);
    strip.update();
    expect(strip.element.hidden).toBe(true);
  });

  it("is marked at its tool call and no other", () => {
    const tools = ["a", "b", "c"].map((id) => toolRun({ id }));
    const { store } = session({ turns: [turn({ tools }), turn({ id: 2, tools })], stopped_at: STOP });
    const { element, update } = toolsPanel(store);
    update();
    const cards = [...element.querySelectorAll("article")];
    expect(cards.map((card) => card.hasAttribute("data-stopped"))).toEqual([false, true, false, false, false, false]);
    expect(cards.map((card) => card.querySelector(".patter-how")?.textContent)).toEqual([
      ...["running", "stopped here", "waits", "running", "running", "running"],
    ]);
    store.picture.stopped_at = null;
    update();
    expect(element.querySelectorAll("[data-stopped]")).toHaveLength(0);
  });

  it("is marked at its turn, and where chunks would come", () => {
    const link = talkingSession({ turns: [{ ...turn(), id: 0, status: "completed" }, turn()], stopped_at: { ...STOP, point: "llm_request", tool: null } });
    const [transcript, chunks] = [transcriptPanel(/** @type {any} */ (link)), chunksPanel(link.store)];
    transcript.update();
    chunks.update();
    const rows = [...transcript.element.querySelectorAll("article")];
    expect(rows.map((row) => row.getAttribute("data-stopped"))).toEqual([null, "llm_request"]);
    expect(chunks.element.getAttribute("data-stopped")).toBe("llm_request");
    link.store.picture.stopped_at = null;
    transcript.update();
    chunks.update();
    expect([...transcript.element.querySelectorAll("[data-stopped]"), chunks.element.dataset.stopped]).toEqual([undefined]);
    transcript.dispose?.();
    chunks.dispose?.();
  });

  it.each([{ ...STOP, hit: "7" }, { ...STOP, point: "always" }, { ...STOP, cell: null }, "stopped"])("of another form is not understood: %o", (stopped_at) => {
    const error = vi.spyOn(console, "error").mockImplementation(() => {});
    const { store } = session({ stopped_at });
    expect(store.picture.stopped_at).toBe(null);
    expect(store.trouble.shown([])).toHaveLength(1);
    error.mockRestore();
  });
});

describe("a seam", () => {
  const by = { by: "openai rt" };
  /** @param {any[]} pieces */
  const seams = (...pieces) => seamsOf(saidOf(/** @type {any} */ ({ pieces }), 16_000));

  it("is where another provider took over, before its first word", () => {
    expect(seams(piece("The engine speaks, at ", by), piece("The pipeline goes on.", { by: "openai gpt" }))).toEqual([{ at: 22, by: "openai gpt" }]);
    expect(seams(piece("One.", by), piece(" Two.", { by: "x" }), piece(" Three.", { by: "x" }), piece(" Four.", by))).toEqual([
      ...[{ at: 5, by: "x" }, { at: 17, by: "openai rt" }],
    ]);
  });

  it("is not where nobody did, or nobody knows", () => {
    expect(seams(piece("One.", by), piece(" Two.", by))).toEqual([]);
    expect(seams(piece("One."), piece(" Two.", by))).toEqual([]);
    expect(seams(piece("One.", by), piece("Let me see.", { kind: "filler" }), piece(" Two.", by))).toEqual([]);
    expect(seams(piece("", by), piece("Two.", { by: "x" }))).toEqual([]);
  });

  it("is named, and changes neither the words nor the border between ink and ghost", () => {
    const text = new HeardText();
    const count = () => text.element.querySelectorAll(".patter-seam").length;
    /** @param {string} cls */
    const words = (cls) => [...text.element.querySelectorAll(cls)].map((each) => each.textContent);
    text.show("One two. ", 4);
    const nodes = [...text.element.childNodes];
    text.show("One two. Three.", 4, [{ at: 9, by: "other" }]);
    expect([text.element.textContent, count(), words(".patter-ink"), words(".patter-ghost")]).toEqual([
      ...["One two. Three.", 1, ["One ", ""], ["two. ", "Three."]],
    ]);
    expect(text.element.querySelector(".patter-seam")?.getAttribute("aria-label")).toBe("other from here on");
    text.show("One two. Three. Four.", 12, [{ at: 9, by: "other" }]);
    expect([words(".patter-ink"), words(".patter-ghost")]).toEqual([["One two. ", "Thr"], ["", "ee. Four."]]);
    expect([...text.element.childNodes].slice(0, 2)).toEqual(nodes);
    text.show("One two. Three. Four.", 2);
    expect([text.element.textContent, count(), words(".patter-ink")]).toEqual(["One two. Three. Four.", 0, ["On"]]);
  });
});
