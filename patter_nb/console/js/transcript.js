// @ts-check
/**
 * The conversation: every turn in its place, what is being said just now where its words will end up, and what to try before the first
 * word. Ink follows the voice with the screen's own pictures, for as long as this page plays it.
 */
import { stoppedHere } from "./breakpoint.js";
import { button, make, setAttribute, setText, writtenOut } from "./dom.js";
import { asCount } from "./figures.js";
import { follow } from "./follow.js";
import { panel } from "./panel.js";
import { TurnRow, speechRow } from "./turnrow.js";
import { welcome } from "./welcome.js";

/** After this long without a moving cursor nothing sounds any more. */
const STILL_MS = 500;

/**
 * @param {import("./pages.js").Link} link
 * @returns {import("./bar.js").Part}
 */
export function transcriptPanel({ store, talk }) {
  const { element, body } = panel("Transcript");
  const hello = welcome({ store, talk });
  const earlier = button("", () => talk.older(), { class: "patter-button patter-small", hidden: true });
  const list = make("div", { class: "patter-turns" });
  const partial = make("bdi", { class: "patter-words" });
  const partialRow = speechRow("you", partial);
  partialRow.classList.add("patter-partial");
  const waiting = make("div", { class: "patter-waiting" });
  const over = make("p", { class: "patter-quiet", hidden: true }, "This session is over. Run the cell that serves it again to go on.");
  body.append(hello.element, earlier, list, waiting, partialRow, over);
  const end = follow(body);
  /** @type {Map<number, TurnRow>} */
  const rows = new Map();
  let waits = "";
  let first = -1;
  let frame = 0;
  let moved = 0;
  /** @type {number | null} */
  let cursor = null;

  function arrange() {
    const { turns, rate } = store.picture;
    const ids = new Set(turns.map(({ id }) => id));
    for (const [id, row] of rows) {
      if (ids.has(id)) continue;
      row.element.remove();
      rows.delete(id);
    }
    let next = list.firstElementChild;
    for (const turn of turns) {
      const row = rows.get(turn.id) ?? new TurnRow((id) => talk.accept(id));
      rows.set(turn.id, row);
      row.update(turn, rate, cursor);
      setAttribute(row.element, "data-stopped", stoppedHere(store.picture, turn.id));
      if (row.element === next) next = next.nextElementSibling;
      else list.insertBefore(row.element, next);
    }
  }

  function update() {
    const { turns, older } = store.picture;
    cursor = store.cursor();
    const before = first !== -1 && turns[0] !== undefined && turns[0].id !== first;
    if (before) end.keepPlace(arrange);
    else arrange();
    first = turns[0]?.id ?? -1;
    earlier.hidden = older === 0;
    setText(earlier, `Show ${asCount(older, "earlier turn")}`);
    showAhead();
    over.hidden = store.picture.state !== "stopped";
    hello.update();
    end.stay();
    if (frame === 0 && [...rows.values()].some((row) => row.follows)) {
      moved = performance.now();
      frame = requestAnimationFrame(run);
    }
  }

  function showAhead() {
    const heard = store.picture.partial;
    partialRow.classList.toggle("patter-unseen", heard === "");
    setText(partial, heard === "" ? "" : `${writtenOut(heard)} …`);
    const now = JSON.stringify(store.waiting);
    if (now === waits) return;
    waits = now;
    waiting.replaceChildren(
      ...store.waiting.map((text) => {
        const words = make("bdi", { class: "patter-words" }, writtenOut(text));
        const row = speechRow("you", words, make("span", { class: "patter-note" }, "on its way"));
        row.classList.add("patter-partial");
        return row;
      }),
    );
  }

  function run() {
    const here = store.cursor();
    if (here !== cursor) moved = performance.now();
    cursor = here;
    const followers = [...rows.values()].filter((row) => row.follows);
    for (const row of followers) row.hear(cursor);
    const goesOn = followers.length > 0 && performance.now() - moved < STILL_MS;
    frame = goesOn ? requestAnimationFrame(run) : 0;
  }

  return {
    element,
    update,
    dispose() {
      cancelAnimationFrame(frame);
      end.stop();
    },
  };
}
