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
    const { runs, spent } = store.picture;
    const now = JSON.stringify([runs, spent]);
    if (now === shown) return;
    shown = now;
    const thinker = runs.engine ? "engine" : "thinks";
    const payer = [thinker, "speaks", "hears"].find((stage) => runs[stage]?.costs) ?? thinker;
    const chips = STAGES.map((stage) => chip(stage, runs[stage] ?? null, stage === payer ? spent : null));
    element.replaceChildren(...chips.filter((each) => each !== null));
  }

  return { element, update };
}

/**
 * @param {string} stage
 * @param {import("./picture.js").StageRun | null} run
 * @param {{usd: string | null, unpriced: number} | null} spent what the session has cost, told at the first that costs
 */
function chip(stage, run, spent) {
  if (run === null) return null;
  const vendor = run.name.replace(/(?<=.)(STT|LLM|TTS)$/, "");
  const what = run.model === null ? [] : [make("span", { class: "patter-vendor" }, foreign(vendor), " ")];
  const cost = run.costs ? ` · ${priceOf(spent)}` : spent === null ? "" : " · free";
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

/** @param {{usd: string | null, unpriced: number} | null} spent */
function priceOf(spent) {
  if (spent === null || (spent.usd === null && spent.unpriced === 0)) return "paid per use";
  if (spent.usd === null) return "price unknown";
  const more = spent.unpriced > 0 ? ` + ${asCount(spent.unpriced, "turn")} of unknown price` : "";
  return Number(spent.usd) === 0 ? `$0 so far${more}` : `${asMoney(spent.usd)}${more}`;
}
