// @ts-check
/**
 * A text of which a beginning has been heard: that is ink, the rest is ghost. While the voice goes on only the border between the two
 * moves, from one text node to the other; nothing that stands is made anew, so a selection and the layout survive.
 *
 * Where another provider took over in its middle there is a seam, with that one's name.
 *
 * @typedef {{at: number, by: string}} Seam before which character, and who goes on from there
 */
import { make, setAttribute } from "./dom.js";

export class HeardText {
  #parts = [new TextPart()];
  /** @type {HTMLElement[]} */
  #seams = [];

  constructor() {
    this.element = make("bdi", { class: "patter-words" }, ...this.#parts[0].nodes);
  }

  /**
   * @param {string} text the whole, made safe already
   * @param {number} heard how many characters of it are heard
   * @param {Seam[]} [seams] in order
   */
  show(text, heard, seams = []) {
    while (this.#seams.length > seams.length) {
      for (const node of [this.#seams.pop(), ...(this.#parts.pop()?.nodes ?? [])]) node?.remove();
    }
    for (const [place, { by }] of seams.entries()) {
      if (place === this.#seams.length) this.#add();
      const told = `${by} from here on`;
      setAttribute(this.#seams[place], "title", told);
      setAttribute(this.#seams[place], "aria-label", told);
    }
    const ends = [...seams.map(({ at }) => at), text.length];
    let begin = 0;
    for (const [place, end] of ends.entries()) {
      this.#parts[place].show(text.slice(begin, end), Math.min(Math.max(heard - begin, 0), end - begin));
      begin = end;
    }
  }

  #add() {
    const seam = make("span", { class: "patter-seam", role: "img" });
    const part = new TextPart();
    this.element.append(seam, ...part.nodes);
    this.#seams.push(seam);
    this.#parts.push(part);
  }
}

/** A stretch of the text between two seams. */
class TextPart {
  #ink = document.createTextNode("");
  #ghost = document.createTextNode("");
  #text = "";
  #heard = 0;
  nodes = [make("span", { class: "patter-ink" }, this.#ink), make("span", { class: "patter-ghost" }, this.#ghost)];

  /** @param {string} text @param {number} heard */
  show(text, heard) {
    if (!text.startsWith(this.#text) || heard < this.#heard) {
      this.#ink.data = text.slice(0, heard);
      this.#ghost.data = text.slice(heard);
    } else {
      if (text.length > this.#text.length) this.#ghost.appendData(text.slice(this.#text.length));
      if (heard > this.#heard) {
        this.#ink.appendData(text.slice(this.#heard, heard));
        this.#ghost.deleteData(0, heard - this.#heard);
      }
    }
    this.#text = text;
    this.#heard = heard;
  }
}
