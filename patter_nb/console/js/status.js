// @ts-check
/**
 * The state of the conversation as one word and a colour: what is in the way comes before what goes on, for a person who waits has to
 * know why.
 *
 * @typedef {{word: string, mood: "off" | "ready" | "you" | "busy" | "agent" | "warn" | "bad"}} Status
 */
import { stoppedWord } from "./breakpoint.js";
import { writtenOut } from "./dom.js";
import { asSeconds } from "./figures.js";

/** @type {Record<string, Status>} */
const STATES = {
  starting: { word: "Starting", mood: "busy" },
  ready: { word: "Ready", mood: "ready" },
  listening: { word: "Listening", mood: "you" },
  thinking: { word: "Thinking", mood: "busy" },
  calling: { word: "Calling", mood: "busy" },
  speaking: { word: "Speaking", mood: "agent" },
  paused: { word: "Paused", mood: "warn" },
  stopped: { word: "Stopped", mood: "off" },
};

/** Why there is no microphone, by the name of the AudioFault. */
const PROBLEMS = new Map([
  ["insecure-origin", "No microphone on an insecure page"],
  ["denied", "Microphone denied"],
  ["denied-by-front-end", "Microphone denied by this front end"],
  ["no-microphone", "No microphone"],
  ["microphone-busy", "Microphone in use elsewhere"],
  ["suspended", "Click to enable sound"],
  ["unsupported", "No audio in this browser"],
  ["unplugged", "Microphone unplugged"],
  ["taken", "Microphone taken by another session"],
]);

/** @param {string | null} problem name of an AudioFault */
export function problemWord(problem) {
  return (problem !== null && PROBLEMS.get(problem)) || "No microphone";
}

/**
 * @param {Pick<import("./store.js").ConsoleStore, "live" | "busyMs" | "serverGone" | "soundBlocked" | "picture" | "microphone">} store
 * @returns {Status}
 */
export function statusOf({ live, busyMs, serverGone, soundBlocked, picture, microphone }) {
  if (!live) return { word: "Disconnected", mood: "bad" };
  if (serverGone) return { word: `Server gone ${asSeconds(busyMs)}`, mood: "bad" };
  if (busyMs > 0) return { word: `Kernel busy ${asSeconds(busyMs)}`, mood: "warn" };
  if (picture.stopped_at !== null && picture.state !== "stopped") return { word: stoppedWord(picture.stopped_at), mood: "warn" };
  if (soundBlocked) return { word: "Click to enable sound", mood: "warn" };
  if (picture.state === "calling") return { word: writtenOut(`Calling ${picture.calling.join(", ")}`).trim(), mood: "busy" };
  if (picture.state === "ready") {
    if (microphone.state === "opening") return { word: "Waiting for the microphone", mood: "warn" };
    if (microphone.state === "failed") return { word: problemWord(microphone.problem), mood: "bad" };
    if (microphone.state === "open" && picture.muted) return { word: "Muted", mood: "warn" };
  }
  return STATES[picture.state] ?? { word: picture.state, mood: "off" };
}
