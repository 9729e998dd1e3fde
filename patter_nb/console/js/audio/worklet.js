// @ts-check
/**
 * The one processor of the page's audio thread: the microphone in, every session's voice out, and the one decision made on the spot.
 *
 * Microphone and loudspeaker meet here because barge-in needs both in the same render quantum: how loud the person is, and what is
 * being played to them. Everything that takes thought is in the modules this one is joined with.
 */
import { MicrophoneCapture } from "./capture.js";
import { BargeInRule, powerToDbfs } from "./loudness.js";
import { SessionPlayer } from "./player.js";

/** A half-duplex session hears nothing until the room has rung out after it spoke. */
const ROOM_RINGS_MS = 250;
/** An echo may still come back so long after the agent has spoken: through the devices and the room. */
const ECHO_RINGS_MS = 400;

/**
 * The microphone is open, its frame 0 began at `at` seconds of the context's time.
 * @typedef {{kind: "opened", session: string, opening: number, at: number}} OpenedMessage
 * A command could not be carried out.
 * @typedef {{kind: "fault", session: string, message: string}} FaultMessage
 * @typedef {import("./capture.js").FramesMessage | import("./capture.js").LevelMessage | import("./capture.js").RecordedMessage} Captured
 * @typedef {import("./player.js").PlayedMessage | import("./player.js").PausedMessage | import("./player.js").ResumedMessage} Moved
 * @typedef {Captured | Moved | import("./player.js").FlushedMessage | OpenedMessage | FaultMessage} WorkletMessage what the page hears
 *
 * What the page says. `open` gives the microphone to a session and takes it from any other; `settings` and `recording` are for the
 * session that has it; `release` forgets all of a session; `end` lets the processor go.
 * @typedef {{kind: "open", session: string, opening: number, muted: boolean, halfDuplex: boolean}
 *   | {kind: "settings", session: string, muted: boolean, halfDuplex: boolean}
 *   | {kind: "recording", session: string, pcm: Int16Array}
 *   | {kind: "enqueue", session: string, start: number, pcm: Int16Array, rate: number}
 *   | {kind: "close" | "pause" | "resume" | "flush" | "release" | "end", session: string}} PageMessage
 */

class PatterDuplex extends AudioWorkletProcessor {
  /** @type {Map<string, SessionPlayer>} */
  #players = new Map();
  /** The players again, since walking a Map makes garbage. @type {SessionPlayer[]} */
  #playing = [];
  /** @type {MicrophoneCapture | null} */
  #capture = null;
  #rule = new BargeInRule();
  #nothing = new Float32Array(128);
  /** What was given to the loudspeaker since the last window of the microphone. */
  #playedPower = 0;
  #playedSamples = 0;
  #soundedUntil = -Infinity;
  /** Until when what the microphone hears may be nothing but the agent; over as soon as somebody talks over it. */
  #echoesUntil = -Infinity;
  #ended = false;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => this.#receive(data);
  }

  /**
   * @param {Float32Array[][]} inputs
   * @param {Float32Array[][]} outputs
   */
  process(inputs, outputs) {
    const output = outputs[0][0];
    if (this.#nothing.length !== output.length) this.#nothing = new Float32Array(output.length);
    if (this.#capture !== null) this.#capture.process(inputs[0][0] ?? this.#nothing, currentFrame, this.#silenced(this.#capture), this.#echoes(this.#capture));
    for (let i = 0; i < this.#playing.length; i++) {
      const player = this.#playing[i];
      if (player.unanswered(currentFrame)) {
        this.#rule.denied();
        player.resume("itself");
      }
      player.render(output, currentFrame);
      if (player.sounding) this.#sounded(player, currentFrame + output.length);
    }
    for (let i = 0; i < output.length; i++) this.#playedPower += output[i] * output[i];
    this.#playedSamples += output.length;
    return !this.#ended;
  }

  /** @param {MicrophoneCapture} capture */
  #silenced(capture) {
    if (capture.muted) return true;
    if (!capture.halfDuplex) return false;
    const quietFrom = this.#soundedUntil + (sampleRate * ROOM_RINGS_MS) / 1000;
    return currentFrame < quietFrom || this.#playing.some(isPlaying);
  }

  /** @param {SessionPlayer} player @param {number} frame until which it gives sound */
  #sounded(player, frame) {
    this.#soundedUntil = frame;
    if (player.playing) this.#echoesUntil = frame + (sampleRate * ECHO_RINGS_MS) / 1000;
  }

  /**
   * Whether the session should take this for the agent's own voice. Its ears are a model that hears speech, and an echo is speech; who is
   * louder than the echo pauses the agent, and is heard from then on.
   * @param {MicrophoneCapture} capture
   */
  #echoes(capture) {
    return !capture.muted && currentFrame < this.#echoesUntil;
  }

  /** @param {MicrophoneCapture} capture @param {number} heard dBFS in the newest 10 ms */
  #hear(capture, heard) {
    const played = powerToDbfs(this.#playedSamples > 0 ? this.#playedPower / this.#playedSamples : 0);
    this.#playedPower = this.#playedSamples = 0;
    const player = this.#players.get(capture.session);
    const listening = !capture.muted && !capture.halfDuplex;
    const speech = this.#rule.hear(heard, played, listening && player !== undefined && player.playing);
    if (!speech || player === undefined) return;
    this.#echoesUntil = -Infinity;
    player.pauseLocally(currentFrame);
  }

  /** @param {PageMessage} message */
  #receive(message) {
    try {
      this.#obey(message);
    } catch (error) {
      this.#post({ kind: "fault", session: message.session, message: String(error) });
    }
  }

  /** @param {PageMessage} message */
  #obey(message) {
    const { session } = message;
    const capture = this.#capture?.session === session ? this.#capture : null;
    switch (message.kind) {
      case "open":
        this.#open(message);
        break;
      case "settings":
        if (capture !== null) Object.assign(capture, { muted: message.muted, halfDuplex: message.halfDuplex });
        break;
      case "recording":
        if (capture === null) throw new Error("a recording is for the session that has the microphone");
        capture.playRecording(message.pcm);
        break;
      case "close":
        if (capture !== null) this.#capture = null;
        break;
      case "enqueue":
        this.#player(session).enqueue(message.start, message.pcm, message.rate);
        break;
      case "pause":
        this.#player(session).pause();
        break;
      case "resume":
        if (this.#player(session).waiting) this.#rule.denied();
        this.#player(session).resume("session");
        break;
      case "flush":
        this.#player(session).flush();
        break;
      case "release":
        if (capture !== null) this.#capture = null;
        this.#players.delete(session);
        this.#playing = [...this.#players.values()];
        break;
      case "end":
        this.#ended = true;
        break;
      default:
        throw new Error(`unknown message ${JSON.stringify(message)}`);
    }
  }

  /** @param {Extract<PageMessage, {kind: "open"}>} message */
  #open({ session, opening, muted, halfDuplex }) {
    /** @type {MicrophoneCapture} */
    const capture = new MicrophoneCapture(
      session,
      opening,
      sampleRate,
      (posted, transfer) => this.#post(posted, transfer),
      (dbfs) => this.#hear(capture, dbfs),
    );
    Object.assign(capture, { muted, halfDuplex });
    this.#capture = capture;
    this.#rule = new BargeInRule(this.#playing.some(isPlaying));
    this.#playedPower = this.#playedSamples = 0;
    this.#post({ kind: "opened", session, opening, at: currentFrame / sampleRate });
  }

  /** @param {string} session */
  #player(session) {
    let player = this.#players.get(session);
    if (player === undefined) {
      player = new SessionPlayer(session, sampleRate, (posted) => this.#post(posted));
      this.#players.set(session, player);
      this.#playing = [...this.#players.values()];
    }
    return player;
  }

  /** @param {WorkletMessage} message @param {Transferable[]} [transfer] */
  #post(message, transfer = []) {
    this.port.postMessage(message, transfer);
  }
}

/** @param {SessionPlayer} player */
function isPlaying(player) {
  return player.playing;
}

registerProcessor("patter-duplex", PatterDuplex);
