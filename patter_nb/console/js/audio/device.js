// @ts-check
/**
 * The microphones of this computer, as the browser gives them out.
 *
 * What was asked for and what was granted differ (a rate, an echo canceller that is not there), so the facts are read off the track
 * and handed on: half the reports of "it interrupts itself" are explained by them.
 */
import { checkMicrophonePossible, microphoneFault } from "./fault.js";

/**
 * What the browser granted; null where it does not say.
 * @typedef {{label: string, deviceId: string, trackRate: number | null, contextRate: number, echoCancellation: boolean | string | null,
 *   noiseSuppression: boolean | null, autoGainControl: boolean | null, channelCount: number | null}} MicrophoneFacts
 */

/**
 * Opens a microphone; the browser may ask the person first.
 * @param {string} [deviceId] the browser's choice when it is not given
 * @returns {Promise<MediaStream>}
 * @throws {import("./fault.js").AudioFault}
 */
export async function openDevice(deviceId) {
  checkMicrophonePossible();
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: deviceId ? { ...audio, deviceId: { exact: deviceId } } : audio });
  } catch (error) {
    throw microphoneFault(error);
  }
}

/** @param {MediaStream} stream */
export function closeDevice(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/**
 * @param {MediaStream} stream
 * @param {number} contextRate
 * @returns {MicrophoneFacts}
 */
export function factsOf(stream, contextRate) {
  const [track] = stream.getAudioTracks();
  const granted = track.getSettings();
  return {
    label: track.label,
    deviceId: granted.deviceId ?? "",
    trackRate: granted.sampleRate ?? null,
    contextRate,
    echoCancellation: granted.echoCancellation ?? null,
    noiseSuppression: granted.noiseSuppression ?? null,
    autoGainControl: granted.autoGainControl ?? null,
    channelCount: granted.channelCount ?? null,
  };
}

/** Between a sound's reaching the microphone and its reaching the page, as the browser reports it. @param {MediaStream | null} stream */
export function inputLatencyMs(stream) {
  const [track] = stream?.getAudioTracks() ?? [];
  const { latency } = /** @type {{latency?: number}} */ (track?.getSettings() ?? {});
  return 1000 * (latency ?? 0);
}

/**
 * The microphones there are. They have names only once the person has allowed one.
 * @returns {Promise<{deviceId: string, label: string}[]>}
 */
export async function microphones() {
  checkMicrophonePossible();
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter(({ kind }) => kind === "audioinput").map(({ deviceId, label }) => ({ deviceId, label }));
}

/** Have `listener` called when microphones come and go. Returns what takes it off again. @param {() => void} listener */
export function onMicrophones(listener) {
  const { mediaDevices } = navigator;
  mediaDevices?.addEventListener("devicechange", listener);
  return () => mediaDevices?.removeEventListener("devicechange", listener);
}
