// @ts-check
/**
 * Breakpoints: that they are set, where the answer stands, and how it goes on, as it is or edited in a cell.
 *
 * @typedef {"llm_request" | "tool_call" | "speak"} Breakpoint
 * @typedef {{hit: number, point: Breakpoint, turn: number, tool: string | null, what: string, cell: string}} StoppedAt
 */
import { copyButton } from "./copying.js";
import { button, make, setAttribute, setText, writtenOut } from "./dom.js";

/** @type {Record<string, string>} */
const POINTS = { llm_request: "each request", tool_call: "each tool call", speak: "each piece that is spoken" };

/** @param {StoppedAt} stopped */
export function stoppedWord({ what }) {
  return `Stopped before ${writtenOut(what)}`;
}

/**
 * The point before which the answer of a turn has stopped, else null.
 * @param {import("./picture.js").SessionPicture} picture
 * @param {number} turn
 */
export function stoppedHere({ stopped_at }, turn) {
  return stopped_at !== null && stopped_at.turn === turn ? stopped_at.point : null;
}

/**
 * How a call stands to the breakpoint: the answer stopped before it, or it waits behind the one that it stopped before.
 * @param {import("./picture.js").SessionPicture} picture
 * @param {import("./picture.js").TurnPicture} turn
 * @param {number} place of the call in the turn
 * @returns {"stopped" | "waits" | null}
 */
export function heldCall({ stopped_at }, { id, tools }, place) {
  if (stopped_at === null || stopped_at.turn !== id || stopped_at.tool === null) return null;
  const at = tools.findIndex((tool) => tool.id === stopped_at.tool);
  if (place === at) return "stopped";
  return at !== -1 && place > at && tools[place]?.status === "running" ? "waits" : null;
}

/**
 * A strip that is there as long as breakpoints are set, so that going from one to the next moves nothing.
 * @param {import("./store.js").ConsoleStore} store
 * @returns {import("./bar.js").Part}
 */
export function breakpointStrip(store) {
  const resume = button("Resume", goOn, { class: "patter-button patter-small" });
  const code = make("code", { class: "patter-strip-cell" });
  const copy = copyButton("Copy cell", () => store.picture.stopped_at?.cell ?? "", code);
  const element = make("div", { class: "patter-strip", role: "group", "aria-label": "Breakpoint", hidden: true }, resume, code, copy);

  function goOn() {
    const stopped = store.picture.stopped_at;
    if (stopped !== null) store.tell({ kind: "resume", hit: stopped.hit });
  }

  function update() {
    const { stopped_at, breakpoints, state } = store.picture;
    element.hidden = !store.live || state === "stopped" || (stopped_at === null && breakpoints.length === 0);
    setAttribute(element, "data-stopped", stopped_at === null ? null : "");
    setAttribute(resume, "aria-disabled", stopped_at === null ? "true" : null); // disabled it would lose the keyboard's focus at each step
    copy.hidden = stopped_at === null;
    const words = breakpoints.map((point) => POINTS[point] ?? point).join(", ");
    setText(code, stopped_at === null ? `stops before ${words}` : writtenOut(stopped_at.cell));
    setAttribute(code, "title", stopped_at === null ? null : writtenOut(stopped_at.cell));
  }

  return { element, update };
}
