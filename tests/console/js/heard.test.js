// @ts-check
// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { piece } from "./console_doubles.js";
import { heardLength, saidOf, settledLength } from "../../../patter_nb/console/js/heard.js";
import { readTurn } from "../../../patter_nb/console/js/picture.js";

const RATE = 16_000;

/** @param {...ReturnType<typeof piece>} pieces */
const said = (...pieces) => saidOf(readTurn({ id: 1, pieces }), RATE);

/** @typedef {import("../../../patter_nb/console/js/heard.js").SaidPiece} SaidPiece */

/** What is heard of the pieces at a cursor. @param {SaidPiece[]} pieces @param {number | null} cursor */
function heardAt(pieces, cursor) {
  return textOf(pieces).slice(0, heardLength(pieces, cursor));
}

/** @param {SaidPiece[]} pieces */
const textOf = (pieces) => pieces.map(({ text }) => text).join("");

describe("by the cursor", () => {
  const two = said(piece("Fifteen minutes, ", { start: 0, stop: 1600 }), piece("starting now.", { start: 1600, stop: 2900 }));

  it.each([
    [null, ""],
    [0, ""],
    [658, ""],
    [659, "Fifteen "],
    [1500, "Fifteen "],
    [1600, "Fifteen minutes, "],
    [2399, "Fifteen minutes, "],
    [2400, "Fifteen minutes, starting "],
    [2900, "Fifteen minutes, starting now."],
    [9999, "Fifteen minutes, starting now."],
  ])("at %s: %j", (cursor, heard) => expect(heardAt(two, cursor)).toBe(heard));

  it("goes by characters where a script has no spaces", () => {
    const pieces = said(piece("今天天气很好", { start: 0, stop: 600 }));
    expect(heardAt(pieces, 250)).toBe("今天天");
    const beyond = said(piece("𠀀𠀁𠀂", { start: 0, stop: 600 }));
    expect(heardAt(beyond, 250)).toBe("𠀀");
  });

  it("takes a piece whose end still moves to be as long as its text is when spoken", () => {
    const growing = said(piece("one two three four five ", { start: 0, stop: 160, done: false }));
    expect(heardAt(growing, 160)).toBe("");
    expect(heardAt(growing, 12_800)).toBe("one two ");
  });

  it("never goes past a piece that is not whole", () => {
    const pieces = said(piece("one ", { start: 0, stop: 100, done: false }), piece("two", { start: 100, stop: 200 }));
    expect(heardAt(pieces, 250)).toBe("");
  });

  it("counts text that nobody speaks as heard once it is whole", () => {
    expect(heardAt(said(piece("Written. "), piece("Not yet", { done: false })), null)).toBe("Written. ");
  });
});

describe("as it was settled, with the blanks behind it, as by the cursor", () => {
  const pieces = said(piece("It's sunny. "), piece("Your timer is running."));

  it.each([
    ["", ""],
    ["It's", "It's "],
    ["It's sunny. Your timer", "It's sunny. Your timer "],
    ["It's sunny. Your timer is running.", "It's sunny. Your timer is running."],
  ])("%j", (settled, shown) => expect(textOf(pieces).slice(0, settledLength(pieces, settled) ?? -1)).toBe(shown));

  it("is unknown where the pieces do not begin with it", () => {
    expect(settledLength(pieces, "It rains.")).toBe(null);
    expect(settledLength(pieces, "It's sunny. Your timer is running. And more.")).toBe(null);
  });

  it("passes over fillers, which are no part of it", () => {
    const filled = said(piece("One moment.", { kind: "filler", start: 0, stop: 100 }), piece("It's sunny.", { start: 100, stop: 200 }));
    expect(textOf(filled)).toBe("One moment. It's sunny.");
    expect(textOf(filled).slice(0, settledLength(filled, "It's") ?? -1)).toBe("One moment. It's ");
    expect(textOf(filled).slice(0, settledLength(filled, "") ?? -1)).toBe("One moment. ");
  });

  it("holds control characters and surrogate pairs as they are shown", () => {
    const odd = said(piece("a\u202eb 😀 c"));
    expect(textOf(odd).slice(0, settledLength(odd, "a\u202eb 😀") ?? -1)).toBe("a\\u202eb 😀 ");
  });
});
