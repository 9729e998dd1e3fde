// @ts-check
/**
 * The two things that the console's face talks with, for tests: the widgets' models, behind which a test plays the kernel, and the page's
 * audio.
 */
import { ConsoleStore } from "../../../patter_nb/console/js/store.js";
import { Talk } from "../../../patter_nb/console/js/talk.js";

/** A widget's model: what was sent is kept in `sent`, and `emit` is the kernel. */
export class FakeModel {
  comm_live = true;
  /** @type {{content: any, buffers: any[] | undefined}[]} */
  sent = [];
  /** @type {Map<string, Set<(...given: any[]) => void>>} */
  #callbacks = new Map();

  /** @param {string} model_id @param {Record<string, unknown>} [state] */
  constructor(model_id, state = {}) {
    this.model_id = model_id;
    this.state = state;
  }

  /** @param {string} name */
  get(name) {
    return this.state[name];
  }

  /** @param {object} content @param {object} [_callbacks] @param {any[]} [buffers] */
  send(content, _callbacks, buffers) {
    this.sent.push({ content, buffers });
  }

  /** @param {string} event @param {(...given: any[]) => void} callback */
  on(event, callback) {
    this.#callbacks.set(event, (this.#callbacks.get(event) ?? new Set()).add(callback));
  }

  /** @param {string} event @param {(...given: any[]) => void} callback */
  off(event, callback) {
    this.#callbacks.get(event)?.delete(callback);
  }

  /** How many callbacks there are. */
  get listening() {
    return [...this.#callbacks.values()].reduce((sum, each) => sum + each.size, 0);
  }

  /** @param {string} event @param {...any} given */
  emit(event, ...given) {
    for (const callback of [...(this.#callbacks.get(event) ?? [])]) callback(...given);
  }

  /** The messages sent so far of these kinds, or all. @param {...string} kinds */
  told(...kinds) {
    return this.sent.map(({ content }) => content).filter(({ kind }) => kinds.length === 0 || kinds.includes(kind));
  }
}

/** A page's audio of which each call is noted in `calls`; what a test wants it to do is set on it. */
export class FakeEngine {
  state = "off";
  /** @type {any[][]} */
  calls = [];
  /** @type {any} what the last microphone or recording was given to tell */
  ears = null;
  /** @type {() => Promise<any>} */
  opens = async () => ({ label: "Built-in", deviceId: "default", trackRate: 48_000, contextRate: 44_100 });
  /** @type {() => Promise<string>} */
  wakes = async () => (this.state = "running");
  /** @type {() => Promise<boolean>} */
  plays = async () => true;
  /** @type {Set<() => void>} */
  stateListeners = new Set();
  /** @type {any} */
  speaker = { position: 0, outputLatencyMs: 0, soundsAt: (/** @type {number} */ time) => 1000 * time };

  constructor() {
    for (const name of ["enqueue", "pause", "resume", "flush"]) {
      this.speaker[name] = (/** @type {any[]} */ ...given) => void this.calls.push([name, ...given]);
    }
  }

  player() {
    return this.speaker;
  }
  wake() {
    this.calls.push(["wake"]);
    return this.wakes();
  }
  /** @param {string} session @param {any} given */
  openMicrophone(session, { deviceId, ...ears }) {
    this.calls.push(["openMicrophone", session, deviceId]);
    this.ears = ears;
    return this.opens();
  }
  /** @param {string} session @param {Int16Array} pcm @param {any} ears */
  playRecording(session, pcm, ears) {
    this.calls.push(["playRecording", session, pcm]);
    this.ears = ears;
    return this.plays();
  }
  /** @param {() => void} listener */
  onState(listener) {
    this.stateListeners.add(listener);
    return () => void this.stateListeners.delete(listener);
  }
  onDevices() {
    return () => void this.calls.push(["offDevices"]);
  }
  async devices() {
    return [{ deviceId: "default", label: "Built-in" }];
  }
  /** @param {...any} given */
  closeMicrophone(...given) {
    this.calls.push(["closeMicrophone", ...given]);
  }
  /** @param {...any} given */
  setMuted(...given) {
    this.calls.push(["setMuted", ...given]);
  }
  /** @param {...any} given */
  setHalfDuplex(...given) {
    this.calls.push(["setHalfDuplex", ...given]);
  }
  /** @param {...any} given */
  async release(...given) {
    this.calls.push(["release", ...given]);
  }

  /** The calls of this name, without it. @param {string} name */
  of(name) {
    return this.calls.filter(([each]) => each === name).map(([, ...given]) => given);
  }
}

/**
 * A store between two models, with kernel and server in the hand of the test.
 * @param {Record<string, unknown>} [picture] @param {() => Promise<boolean>} [answers]
 */
export function session(picture, answers = async () => true) {
  const screen = new FakeModel("screen");
  const ears = new FakeModel("ears");
  const store = new ConsoleStore({ screen, ears, page: "this page", answers });
  let seq = -1;
  const kernel = {
    /** @param {object} message @param {any[]} [buffers] */
    says: (message, buffers) => screen.emit("msg:custom", message, buffers),
    /** @param {...any[]} ops */
    batch: (...ops) => kernel.says({ kind: "batch", seq: ++seq, ops }),
    /** @param {object} whole @param {object} [more] */
    snapshot: (whole, more) => kernel.says({ kind: "snapshot", seq, picture: { state: "ready", ...whole }, ...more }),
    lose: () => ++seq,
  };
  if (picture !== undefined) kernel.snapshot(picture);
  return { screen, ears, store, kernel };
}

/** The same, with a talk over a page's audio. @param {Record<string, unknown>} [picture] */
export function talkingSession(picture = { runs: { hears: STAGE, thinks: STAGE, speaks: STAGE } }) {
  const all = session(picture);
  const engine = new FakeEngine();
  const talk = new Talk({ store: all.store, engine: /** @type {any} */ (engine), sessionId: "screen" });
  all.ears.sent.length = 0;
  return { ...all, engine, talk };
}

export const STAGE = { name: "Scripted", model: null, costs: false };

/** A piece of an answer. @param {string} text @param {Partial<import("../../../patter_nb/console/js/picture.js").SpokenPiece>} [more] */
export function piece(text, more = {}) {
  return { text, kind: /** @type {const} */ ("answer"), start: null, stop: null, done: true, ...more };
}

/** @param {Partial<import("../../../patter_nb/console/js/picture.js").ToolRun>} [more] */
export function toolRun(more = {}) {
  const status = /** @type {const} */ ("running");
  return { id: "1", name: "get_weather", arguments: "{}", status, result: null, error: null, duration_ms: null, edited: false, ...more };
}
