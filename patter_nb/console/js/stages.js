// @ts-check
/**
 * What hears, thinks and speaks (or the one engine that does all of it), where it runs and what it has cost: no money is spent unseen.
 */
import { asCount, asMoney } from "./figures.js";
import { foreign, make, writtenOut } from "./dom.js";

const STAGES = ["hears", "thinks", "speaks", "engine"];

/**
 * @param {import("./store.js").ConsoleStore} store
 * @returns {import("./bar.js").Part}
 */
export function stageChips(store) {
  const element = make("div", { class: "patter-stages" });
  let shown = "";

  function update() {
    const { runs, spent, spent_by } = store.picture;
    const now = JSON.stringify([runs, spent, spent_by]);
    if (now === shown) return;
    shown = now;
    const thinker = runs.engine ? "engine" : "thinks";
    const free = STAGES.some((stage) => runs[stage]?.costs) ? null : thinker;
    const chips = STAGES.map((stage) => chip(stage, runs[stage] ?? null, spent_by[stage] ?? null, stage === free));
    const paid = STAGES.filter((stage) => isPaid(spent_by[stage] ?? null));
    if (paid.length > 1 || paid.some((stage) => !runs[stage]?.costs)) chips.push(sum(spent));
    element.replaceChildren(...chips.filter((each) => each !== null));
  }

  return { element, update };
}

/**
 * @param {string} stage
 * @param {import("./picture.js").StageRun | null} run
 * @param {import("./picture.js").Spent | null} spent what the stage has cost, whoever did it
 * @param {boolean} free whether to say here that nothing costs
 */
function chip(stage, run, spent, free) {
  if (run === null) return null;
  const vendor = run.name.replace(/(?<=.)(STT|LLM|TTS)$/, "");
  const what = run.model === null ? [] : [make("span", { class: "patter-vendor" }, foreign(vendor), " ")];
  const cost = run.costs ? ` · ${priceOf(spent)}` : free ? " · free" : "";
  const full = writtenOut([run.name, run.model].filter(Boolean).join(" "));
  const title = `${full}: ${run.costs ? "each request is charged by its provider" : "runs here, costs nothing"}`;
  return make(
    "span",
    { class: "patter-chip", title },
    `${stage} `,
    ...what,
    make("b", {}, foreign(run.model ?? vendor)),
    make("span", { class: "patter-cost" }, cost),
  );
}

/**
 * The price of all stages together, also of those that another has taken the place of.
 * @param {import("./picture.js").Spent} spent
 */
function sum(spent) {
  return make("span", { class: "patter-chip", title: "what the whole session has cost" }, "in all ", make("b", {}, priceOf(spent)));
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
