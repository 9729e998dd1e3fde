// @ts-check
/**
 * The door: anywidget calls `render` for each output, with the View's model. What is shown is one part of the console or all of it.
 *
 * @typedef {import("./bar.js").Part} Part
 */
import { talkBar } from "./bar.js";
import { breakpointStrip } from "./breakpoint.js";
import { chunksPanel } from "./chunks.js";
import { foreign, make } from "./dom.js";
import { faultCards } from "./faults.js";
import { hideKeepsake } from "./keepsake.js";
import { latencyPanel } from "./latency.js";
import { messageBox } from "./message.js";
import { linkTo } from "./pages.js";
import { timelinePanel } from "./timeline/panel.js";
import { toolsPanel } from "./tools.js";
import { transcriptPanel } from "./transcript.js";

/** @typedef {{get(name: string): unknown, widget_manager: {get_model(id: string): Promise<import("./store.js").WidgetModel>}}} ViewModel */

/**
 * What a view of each name is made of.
 * @type {Record<string, (link: import("./pages.js").Link) => Part[]>}
 */
const VIEWS = {
  console(link) {
    const panels = columns(transcriptPanel(link), toolsPanel(link.store), chunksPanel(link.store));
    return [talkBar(link), breakpointStrip(link.store), panels, latencyPanel(link.store), faultCards(link.store), messageBox(link)];
  },
  audio: (link) => [talkBar(link), breakpointStrip(link.store), faultCards(link.store)],
  transcript: (link) => [transcriptPanel(link)],
  chunks: (link) => [chunksPanel(link.store)],
  tools: (link) => [toolsPanel(link.store)],
  latency: (link) => [latencyPanel(link.store)],
  timeline: (link) => [timelinePanel(link), faultCards(link.store)],
};

/**
 * Two columns, the second of two parts; one below the other where it is narrow.
 * @param {Part} left
 * @param {...Part} right
 * @returns {Part}
 */
function columns(left, ...right) {
  const side = make("div", { class: "patter-side" }, ...right.map((part) => part.element));
  const parts = [left, ...right];
  return {
    element: make("div", { class: "patter-columns" }, left.element, side),
    update: () => parts.forEach((part) => part.update()),
    dispose: () => parts.forEach((part) => part.dispose?.()),
  };
}

/**
 * @param {{model: ViewModel, el: HTMLElement}} given
 * @returns {Promise<() => void>} what takes the view away again
 */
async function render({ model, el }) {
  const name = String(model.get("part"));
  const root = make("div", { class: `patter patter-view-${name}` });
  el.append(make("div", { class: "patter-frame" }, root));
  try {
    return await show(name, model, root);
  } catch (error) {
    console.error(error);
    root.replaceChildren(brokenView(error));
    return () => {};
  }
}

/**
 * @param {string} name
 * @param {ViewModel} model
 * @param {HTMLElement} root
 */
async function show(name, model, root) {
  const partsOf = VIEWS[name];
  if (partsOf === undefined) throw new Error(`There is no view named "${name}".`);
  const [screen, ears] = await Promise.all(["screen", "ears"].map((trait) => modelNamed(model, trait)));
  if (screen === undefined || ears === undefined) throw new Error("The view names no session.");
  const { link, leave } = linkTo(screen, ears);
  const parts = partsOf(link);
  root.append(...parts.map((part) => part.element));
  const update = () => parts.forEach((part) => part.update());
  const unsubscribe = link.store.subscribe(update);
  const showKeepsake = hideKeepsake(String(model.get("keepsake") ?? ""));
  update();
  return () => {
    unsubscribe();
    for (const part of parts) part.dispose?.();
    showKeepsake();
    leave();
  };
}

/**
 * @param {ViewModel} model
 * @param {string} trait that holds "IPY_MODEL_<id>"
 */
async function modelNamed(model, trait) {
  return model.widget_manager.get_model(String(model.get(trait)).replace(/^IPY_MODEL_/, ""));
}

/** @param {unknown} error */
function brokenView(error) {
  return make(
    "div",
    { class: "patter-card patter-fault", role: "alert" },
    make("p", {}, make("b", { class: "patter-name" }, "This view cannot be shown.")),
    make("p", {}, foreign(error instanceof Error ? error.message : String(error))),
    make("p", {}, make("b", {}, "What to do: "), "run the cell again."),
  );
}

export default { render };
