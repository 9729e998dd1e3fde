// @ts-check
/** What the transcript says before the first word: what to try, with what there is. */
import { button, make } from "./dom.js";
import { problemWord } from "./status.js";

/**
 * @param {import("./pages.js").Link} link
 * @returns {import("./bar.js").Part}
 */
export function welcome({ store, talk }) {
  const element = make("div", { class: "patter-welcome" });
  let shown = "";

  function update() {
    const { picture, microphone, live, waiting, hearsPages } = store;
    element.hidden = picture.turns.length > 0 || picture.partial !== "" || waiting.length > 0;
    if (element.hidden) return;
    const { hears, thinks, engine } = picture.runs;
    const reads = !hearsPages || (hears === null && !engine);
    const voiced = microphone.state === "failed" ? String(microphone.problem) : "talks";
    const situation = !live ? "gone" : reads ? "reads" : voiced;
    const small = thinks?.model === "smollm2" && !thinks.costs;
    if (shown === `${situation} ${small}`) return;
    shown = `${situation} ${small}`;
    element.replaceChildren(...linesFor(situation), ...(small ? [smallModel()] : []));
  }

  /** @param {string} situation */
  function linesFor(situation) {
    const example = button("Send the example question", () => talk.sendExample(), { class: "patter-button patter-small" });
    switch (situation) {
      case "gone":
        return [make("p", {}, "Nothing was said yet, and there is no kernel to talk to. Run the cell to begin.")];
      case "reads":
        return [make("p", {}, "Type a message below.")];
      case "talks":
        return [
          make("p", {}, "Press ", make("b", {}, "Talk"), " and say “What’s the weather in Paris?”"),
          make("p", {}, "Or type it below, or send a recording."),
          make("p", { class: "patter-quiet" }, "Use headphones if the agent interrupts itself."),
        ];
    }
    return [
      make("p", {}, `${problemWord(situation)}: type a message below, or let a recording speak for you.`),
      make("p", {}, example),
    ];
  }

  return { element, update };
}

function smallModel() {
  const can = "A very small model runs here, without a key. It chooses a tool by the tools’ examples and tells its result; ";
  return make("p", { class: "patter-quiet" }, `${can}in small talk it is a toy.`);
}
