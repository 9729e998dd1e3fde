// @ts-check
/**
 * A text of which a beginning has been heard: that is ink, the rest is ghost. While the voice goes on only the border between the two
 * moves, from one text node to the other; nothing that stands is made anew, so a selection and the layout survive.
 */
import { make } from "./dom.js";

export class HeardText {
  #ink = document.createTextNode("");
  #ghost = document.createTextNode("");
  #text = "";
  #heard = 0;

  constructor() {
    const ink = make("span", { class: "patter-ink" }, this.#ink);
    const ghost = make("span", { class: "patter-ghost" }, this.#ghost);
    this.element = make("bdi", { class: "patter-words" }, ink, ghost);
  }

  /**
   * @param {string} text the whole, made safe already
   * @param {number} heard how many characters of it are heard
   */
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
