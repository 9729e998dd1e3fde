// @ts-check
// @vitest-environment jsdom
import { expect, it } from "vitest";
import { emptyPicture } from "../../../patter_nb/console/js/picture.js";
import { statusOf } from "../../../patter_nb/console/js/status.js";

const off = { state: /** @type {const} */ ("off"), label: "", deviceId: "", problem: null };
const calm = { live: true, busyMs: 0, serverGone: false, soundBlocked: false, microphone: off };
/** @param {object} picture @param {object} [more] */
const word = (picture, more) => statusOf({ ...calm, picture: { ...emptyPicture(), state: "ready", ...picture }, ...more }).word;

it.each(
  /** @type {[string, object, object][]} */ ([
    ["Ready", {}, {}],
    ["Starting", { state: "starting" }, {}],
    ["Listening", { state: "listening" }, {}],
    ["Thinking", { state: "thinking" }, {}],
    ["Calling get_weather", { state: "calling", calling: ["get_weather"] }, {}],
    ["Calling get_weather, set_timer", { state: "calling", calling: ["get_weather", "set_timer"] }, {}],
    ["Calling", { state: "calling" }, {}],
    ["Calling \\u202ex", { state: "calling", calling: ["\u202ex"] }, {}],
    ["Speaking", { state: "speaking" }, {}],
    ["Paused", { state: "paused" }, {}],
    ["Stopped", { state: "stopped" }, {}],
    ["Kernel busy 1.8 s", { state: "speaking" }, { busyMs: 1800 }],
    ["Server gone 4.0 s", { state: "speaking" }, { busyMs: 4000, serverGone: true }],
    ["Click to enable sound", { state: "speaking" }, { soundBlocked: true }],
    ["Microphone denied", {}, { microphone: { ...off, state: "failed", problem: "denied" } }],
    ["Thinking", { state: "thinking" }, { microphone: { ...off, state: "failed", problem: "denied" } }],
    ["No microphone", {}, { microphone: { ...off, state: "failed", problem: "something new" } }],
    ["Waiting for the microphone", {}, { microphone: { ...off, state: "opening" } }],
    ["Muted", { muted: true }, { microphone: { ...off, state: "open" } }],
    ["Ready", { muted: true }, {}],
    ["Disconnected", { state: "speaking" }, { live: false, busyMs: 2000 }],
  ]),
)("%s", (expected, picture, more) => expect(word(picture, more)).toBe(expected));
