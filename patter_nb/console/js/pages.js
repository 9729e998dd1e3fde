// @ts-check
/**
 * What exists once in a page although each output brings a module of its own: the page's name towards the kernel, one store and one talk
 * for each session, and which static transcripts are hidden. Modules of other versions may share it, hence the number in its key.
 *
 * @typedef {{store: import("./store.js").ConsoleStore, talk: import("./talk.js").Talk}} Link what a view is made of
 * @typedef {Link & {views: number, leaving: ReturnType<typeof setTimeout> | null}} Lease
 */
import { audioEngine } from "./audio/engine.js";
import { ConsoleStore } from "./store.js";
import { Talk } from "./talk.js";

const KEY = Symbol.for("patter_nb.console.1");
/** A cell that is run again takes its output away and brings another; the conversation goes on meanwhile. */
const GRACE_MS = 5000;

/** @returns {{name: string, leases: Map<string, Lease>, keepsakes: Map<string, {count: number, style: HTMLStyleElement}>}} */
export function thisPage() {
  const holder = /** @type {Record<symbol, any>} */ (globalThis);
  holder[KEY] ??= { name: randomName(), leases: new Map(), keepsakes: new Map() };
  return holder[KEY];
}

function randomName() {
  return [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * The store and the talk of a session, made for the first view and kept while there is one.
 * @param {import("./store.js").WidgetModel} screen
 * @param {import("./store.js").WidgetModel} ears
 * @returns {{link: Link, leave: () => void}} `leave` is to be called when the view goes
 */
export function linkTo(screen, ears) {
  const { name, leases } = thisPage();
  const id = String(screen.model_id);
  let lease = leases.get(id);
  if (lease === undefined) {
    const store = new ConsoleStore({ screen, ears, page: name });
    lease = { store, talk: new Talk({ store, engine: audioEngine(), sessionId: id }), views: 0, leaving: null };
    leases.set(id, lease);
  }
  const held = lease;
  if (held.leaving !== null) clearTimeout(held.leaving);
  held.leaving = null;
  held.views += 1;
  let here = true;
  return { link: held, leave };

  function leave() {
    if (!here) return;
    here = false;
    held.views -= 1;
    if (held.views === 0) held.leaving = setTimeout(end, GRACE_MS);
  }

  function end() {
    leases.delete(id);
    held.talk.dispose();
    held.store.dispose();
  }
}
