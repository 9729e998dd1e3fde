// @ts-check
// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { directionOf, foreign, make, writtenOut } from "../../../patter_nb/console/js/dom.js";
import { asCount, asDuration, asMoney } from "../../../patter_nb/console/js/figures.js";

describe("foreign text", () => {
  it("keeps what is harmless and writes out what would act", () => {
    expect(writtenOut("a\tb\nc\r\nd é 😀 שלום")).toBe("a\tb\nc\nd é 😀 שלום");
    expect(writtenOut("\x1b[31m\x00\x7f\x85\r")).toBe("\\x1b[31m\\x00\\x7f\\x85\\x0d");
    for (const code of [0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069, 0xd800, 0xdfff]) {
      expect(writtenOut(String.fromCharCode(code))).toBe(`\\u${code.toString(16)}`);
    }
  });

  it("becomes no element, and has a direction of its own", () => {
    const element = foreign('<img src=x onerror="alert(1)">\u202e');
    expect(element.tagName).toBe("BDI");
    expect(element.childElementCount).toBe(0);
    expect(element.textContent).toBe('<img src=x onerror="alert(1)">\\u202e');
  });

  it("is text also as an attribute and as a child", () => {
    const element = make("p", { title: '"><script>' }, "<b>", make("i"));
    expect(element.outerHTML).toBe('<p title="&quot;><script>">&lt;b&gt;<i></i></p>');
  });
});

it("is read in the direction of its first letter", () => {
  expect(directionOf("12, (")).toBe(null);
  expect(directionOf("1. hello שלום")).toBe("ltr");
  expect(directionOf("«مرحبا hello")).toBe("rtl");
});

it("figures are written as in the static outputs", () => {
  expect([4.24, 742.3, 2140, 312_000].map(asDuration)).toEqual(["4.2 ms", "742 ms", "2.1 s", "5 min 12 s"]);
  expect([asCount(1, "turn"), asCount(3000, "chunk")]).toEqual(["1 turn", "3,000 chunks"]);
  expect(["0", "0.00042", "1.5", "0.00005", "0.000051"].map(asMoney)).toEqual(["$0", "$0.0004", "$1.5000", "under $0.0001", "$0.0001"]);
});
