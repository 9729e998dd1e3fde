// @ts-check
/**
 * The microphone of one session, and a recording in its place: what they give goes to the kernel, and what became of them to the store.
 */

import { pageClock } from "./pageclock.js";

export class SessionMicrophone {
  #store;
  #engine;
  #id;
  #deviceId = "";
  #opening = 0;
  /** @type {Set<(dbfs: number) => void>} */
  #meters = new Set();

  /**
   * @param {import("./store.js").ConsoleStore} store
   * @param {import("./talk.js").Engine} engine
   * @param {string} id of the session in this page
   */
  constructor(store, engine, id) {
    this.#store = store;
    this.#engine = engine;
    this.#id = id;
  }

  /**
   * Have `meter` told how loud it is, in dBFS, about 20 times a second. Returns what takes it off again.
   * @param {(dbfs: number) => void} meter
   */
  onLevel(meter) {
    this.#meters.add(meter);
    return () => void this.#meters.delete(meter);
  }

  /**
   * Open it, or another than before. Returns whether it is open now. Throws the engine's AudioFault.
   * @param {string} [deviceId]
   */
  async open(deviceId = this.#deviceId) {
    this.#deviceId = deviceId;
    this.#opening += 1;
    const mine = this.#opening;
    this.#show({ state: "opening", problem: null });
    const facts = await this.#engine.openMicrophone(this.#id, { ...this.#ears, deviceId: deviceId || undefined });
    if (facts !== null) {
      this.#show({ state: "open", label: facts.label, deviceId: facts.deviceId });
      const { outputLatencyMs } = this.#engine.player(this.#id);
      this.#store.tell({ kind: "talk", facts: { ...facts, microphone: facts.label, outputLatencyMs } });
    } else if (mine === this.#opening) {
      this.#show({ state: "off" }); // closed, or given to another session, before the person allowed it
    }
    return facts !== null;
  }

  close() {
    this.#engine.closeMicrophone(this.#id);
    this.#show({ state: "off", label: "", problem: null });
  }

  /**
   * Send a recording as if it were spoken now. Throws the engine's AudioFault.
   * @param {string} name
   * @param {Int16Array} pcm 16 kHz
   * @param {number} silence samples of silence after it
   */
  async play(name, pcm, silence) {
    const sending = { name, seconds: pcm.length / 16_000 };
    const whole = new Int16Array(pcm.length + silence);
    whole.set(pcm);
    this.#store.sending = sending;
    this.#store.changed();
    this.#store.tell({ kind: "recording", ...sending });
    try {
      await this.#engine.playRecording(this.#id, whole, this.#ears);
    } finally {
      if (this.#store.sending === sending) this.#store.sending = null;
      this.#store.changed();
    }
  }

  /** @param {{name: string, cause: string, remedy: string}} fault why there is none */
  fail({ name, cause, remedy }) {
    this.#engine.closeMicrophone(this.#id);
    this.#show({ state: "failed", problem: name });
    this.#store.tell({ kind: "trouble", name, cause, remedy });
  }

  /** What the engine tells of the sound that it takes in. */
  get #ears() {
    return {
      onFrames: (/** @type {import("./audio/engine.js").Frames} */ { opening, seq, t, captured, echo, pcm }) => {
        this.#store.tell({ kind: "frames", opening, seq, t, captured, sent: pageClock(), echo, count: pcm.length / 320 }, [pcm.buffer]);
      },
      onLevel: (/** @type {import("./audio/engine.js").Level} */ { rms }) => {
        for (const meter of this.#meters) meter(rms);
      },
      onEnded: (/** @type {import("./audio/engine.js").EndReason} */ reason) => this.#ended(reason),
    };
  }

  /** @param {import("./audio/engine.js").EndReason} reason */
  #ended(reason) {
    const [cause, remedy] = {
      taken: ["Another session in this page took the microphone.", "Press Talk to take it back."],
      unplugged: ["The microphone was unplugged, or no longer allowed.", "Plug it in, or choose another, and press Talk."],
      failed: ["The page’s audio processor failed.", "Press Talk to begin anew; if that does not help, reload the page."],
    }[reason];
    this.fail({ name: reason, cause, remedy });
  }

  /** @param {Partial<import("./store.js").MicrophoneState>} changes */
  #show(changes) {
    this.#store.microphone = { ...this.#store.microphone, ...changes };
    this.#store.changed();
  }
}
