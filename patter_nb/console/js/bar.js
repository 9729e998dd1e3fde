// @ts-check
/**
 * The bar: three buttons, the state in a word, how loud the person is, which microphone, and what runs where at what cost.
 *
 * @typedef {{element: HTMLElement, update: () => void, dispose?: () => void}} Part a piece of the console that repaints what changed
 */
import { button, keepKeys, make, setAttribute, setText, writtenOut } from "./dom.js";
import { levelMeter } from "./meter.js";
import { stageChips } from "./stages.js";
import { statusOf } from "./status.js";

/**
 * @param {import("./pages.js").Link} link
 * @returns {Part}
 */
export function talkBar({ store, talk }) {
  const talkButton = button("Talk", () => talk.talk(), { class: "patter-button patter-primary" });
  const muteButton = button("Mute", () => talk.toggleMuted(), { "aria-pressed": "false" });
  const stopButton = button("Stop", () => talk.stop());
  const soundButton = button("", () => talk.enableSound(), { class: "patter-button patter-small", "aria-label": "Enable sound" });
  const dot = make("span", { class: "patter-dot", "aria-hidden": "true" });
  const word = make("span", { class: "patter-word", role: "status", "aria-live": "polite" });
  const meter = levelMeter(store, talk);
  const picker = microphonePicker(store, talk);
  const chips = stageChips(store);
  const buttons = make("div", { class: "patter-buttons" }, talkButton, muteButton, stopButton);
  const state = make("div", { class: "patter-state" }, dot, word, soundButton, meter.element, picker.element);
  const element = make("div", { class: "patter-bar" }, buttons, state, chips.element);

  function update() {
    const { picture, microphone } = store;
    const { word: now, mood } = statusOf(store);
    setText(word, now);
    setAttribute(word, "title", now);
    setAttribute(dot, "data-mood", mood);
    const reason = noTalkBecause(store);
    talkButton.disabled = reason !== "";
    setAttribute(talkButton, "title", reason || null);
    muteButton.disabled = reason !== "";
    stopButton.disabled = isOver(store);
    setAttribute(talkButton, "aria-pressed", String(microphone.state === "open"));
    setAttribute(muteButton, "aria-pressed", String(picture.muted));
    soundButton.hidden = !canSound(store) || (store.soundOn && !store.soundBlocked);
    setText(soundButton, store.soundBlocked ? "Enable" : "Enable sound"); // the word beside it says the rest
    for (const part of [meter, picker, chips]) part.update();
  }

  return { element, update, dispose: meter.dispose };
}

/** @param {import("./store.js").ConsoleStore} store */
function isOver({ live, picture }) {
  return !live || picture.state === "stopped";
}

/**
 * Why nobody can talk now, "" when they can.
 * @param {import("./store.js").ConsoleStore} store
 */
function noTalkBecause({ live, picture, hearsPages }) {
  if (!live) return "The kernel is gone.";
  if (picture.state === "stopped") return "This session has ended.";
  if (!hearsPages) return "This session hears by another transport than this page.";
  const { hears, engine } = picture.runs;
  return hears === null && !engine ? "This agent only reads: it has no speech recognition." : "";
}

/** @param {import("./store.js").ConsoleStore} store */
function canSound(store) {
  const { picture, hearsPages } = store;
  return !isOver(store) && hearsPages && Boolean(picture.runs.speaks || picture.runs.engine);
}

/**
 * The microphones to choose from, once there is a choice.
 * @param {import("./store.js").ConsoleStore} store
 * @param {import("./talk.js").Talk} talk
 * @returns {Part}
 */
function microphonePicker(store, talk) {
  const select = make("select", { class: "patter-select", "aria-label": "Microphone" });
  keepKeys(select);
  select.addEventListener("change", () => void talk.choose(select.value));
  /** @type {typeof store.devices} */
  let shown = [];

  function update() {
    select.hidden = store.devices.length < 2;
    if (shown !== store.devices) {
      shown = store.devices;
      select.replaceChildren(...shown.map(({ deviceId, label }) => new Option(writtenOut(label), deviceId)));
    }
    if (select.value !== store.microphone.deviceId) select.value = store.microphone.deviceId;
  }

  return { element: select, update };
}
