// @ts-check
/**
 * How loud the microphone hears, over the last moments: who talks to a machine wants to see that it listens. The bars take the person's
 * colour while the session hears a voice in it.
 */
import { make, setAttribute, writtenOut } from "./dom.js";

const BARS = 12;
/** dBFS shown as an empty and as a full bar. */
const SILENT = -60;
const LOUD = -6;

/**
 * @param {import("./store.js").ConsoleStore} store
 * @param {import("./talk.js").Talk} talk
 * @returns {import("./bar.js").Part & {dispose: () => void}}
 */
export function levelMeter(store, talk) {
  const bars = Array.from({ length: BARS }, () => make("i"));
  const element = make("span", { class: "patter-meter", "aria-hidden": "true", hidden: true }, ...bars);
  const levels = new Array(BARS).fill(0);

  const unhook = talk.onLevel((dbfs) => {
    levels.push(Math.min(1, Math.max(0, (dbfs - SILENT) / (LOUD - SILENT))));
    levels.shift();
    bars.forEach((bar, place) => bar.style.setProperty("--level", levels[place].toFixed(2)));
  });

  function update() {
    const { microphone, picture } = store;
    element.hidden = (microphone.state !== "open" && store.sending === null) || store.soundBlocked;
    const voice = picture.muted ? "muted" : picture.state === "listening" || picture.partial !== "" ? "voice" : "silence";
    setAttribute(element, "data-hears", voice);
    setAttribute(element, "title", microphone.label === "" ? null : writtenOut(microphone.label));
  }

  return { element, update, dispose: unhook };
}
