// @ts-check
/**
 * The audio thread without a browser: the worklet's modules, joined as Python joins them, in a global scope of their own whose time a
 * test moves. Also what the tests make sound of.
 */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";

export const AUDIO = resolve(dirname(fileURLToPath(import.meta.url)), "../../../patter_nb/console/js/audio");

/**
 * A module and all it imports as one text, by the rule of patter_nb/console/modules.py.
 * @param {string} entry path
 */
export function joined(entry) {
  /** @type {Map<string, string>} */
  const parts = new Map();
  /** @param {string} path */
  function add(path) {
    if (parts.has(path)) return;
    const text = readFileSync(path, "utf8");
    const imported = /^import \{[^}]*\} from "(\.[^"]+)";$/gm;
    for (const [, name] of text.matchAll(imported)) add(resolve(dirname(path), name));
    parts.set(path, text.replace(imported, "").replace(/^export (?=(?:async )?(?:const|let|function|class)\b)/gm, ""));
  }
  add(resolve(entry));
  return [...parts.values()].join("\n");
}

/** The processor at work, quantum by quantum. */
export class AudioThread {
  /** @type {import("../../../patter_nb/console/js/audio/worklet.js").WorkletMessage[]} all that was posted to the page */
  posted = [];
  #scope;
  #processor;
  #input = 0;

  /** @param {number} rate of the context */
  constructor(rate) {
    this.rate = rate;
    /** @type {{processor: (new () => any) | null}} */
    const registered = { processor: null };
    const posted = this.posted;
    class AudioWorkletProcessor {
      port = {
        onmessage: null,
        /** @param {any} message @param {Transferable[]} transfer */
        postMessage: (message, transfer) => posted.push(structuredClone(message, { transfer: /** @type {any} */ (transfer) })),
      };
    }
    this.#scope = createContext({
      sampleRate: rate,
      currentFrame: 0,
      AudioWorkletProcessor,
      registerProcessor: (/** @type {string} */ name, /** @type {new () => any} */ processor) => {
        if (name === "patter-duplex") registered.processor = processor;
      },
      Float32Array,
      Int16Array,
      RangeError,
    });
    runInContext(joined(`${AUDIO}/worklet.js`), this.#scope);
    if (registered.processor === null) throw new Error("no processor was registered");
    this.#processor = new registered.processor();
  }

  get frame() {
    return this.#scope.currentFrame;
  }

  /** What the page says. @param {import("../../../patter_nb/console/js/audio/worklet.js").PageMessage} message */
  say(message) {
    this.#processor.port.onmessage({ data: message });
  }

  /**
   * Runs for at least `seconds` and returns what was given to the loudspeaker.
   * @param {number} seconds
   * @param {((sample: number) => number) | null} [microphone] by sample frames since the first run; null when nothing is connected
   */
  run(seconds, microphone = null) {
    const quanta = Math.ceil((seconds * this.rate) / 128);
    const heard = new Float32Array(quanta * 128);
    for (let quantum = 0; quantum < quanta; quantum++) {
      const output = heard.subarray(quantum * 128, (quantum + 1) * 128);
      const inputs = microphone === null ? [[]] : [[Float32Array.from({ length: 128 }, () => microphone(this.#input++))]];
      this.alive = this.#processor.process(inputs, [[output]]);
      this.#scope.currentFrame += 128;
    }
    return heard;
  }

  /** The audio thread missed `frames` sample frames. @param {number} frames */
  skip(frames) {
    this.#scope.currentFrame += frames;
  }

  /**
   * What was posted of one kind.
   * @template {import("../../../patter_nb/console/js/audio/worklet.js").WorkletMessage["kind"]} Kind
   * @param {Kind} kind
   */
  of(kind) {
    return /** @type {Extract<import("../../../patter_nb/console/js/audio/worklet.js").WorkletMessage, {kind: Kind}>[]} */ (
      this.posted.filter((message) => message.kind === kind)
    );
  }

  /** All captured samples. */
  get captured() {
    return Int16Array.from(this.of("frames").flatMap(({ pcm }) => [...pcm]));
  }
}

/** Numbers from 0.0 to 1.0 that are the same in every run (mulberry32). @param {number} seed */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** @param {number} hertz @param {number} rate @param {number} length @param {number} [amplitude] */
export function sine(hertz, rate, length, amplitude = 1) {
  return Float32Array.from({ length }, (_, i) => amplitude * Math.sin((2 * Math.PI * hertz * i) / rate));
}

/** @param {ArrayLike<number>} samples from -1.0 to 1.0 */
export function pcm16(samples) {
  return Int16Array.from(samples, (sample) => Math.round(sample * 32767));
}

/**
 * The amplitude of one frequency in a sound, by the discrete Fourier transform under a Hann window.
 * @param {Float32Array} samples @param {number} hertz @param {number} rate
 */
export function amplitude(samples, hertz, rate) {
  let real = 0;
  let imaginary = 0;
  let weights = 0;
  samples.forEach((sample, i) => {
    const weight = 1 - Math.cos((2 * Math.PI * (i + 0.5)) / samples.length);
    const angle = (2 * Math.PI * hertz * i) / rate;
    real += weight * sample * Math.cos(angle);
    imaginary -= weight * sample * Math.sin(angle);
    weights += weight;
  });
  return (2 * Math.hypot(real, imaginary)) / weights;
}

/** @param {number} ratio of amplitudes */
export function decibels(ratio) {
  return 20 * Math.log10(Math.max(ratio, 1e-10));
}

/** @param {ArrayLike<number>} samples */
export function rms(samples) {
  return Math.sqrt(Array.from(samples).reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
}
