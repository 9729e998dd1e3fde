// @ts-check
/**
 * A recording that speaks for the person: any format that the browser decodes, made into what a microphone would have given, which is
 * 16 kHz, mono, PCM16. The browser's own decoder resamples, and filters what would alias.
 */
import { WireFault } from "./checks.js";

const RATE = 16_000;
/** It is sent as fast as it is spoken; a longer one is a mistake more often than a wish. */
const LONGEST_S = 120;

/** A recording that cannot be sent, with what to do about it. */
export class RecordingFault extends Error {
  /**
   * @param {string} cause
   * @param {string} remedy
   */
  constructor(cause, remedy) {
    super(cause);
    this.name = "RecordingFault";
    this.remedy = remedy;
  }
}

/**
 * PCM16 little-endian, as it comes beside a message: a view that may begin anywhere.
 * @param {unknown} buffer
 */
export function samplesIn(buffer) {
  const view = buffer instanceof ArrayBuffer ? new Uint8Array(buffer) : ArrayBuffer.isView(buffer) ? buffer : null;
  if (view === null || view.byteLength % 2 !== 0) throw new WireFault("sound without samples", String(buffer));
  return new Int16Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

/**
 * @param {Blob} file
 * @returns {Promise<Int16Array>} 16 kHz, mono
 */
export async function decodeRecording(file) {
  const context = new OfflineAudioContext(1, 1, RATE);
  let decoded;
  try {
    decoded = await context.decodeAudioData(await file.arrayBuffer());
  } catch (error) {
    throw new RecordingFault(`This browser cannot read it as sound (${error}).`, "Send a WAV, MP3, OGG, FLAC, WebM or M4A file.");
  }
  checkLength(decoded.duration);
  return mixed(decoded);
}

/**
 * @param {Int16Array} pcm mono
 * @param {number} rate Hz
 * @returns {Promise<Int16Array>} 16 kHz, mono
 */
export async function toSixteenKilohertz(pcm, rate) {
  checkLength(pcm.length / rate);
  if (rate === RATE) return pcm;
  const context = new OfflineAudioContext(1, Math.ceil((pcm.length * RATE) / rate), RATE);
  const sound = context.createBuffer(1, pcm.length, rate);
  sound.copyToChannel(Float32Array.from(pcm, (sample) => sample / 32_768), 0);
  const source = new AudioBufferSourceNode(context, { buffer: sound });
  source.connect(context.destination);
  source.start();
  return mixed(await context.startRendering());
}

/** @param {number} seconds */
function checkLength(seconds) {
  if (seconds > 0 && seconds <= LONGEST_S) return;
  const cause = seconds > 0 ? `It is ${Math.round(seconds)} s long.` : "It is empty.";
  throw new RecordingFault(cause, `Send a recording of at most ${LONGEST_S} s with a question in it.`);
}

/** @param {AudioBuffer} sound */
function mixed(sound) {
  const channels = Array.from({ length: sound.numberOfChannels }, (_, channel) => sound.getChannelData(channel));
  return Int16Array.from({ length: sound.length }, (_, place) => {
    const sum = channels.reduce((total, channel) => total + (channel[place] ?? 0), 0);
    return Math.max(-32_768, Math.min(32_767, Math.round((sum / channels.length) * 32_768)));
  });
}
