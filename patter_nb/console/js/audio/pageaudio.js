// @ts-check
/**
 * The one AudioContext of a page and the processor in it.
 *
 * A browser allows few contexts, and lets none of them run before the person has clicked. So it is made at the first click that asks
 * for sound, serves all sessions, and what is said to the processor before it exists waits in order.
 */
import { AudioFault } from "./fault.js";

/**
 * @typedef {import("./worklet.js").PageMessage} PageMessage
 * @typedef {import("./worklet.js").WorkletMessage} WorkletMessage
 * @typedef {"off" | "suspended" | "running"} AudioState
 */

/** A context that may not run keeps its promise open until the next click; nobody is to wait for that. */
const WAKE_WITHIN_MS = 1000;

export class PageAudio {
  /** @type {AudioContext | null} */
  #context = null;
  /** @type {AudioWorkletNode | null} */
  #node = null;
  /** @type {Promise<void> | null} */
  #loading = null;
  /** @type {{message: PageMessage, transfer: Transferable[]}[]} */
  #waiting = [];
  #onMessage;
  #onState;
  #onBroken;

  /**
   * @param {(message: WorkletMessage) => void} onMessage
   * @param {(state: AudioState) => void} onState
   * @param {(fault: AudioFault) => void} onBroken the processor has failed, and all it knew is lost
   */
  constructor(onMessage, onState, onBroken) {
    this.#onMessage = onMessage;
    this.#onState = onState;
    this.#onBroken = onBroken;
  }

  /** @returns {AudioState} */
  get state() {
    if (this.#context === null) return "off";
    return this.#node !== null && this.#context.state === "running" ? "running" : "suspended";
  }

  /** Hz; 0 while there is no context. */
  get rate() {
    return this.#context?.sampleRate ?? 0;
  }

  /** Seconds on the audio clock. */
  get currentTime() {
    return this.#context?.currentTime ?? 0;
  }

  get outputLatencyMs() {
    const { outputLatency, baseLatency } = this.#context ?? {};
    return 1000 * (outputLatency || baseLatency || 0);
  }

  /**
   * When the sample at `time` of the context sounds, in ms of the page's clock, as far as the browser knows its devices.
   * @param {number} time seconds
   */
  soundsAt(time) {
    const context = this.#context;
    const { contextTime = 0, performanceTime = 0 } = context?.getOutputTimestamp?.() ?? {};
    const known = contextTime > 0 && performanceTime > 0;
    const sounding = known ? performanceTime - 1000 * contextTime : performance.now() + this.outputLatencyMs - 1000 * this.currentTime;
    return performance.timeOrigin + sounding + 1000 * time;
  }

  /**
   * When the sample at `time` of the context is made, in ms of the page's clock; what comes in with it has just come in.
   * @param {number} time seconds
   */
  rendersAt(time) {
    return this.soundsAt(time) - this.outputLatencyMs;
  }

  /**
   * Makes the context and lets it run, as far as the browser allows; to be called while a click or a key is handled.
   * @returns {Promise<AudioState>} what was reached
   * @throws {AudioFault} "insecure-origin", "unsupported"
   */
  async wake() {
    const context = (this.#context ??= this.#make());
    const running = context.resume().catch((error) => this.#unlessClosed(context, error));
    this.#loading ??= this.#load(context);
    await this.#loading;
    if (context.state !== "running") await settledWithin(running, WAKE_WITHIN_MS);
    return this.state;
  }

  /** @param {PageMessage} message @param {Transferable[]} [transfer] */
  post(message, transfer = []) {
    if (this.#node === null) this.#waiting.push({ message, transfer });
    else this.#node.port.postMessage(message, transfer);
  }

  /** Gives the processor the sound of `stream`. Returns what takes it away again. @param {MediaStream} stream */
  listenTo(stream) {
    if (this.#context === null || this.#node === null) throw new AudioFault("suspended");
    try {
      const source = this.#context.createMediaStreamSource(stream);
      source.connect(this.#node);
      return () => source.disconnect();
    } catch (error) {
      throw new AudioFault("unsupported", String(error)); // Firefox, for a microphone of another rate: bugzilla 1674892
    }
  }

  /** Lets everything go; `wake` begins anew. */
  async close() {
    const context = this.#context;
    if (this.#node !== null) {
      this.#node.port.postMessage({ kind: "end", session: "" });
      this.#node.port.onmessage = this.#node.onprocessorerror = null;
    }
    this.#context = this.#node = this.#loading = null;
    this.#waiting = [];
    if (context === null) return;
    context.onstatechange = null;
    this.#onState("off");
    if (context.state !== "closed") await context.close();
  }

  /** A context closed by us lets down whoever still waits for it; that is no fault. @param {AudioContext} context @param {unknown} error */
  #unlessClosed(context, error) {
    if (this.#context === context) throw error;
  }

  #make() {
    if (!globalThis.isSecureContext) throw new AudioFault("insecure-origin", location.origin);
    if (typeof AudioWorkletNode === "undefined") throw new AudioFault("unsupported", "no AudioWorklet");
    const context = new AudioContext({ latencyHint: "interactive" });
    context.onstatechange = () => this.#onState(this.state);
    return context;
  }

  /** @param {AudioContext} context */
  async #load(context) {
    const url = URL.createObjectURL(new Blob([WORKLET_SOURCE], { type: "text/javascript" }));
    try {
      await context.audioWorklet.addModule(url);
    } catch (error) {
      if (this.#context === context) await this.close();
      throw new AudioFault("unsupported", String(error));
    } finally {
      URL.revokeObjectURL(url);
    }
    if (this.#context !== context) return;
    const mono = { channelCount: 1, channelCountMode: /** @type {const} */ ("explicit"), outputChannelCount: [1] };
    const node = new AudioWorkletNode(context, "patter-duplex", { numberOfInputs: 1, numberOfOutputs: 1, ...mono });
    node.port.onmessage = ({ data }) => this.#onMessage(data);
    node.onprocessorerror = (event) => void this.#break(event);
    node.connect(context.destination);
    this.#node = node;
    for (const { message, transfer } of this.#waiting) node.port.postMessage(message, transfer);
    this.#waiting = [];
    this.#onState(this.state);
  }

  /** @param {Event} event */
  async #break(event) {
    const { message } = /** @type {{message?: unknown}} */ (event);
    await this.close();
    this.#onBroken(new AudioFault("unsupported", `the audio processor failed: ${message ?? "no reason given"}`));
  }
}

/** Waits for `promise`, but not longer than `ms`. @param {Promise<unknown>} promise @param {number} ms */
async function settledWithin(promise, ms) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const patience = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
  try {
    await Promise.race([promise, patience]);
  } finally {
    clearTimeout(timer);
  }
}
