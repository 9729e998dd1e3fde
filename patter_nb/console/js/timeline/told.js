// @ts-check
/** The timeline in words: for a tooltip, and for whoever does not see the picture. */
import { asDuration } from "../figures.js";
import { asClock } from "./scale.js";

const TURNS_TOLD = 12;

/** @type {Record<string, string>} */
const LANE_WORDS = {
  ...{ turns: "turn", speech: "voice", judged: "end of turn", partials: "heard so far", words: "words", dropped: "dropped", muted: "muted" },
  ...{ requests: "request", tools: "tool", pieces: "said", playback: "playback", interruptions: "interruption", changes: "changed" },
  ...{ breakpoints: "breakpoint", failures: "failure", states: "state", busy: "kernel busy" },
};

/**
 * An item in one line.
 * @param {string} lane @param {import("./items.js").LaneItem} item
 */
export function itemInWords(lane, { at, to, text, kind, turn, value }) {
  const lasts = to === null ? "goes on" : to > at ? asDuration(to - at) : "";
  const sure = value === null ? "" : `${Math.round(100 * value)} % sure`;
  const head = [LANE_WORDS[lane] ?? lane, lane === "turns" && turn !== null ? String(turn) : ""].filter(Boolean).join(" ");
  const known = lane === "words" || lane === "requests" ? "" : kind;
  return [head, [known, sure, lasts].filter(Boolean).join(", "), text].filter(Boolean).join(" · ");
}

/**
 * What a picture of this window shows, in one sentence.
 * @param {import("./items.js").LaneItems} items @param {import("./scale.js").TimeWindow} shown @param {number} end
 */
export function windowInWords(items, shown, end) {
  const turns = items.all("turns").length;
  const interrupted = items.all("interruptions").length;
  const failed = items.all("failures").length;
  const counts = [[turns, "turn"], [interrupted, "interruption"], [failed, "failure"]]
    .filter(([count], place) => place === 0 || Number(count) > 0)
    .map(([count, word]) => `${count} ${word}${count === 1 ? "" : "s"}`);
  return `${counts.join(", ")} in ${asClock(end, 1000)}; shown is ${asClock(shown.from, 100)} to ${asClock(shown.to, 100)}.`;
}

/**
 * The turns within a window, a line for each, and how many more there are.
 * @param {import("./items.js").LaneItems} items @param {import("./scale.js").TimeWindow} shown
 */
export function turnsInWords(items, shown) {
  const turns = items.within("turns", shown);
  const lines = turns.slice(0, TURNS_TOLD).map((item) => `${asClock(item.at, 100)}: ${itemInWords("turns", item)}`);
  if (turns.length > TURNS_TOLD) lines.push(`and ${turns.length - TURNS_TOLD} more turns`);
  return lines;
}
