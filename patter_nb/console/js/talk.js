// @ts-check
/**
 * What the person's buttons do: to the page's audio and towards the kernel, for one session.
 *
 * A browser lets sound begin only while a click or a key is handled; so each of these wakes the audio before it waits for anything.
 *
 * @typedef {import("./audio/engine.js").AudioEngine} Engine
 */
import { WireFault, isNumber } from "./checks.js";
import { SessionMicrophone } from "./microphone.js";
import { isForPicker } from "./offer.js";
import { PageFacts } from "./pagefacts.js";
import { RecordingFault, decodeRecording, samplesIn, toSixteenKilohertz } from "./recording.js";
import { problemWord } from "./status.js";
import { SessionVoice } from "./voice.js";

/** What was typed does not wait longer than this for sound, which takes a second to find out that it has to wait for a click. */
const WAKE_PATIENCE_MS = 1500;
/** Silence after a recording, so that its end is heard as the end of a turn. */
const SILENCE_AFTER = 2 * 16_000;
const EXAMPLE = "the example question";

export class Talk {
  #store;
  #engine;
  #id;
  #microphone;
  #voice;
  #facts;
  #muted = false;
  #halfDuplex = false;
  /** Whether this page cannot sound at all, which is said once. */
  #silent = false;
  /** What was typed goes in the order in which it was typed. @type {Promise<unknown>} */
  #typing = Promise.resolve();
  /** @type {(() => void)[]} */
  #ends;

  /** @param {{store: import("./store.js").ConsoleStore, engine: Engine, sessionId: string}} given */
  constructor({ store, engine, sessionId }) {
    this.#store = store;
    this.#engine = engine;
    this.#id = sessionId;
    this.#microphone = new SessionMicrophone(store, engine, sessionId);
    this.#voice = new SessionVoice(store, engine, sessionId);
    this.#facts = new PageFacts(store);
    this.#voice.onSpeech = () => this.#follow();
    const bye = () => {
      this.#voice.flush(); // the browser’s own voice would outlive the page
      store.tell({ kind: "bye" });
    };
    addEventListener("pagehide", bye);
    this.#ends = [
      store.subscribe(() => this.#follow()),
      store.hear((content, buffers) => this.#take(content, buffers)),
      engine.onDevices(() => void this.#guard(() => this.#readDevices())),
      () => removeEventListener("pagehide", bye),
      () => this.#voice.dispose(),
      () => this.#facts.dispose(),
    ];
  }

  /** The last view is gone: nothing is left open. */
  dispose() {
    for (const end of this.#ends) end();
    void this.#engine.release(this.#id);
    this.#store.tell({ kind: "bye" });
  }

  /** @param {(dbfs: number) => void} meter */
  onLevel(meter) {
    return this.#microphone.onLevel(meter);
  }

  // --- the buttons

  /** Open the microphone; where it is open already, see to it that sound runs. */
  async talk() {
    const { state } = this.#store.microphone;
    if (state === "open" || state === "opening") return this.enableSound();
    await this.#open();
  }

  /** @param {string} deviceId another microphone */
  async choose(deviceId) {
    await this.#open(deviceId);
  }

  toggleMuted() {
    const muted = !this.#store.picture.muted;
    this.#store.picture.muted = muted;
    this.#follow();
    this.#store.tell({ kind: "muted", muted });
    this.#store.changed();
  }

  /** Close the microphone, and let nothing sound any more. */
  stop() {
    this.#microphone.close();
    this.#voice.flush();
    this.#store.tell({ kind: "stop" });
  }

  /** @param {boolean} [answering] whether it is for an answer to what the person is just saying */
  async enableSound(answering = false) {
    if (!this.#silent) await this.#guard(() => this.#voice.wake(answering));
  }

  /**
   * Send what was typed. Returns whether somebody is there to read it.
   * @param {string} text
   */
  type(text) {
    const store = this.#store;
    if (!store.live) {
      const hint = "Restart it if it has stopped, and run the cell again. What you typed is still in the box.";
      store.report({ stage: "console", type: "Disconnected", message: "Nobody reads it: the kernel of this conversation is gone.", hint });
      return false;
    }
    if (store.picture.state === "stopped") {
      const hint = "Run the cell that serves it again. What you typed is still in the box.";
      store.report({ stage: "console", type: "Session over", message: "Nobody reads it: this session is over.", hint });
      return false;
    }
    const said = text.trim();
    store.wait(said);
    this.#typing = Promise.all([this.#typing, this.#wakeForAnswer()]).then(() => store.tell({ kind: "typed", text: said }));
    return true;
  }

  /** @param {number} turn that was only offered */
  accept(turn) {
    void this.#wakeForAnswer();
    this.#store.tell({ kind: "accept", turn });
  }

  older() {
    const [first] = this.#store.picture.turns;
    if (first !== undefined) this.#store.tell({ kind: "older", before: first.id });
  }

  sendExample() {
    if (this.#isDeaf()) return;
    void this.#wakeForAnswer();
    this.#store.tell({ kind: "example" });
  }

  /** @param {File} file */
  async sendFile(file) {
    if (this.#isDeaf()) return;
    void this.#wakeForAnswer();
    await this.#guard(async () => this.#send(file.name, await decodeRecording(file)), `“${file.name}” cannot be sent.`);
  }

  // --- what is behind them

  /** Whether a recording would not be heard, which is then said. */
  #isDeaf() {
    const { muted } = this.#store.picture;
    if (muted) {
      const message = "The microphone is muted, and a recording would not be heard either.";
      this.#store.report({ stage: "recording", type: "Not sent", message, hint: "Press Mute once more, and send it again." });
    }
    return muted;
  }

  /** @param {string} [deviceId] */
  async #open(deviceId) {
    const opening = async () => {
      if (await this.#microphone.open(deviceId)) this.#voice.isOn();
      await this.#readDevices();
    };
    await this.#guard(opening, "The microphone cannot be opened.", (fault) => {
      this.#silent ||= fault.name === "insecure-origin";
      this.#microphone.fail(fault);
    });
  }

  /** @param {string} name @param {Int16Array} pcm 16 kHz */
  async #send(name, pcm) {
    await this.#microphone.play(name, pcm, SILENCE_AFTER);
  }

  /** Let the answer sound, where the agent has a voice; not for long. */
  async #wakeForAnswer() {
    const { speaks, engine } = this.#store.picture.runs;
    if (speaks === null && !engine) return;
    if (this.#store.soundBlocked) return void this.enableSound(true);
    const patience = new Promise((resolve) => setTimeout(resolve, WAKE_PATIENCE_MS));
    await Promise.race([this.enableSound(true), patience]);
  }

  /** The kernel may mute too, may make the session half-duplex, may come back, and may be gone: then nobody hears, and nothing listens. */
  #follow() {
    this.#facts.follow();
    const { microphone, live, picture } = this.#store;
    const { muted, half_duplex } = picture;
    const { hears, engine } = picture.runs;
    const isOver = !live || picture.state === "stopped" || (hears === null && !engine);
    if (isOver && (microphone.state === "open" || microphone.state === "opening")) this.#microphone.close();
    const silenced = muted || (half_duplex && this.#voice.speaksAloud);
    if (silenced !== this.#muted) this.#engine.setMuted(this.#id, (this.#muted = silenced));
    if (half_duplex !== this.#halfDuplex) this.#engine.setHalfDuplex(this.#id, (this.#halfDuplex = half_duplex));
  }

  async #readDevices() {
    const devices = await this.#engine.devices();
    this.#store.devices = devices.filter(({ label }) => label !== "");
    this.#facts.tell({ devices: devices.length });
    this.#store.changed();
  }

  /**
   * @param {Record<string, any>} content
   * @param {unknown[]} buffers
   */
  #take(content, buffers) {
    if (this.#voice.take(content, buffers) || this.#facts.take(content) || isForPicker(content) || content.kind.startsWith("timeline_")) return;
    if (content.kind !== "recording") throw new WireFault("a message of an unknown kind", content);
    if (content.to !== this.#store.page) return;
    if (!isNumber(content.rate) || content.rate <= 0) throw new WireFault("a recording without a rate", content);
    const pcm = samplesIn(buffers[0]);
    void this.#guard(async () => this.#send(EXAMPLE, await toSixteenKilohertz(pcm, content.rate)), "The example question cannot be sent.");
  }

  /**
   * Do something with the page's audio; what fails becomes a card.
   * @param {() => Promise<void>} act
   * @param {string} [what] failed
   * @param {(fault: import("./audio/fault.js").AudioFault) => void} [onFault]
   */
  async #guard(act, what = "The page’s audio failed.", onFault = (fault) => this.#loseSound(fault)) {
    try {
      await act();
    } catch (error) {
      if (error instanceof RecordingFault) {
        this.#store.report({ stage: "recording", type: "Not sent", message: `${what} ${error.message}`, hint: error.remedy });
      } else if (isAudioFault(error)) {
        onFault(error);
        const { name, cause, remedy, detail } = error;
        const told = { message: cause, hint: remedy, detail: `${name}\n${detail ?? ""}`.trim() };
        this.#store.report({ stage: "audio", type: problemWord(name), ...told });
      } else {
        this.#store.reportError(error, what);
      }
    }
  }

  /** @param {import("./audio/fault.js").AudioFault} fault */
  #loseSound({ name, cause, remedy }) {
    this.#silent = name === "insecure-origin" || name === "unsupported";
    this.#store.tell({ kind: "trouble", name, cause, remedy });
  }
}

/**
 * Whether it is the audio's own; another module version's is of another class.
 * @param {unknown} error
 * @returns {error is import("./audio/fault.js").AudioFault}
 */
function isAudioFault(error) {
  const { cause, remedy } = /** @type {Record<string, unknown>} */ (error ?? {});
  return typeof cause === "string" && typeof remedy === "string";
}
