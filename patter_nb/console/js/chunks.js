// @ts-check
/**
 * The stream of chunks as it came, borders and all: that a model writes in pieces, and how fast, is a lesson worth seeing.
 *
 * A fast model sends thousands. What stands is never touched again: new chunks are added together, in one fragment, and of a very long
 * stream the oldest are folded into a line that counts them.
 *
 * @typedef {import("./picture.js").ChunkEntry} ChunkEntry
 * @typedef {import("./picture.js").TurnPicture} TurnPicture
 */
import { directionOf, make, setAttribute, setText, writtenOut } from "./dom.js";
import { asCount, asDuration } from "./figures.js";
import { follow } from "./follow.js";
import { newestWithChunks } from "./history.js";
import { panel } from "./panel.js";

const SHOWN_AT_MOST = 3000;
const SHOWN_AFTER_FOLDING = 2000;
const TINTED = 6;
/** @type {Record<string, string>} */
const KINDS = { tool_call: "tool call", reasoning: "reasoning" };

/**
 * @param {import("./store.js").ConsoleStore} store
 * @returns {import("./bar.js").Part}
 */
export function chunksPanel(store) {
  const { element, body } = panel("Chunks");
  const quiet = make("p", { class: "patter-quiet" }, "What the model sends will appear here, chunk by chunk as it arrives.");
  const folded = make("p", { class: "patter-quiet", hidden: true });
  const stream = make("div", { class: "patter-stream" });
  const line = make("p", { class: "patter-line" });
  body.append(quiet, folded, stream);
  element.append(line);
  const end = follow(body);
  /** @type {TurnPicture | null} the turn that is shown, and how many of its chunks */
  let shown = null;
  let count = 0;
  /** @type {HTMLElement[]} the chunks that stand */
  let standing = [];
  let tinted = 0;
  /** @type {HTMLElement | null} the last run of one kind */
  let run = null;
  let kind = "";

  /** @param {TurnPicture} turn */
  function begin(turn) {
    stream.replaceChildren();
    [shown, count, standing, tinted, run, kind] = [turn, 0, [], 0, null, ""];
  }

  /** @param {ChunkEntry[]} entries */
  function append(entries) {
    for (const chunk of standing.slice(-tinted || standing.length)) chunk.classList.remove("patter-new");
    const onward = document.createDocumentFragment();
    const runs = document.createDocumentFragment();
    const before = run;
    for (const entry of entries) {
      if (run === null || entry[0] !== kind) runs.append((run = runOf((kind = entry[0]))));
      const chunk = make("span", { class: "patter-chunk" }, shownChunk(entry[1]));
      (run === before ? onward : run).append(chunk);
      if (run.dir === "") run.dir = directionOf(entry[1]) ?? "";
      standing.push(chunk);
    }
    tinted = Math.min(entries.length, TINTED);
    for (const chunk of standing.slice(-tinted)) chunk.classList.add("patter-new");
    if (onward.hasChildNodes()) before?.append(onward);
    if (runs.hasChildNodes()) stream.append(runs);
  }

  function fold() {
    if (standing.length <= SHOWN_AT_MOST || !end.atEnd()) return;
    for (const chunk of standing.splice(0, standing.length - SHOWN_AFTER_FOLDING)) chunk.remove();
    for (const each of [...stream.children]) if (each.querySelector(".patter-chunk") === null) each.remove();
  }

  function update() {
    setAttribute(element, "data-stopped", store.picture.stopped_at?.point ?? null);
    const turn = newestWithChunks(store.picture);
    if (turn === null) return;
    if (turn.id !== shown?.id || turn.chunks.length < count) begin(turn);
    shown = turn;
    if (turn.chunks.length > count) {
      append(turn.chunks.slice(Math.max(count, turn.chunks.length - SHOWN_AT_MOST)));
      count = turn.chunks.length;
      fold();
    }
    if (turn.status !== "running") for (const chunk of standing.slice(-TINTED)) chunk.classList.remove("patter-new");
    quiet.hidden = true;
    const away = count - standing.length;
    folded.hidden = away === 0;
    if (away > 0) setText(folded, `${asCount(away, "earlier chunk")} not shown`);
    setText(line, figuresOf(turn));
    end.stay();
  }

  return { element, update, dispose: end.stop };
}

/** @param {string} kind */
function runOf(kind) {
  const label = KINDS[kind];
  const run = make("div", { class: "patter-run", "data-kind": kind });
  if (label !== undefined) run.append(make("span", { class: "patter-kind" }, label));
  return run;
}

/** @param {string} text in which a newline is seen, and breaks the line too */
function shownChunk(text) {
  return writtenOut(text).replaceAll("\n", "↵\n");
}

/** @param {TurnPicture} turn */
function figuresOf({ id, chunks, first_ms, tokens, stream_ms }) {
  const figures = [asCount(chunks.length, "chunk")];
  if (first_ms !== null) figures.push(`first after ${asDuration(first_ms)}`);
  const rate = tokens && stream_ms && chunks.length > 1 ? Math.round((tokens * 1000) / stream_ms) : 0; // words of a template are no tokens, and one chunk takes no time
  if (rate > 0) figures.push(`${rate.toLocaleString("en-US")} tokens/s`);
  return [...figures, `turn ${id}`].join(" · ");
}
