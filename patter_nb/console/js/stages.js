// @ts-check
/**
 * What hears, thinks and speaks (or the one engine that does all of it), where it runs and what it has cost: no money is spent unseen.
 * Each is a button that opens what there is to choose from instead.
 *
 * @typedef {"hears" | "thinks" | "speaks" | "engine"} StageName
 */
import { asCount, asMoney } from "./figures.js";
import { button, foreign, make, setAttribute, writtenOut } from "./dom.js";
import { stagePicker } from "./picker.js";

/** @type {StageName[]} */
const STAGES = ["hears", "thinks", "speaks", "engine"];

/**
 * @param {import("./store.js").ConsoleStore} store
 * @returns {import("./bar.js").Part}
 */
export function stageChips(store) {
  const chips = STAGES.map((stage) => stageChip(stage, () => picker.toggle(stage)));
  const all = make("span", { title: "what the whole session has cost" });
  const picker = stagePicker(store, (stage) => (chips.find((chip) => chip.stage === stage && !chip.element.hidden) ?? chips[1]).element);
  const element = make("div", { class: "patter-stages" }, ...chips.map((chip) => chip.element), all, picker.element);
  let shown = "";

  function update() {
    const { runs, spent, spent_by, state } = store.picture;
    const known = STAGES.some((stage) => runs[stage]);
    for (const chip of chips) {
      chip.element.disabled = !store.live || state === "stopped";
      setAttribute(chip.element, "aria-expanded", String(picker.stage === chip.stage));
    }
    picker.update();
    const now = JSON.stringify([runs, spent, spent_by]);
    if (now === shown) return;
    shown = now;
    const thinker = runs.engine ? "engine" : "thinks";
    const free = STAGES.some((stage) => runs[stage]?.costs) ? null : thinker;
    for (const chip of chips) {
      const isEmpty = known && !runs.engine && chip.stage !== "engine" && chip.stage !== "thinks";
      chip.show(runs[chip.stage] ?? null, spent_by[chip.stage] ?? null, chip.stage === free, isEmpty);
    }
    const paid = STAGES.filter((stage) => isPaid(spent_by[stage] ?? null));
    const summed = paid.length > 1 || paid.some((stage) => !runs[stage]?.costs);
    all.hidden = !summed;
    all.className = summed ? "patter-chip" : "";
    all.replaceChildren(...(summed ? ["in all ", make("b", {}, priceOf(spent))] : []));
  }

  return { element, update, dispose: picker.dispose };
}

/**
 * @param {StageName} stage
 * @param {() => void} open
 */
function stageChip(stage, open) {
  const element = button("", open, { "aria-haspopup": "dialog", "aria-expanded": "false", "data-stage": stage });

  /**
   * @param {import("./picture.js").StageRun | null} run
   * @param {import("./picture.js").Spent | null} spent what the stage has cost, whoever did it
   * @param {boolean} free whether to say here that nothing costs
   * @param {boolean} isEmpty whether to say that nobody does it, where nobody does
   */
  function show(run, spent, free, isEmpty) {
    element.hidden = run === null && !isEmpty;
    element.className = run === null ? "patter-nobody" : "patter-chip";
    if (run === null) {
      element.title = `nothing ${stage}`;
      return element.replaceChildren(`${stage} nothing`);
    }
    const vendor = run.name.replace(/(?<=.)(STT|LLM|TTS)$/, "");
    const what = run.model === null ? [] : [make("span", { class: "patter-vendor" }, foreign(vendor), " ")];
    const cost = run.costs ? ` · ${priceOf(spent)}` : free ? " · free" : "";
    const full = writtenOut([run.name, run.model].filter(Boolean).join(" "));
    element.title = `${full}: ${run.costs ? "each request is charged by its provider" : "runs here, costs nothing"}`;
    const name = make("b", {}, foreign(run.model ?? vendor));
    element.replaceChildren(`${stage} `, ...what, name, make("span", { class: "patter-cost" }, cost));
  }

  return { stage, element, show };
}

/** @param {import("./picture.js").Spent | null} spent */
function isPaid(spent) {
  return spent !== null && (Number(spent.usd) !== 0 || spent.unpriced > 0);
}

/** @param {import("./picture.js").Spent | null} spent */
function priceOf(spent) {
  if (spent === null || (spent.usd === null && spent.unpriced === 0)) return "paid per use";
  if (spent.usd === null) return "price unknown";
  const more = spent.unpriced > 0 ? ` + ${asCount(spent.unpriced, "turn")} of unknown price` : "";
  return Number(spent.usd) === 0 ? `$0 so far${more}` : `${asMoney(spent.usd)}${more}`;
}
