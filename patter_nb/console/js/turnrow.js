// @ts-check
/**
 * One turn of the transcript: what the person said, what the agent answers and how much of it was heard, and what went otherwise than
 * it should. It changes in place while the turn runs.
 *
 * @typedef {import("./picture.js").TurnPicture} TurnPicture
 */
import { button, make, setAttribute, setText, writtenOut } from "./dom.js";
import { asSeconds } from "./figures.js";
import { heardLength, saidOf, seamsOf, settledLength } from "./heard.js";
import { HeardText } from "./heardtext.js";

/**
 * @param {"you" | "agent"} who
 * @param {...Node} what
 */
export function speechRow(who, ...what) {
  const text = make("div", { class: "patter-text" }, ...what);
  return make("div", { class: "patter-row" }, make("span", { class: `patter-who patter-${who}` }, who), text);
}

export class TurnRow {
  #user = make("bdi", { class: "patter-words" });
  #late = make("span", { class: "patter-note" });
  #answer;
  #said = new HeardText();
  #note = make("div", { class: "patter-note" });
  #hint = make("div", { class: "patter-hint" });
  #you;
  #agent;
  /** @type {TurnPicture | null} */
  #turn = null;
  #revision = -1;
  #rate = 0;
  /** @type {import("./heard.js").SaidPiece[]} */
  #pieces = [];
  /** @type {import("./heardtext.js").Seam[]} */
  #seams = [];
  #text = "";

  /** @param {(turn: number) => void} accept answers a turn that was only offered */
  constructor(accept) {
    const answer = () => this.#turn && accept(this.#turn.id);
    this.#answer = button("Answer it now", answer, { class: "patter-button patter-small", hidden: true });
    const late = make("div", { class: "patter-late" }, this.#late, this.#answer);
    this.#you = speechRow("you", this.#user, late);
    this.#agent = speechRow("agent", this.#said.element, this.#note, this.#hint);
    this.element = make("article", { class: "patter-turn" }, this.#you, this.#agent);
  }

  /** Whether it depends on the playback cursor how much is heard. */
  get follows() {
    return this.#turn !== null && this.#turn.heard === null && this.#pieces.some((piece) => piece.sounds);
  }

  /**
   * @param {TurnPicture} turn
   * @param {number} rate Hz of the output axis
   * @param {number | null} cursor
   */
  update(turn, rate, cursor) {
    if (turn === this.#turn && turn.revision === this.#revision && rate === this.#rate) return;
    [this.#turn, this.#revision, this.#rate] = [turn, turn.revision, rate];
    this.#pieces = saidOf(turn, rate);
    this.#seams = seamsOf(this.#pieces);
    this.#text = this.#pieces.map(({ text }) => text).join("");
    setAttribute(this.element, "data-status", turn.status);
    setText(this.#user, writtenOut(turn.user));
    setText(this.#late, turn.late_ms === null ? "" : `heard ${asSeconds(turn.late_ms)} late`);
    this.#answer.hidden = turn.status !== "offered";
    this.#you.hidden = turn.user === "";
    this.#agent.hidden = turn.status === "offered";
    this.#agent.classList.toggle("patter-awaited", turn.status === "running" && this.#pieces.length === 0);
    this.hear(cursor);
  }

  /** @param {number | null} cursor */
  hear(cursor) {
    const turn = this.#turn;
    if (turn === null) return;
    const settled = turn.heard === null ? null : settledLength(this.#pieces, turn.heard);
    if (turn.heard !== null && settled === null) {
      const heard = writtenOut(turn.heard);
      this.#said.show(`${heard} ${this.#text}`, heard.length);
      return this.#notice(turn, heard.length, heard.length + this.#text.length);
    }
    const heard = settled ?? heardLength(this.#pieces, cursor);
    this.#said.show(this.#text, heard, this.#seams);
    this.#notice(turn, heard, this.#text.trimEnd().length);
  }

  /**
   * @param {TurnPicture} turn
   * @param {number} heard
   * @param {number} whole
   */
  #notice(turn, heard, whole) {
    setText(this.#note, noteOf(turn, heard, whole));
    setText(this.#hint, turn.status === "failed" && turn.error?.hint ? writtenOut(turn.error.hint) : "");
  }
}

/**
 * What is to be said about the answer besides its words.
 * @param {TurnPicture} turn
 * @param {number} heard characters
 * @param {number} whole characters
 */
function noteOf(turn, heard, whole) {
  switch (turn.status) {
    case "failed":
      return turn.error === null ? "failed" : writtenOut(`failed: ${turn.error.message}`);
    case "interrupted":
      if (turn.heard_ms !== null && turn.heard_ms > 0) return `interrupted after ${asSeconds(turn.heard_ms)}`;
      return turn.heard === null || heard > 0 ? "interrupted" : "interrupted before the first word";
    case "completed":
      if (whole === 0) return "said nothing";
      if (turn.heard === null || heard >= whole) return "";
      return heard > 0 ? "the rest was not heard" : "never heard";
  }
  return "";
}
