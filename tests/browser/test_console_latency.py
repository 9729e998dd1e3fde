"""Where the time of an answer goes, in a real browser: the parts sum to what lies between a microphone's last voice and a loudspeaker's
first sound, and the page's own recording of what it played says the same."""

from __future__ import annotations

import re

import numpy as np
import pytest
from lab_page import Lab, OpenLab
from microphone import Recordings
from person import IMPORTS, press, say, shown, until_value
from test_console_looks import BEYOND, CUT_OFF

pytestmark = pytest.mark.browser

QUESTIONS = (
    "What time is it now?",
    "How are you today?",
    "Where do you live?",
    "Who painted this picture?",
    "Can you hear me well?",
    "Good bye.",
)
REPLIES = ("It is late.", "I am fine.", "Here with you.", "Nobody knows.", "Very well.", "See you.")
SPOKEN_TO = f"""
from patter_nb import MoonshineSTT, Patter, PiperTTS
from patter_nb.testing import ScriptedLLM
session = await Patter().serve(Patter().agent(llm=ScriptedLLM({[*REPLIES]!r}), stt=MoonshineSTT(), tts=PiperTTS()))
"""
WITH_A_TOOL = f"""
import asyncio
{IMPORTS}
async def get_weather(city: str) -> str:
    "Tell the weather in a city."
    await asyncio.sleep(0.2)
    return "sunny"

llm = ScriptedLLM([[Call("get_weather", {{"city": "Rome"}})], "It is sunny in Rome.", "You are welcome."])
ears = dict(stt=ScriptedSTT(["What's the weather in Rome?"]), vad=RecordedVAD.speaking((500, 1500)))
session = await Patter().serve(Patter().agent(llm=llm, tts=ScriptedTTS(), tools=[get_weather], **ears))
"""
FALLS = """[
    (fall.gap_ms, fall.residual_ms, [(part.name, part.duration_ms, part.measured) for part in fall.parts])
    for fall in [turn.waterfall for turn in session.turns]
]"""
HEARD_AT = """[
    turn._course.heard_s + __import__("time").time() - session.transport.clock.wall_s() + session._conductor._origin_s
    for turn in session.turns
]"""
"""When each answer could first be heard, in seconds of the computer's clock."""
DEVICES_S = 0.1
"""The page's recording is made before the loudspeaker, which needs some tens of ms that the browser only tells of; and it is looked at in
steps of 10 ms."""
EXPLAINED = ("endpointing", "microphone", "stt", "first token", "first audio", "browser")


def names(parts: list[tuple[str, float, bool]]) -> set[str]:
    return {name for name, _, measured in parts if measured}


@pytest.mark.slow
@pytest.mark.models
async def test_the_parts_explain_what_lies_between_microphone_and_loudspeaker(lab: OpenLab, record: Recordings) -> None:
    pieces = [piece for question in QUESTIONS for piece in (question, 6.0)]
    page = await lab(SPOKEN_TO, "session", microphone=await record(1.0, *pieces, 20.0))
    await shown(page)
    await press(page, "Talk")
    await until_value(page, f"len(session.turns) >= {len(QUESTIONS)} and session.turns[-1].is_settled", timeout_s=120)
    falls = await page.value(FALLS)
    assert len(falls) == len(QUESTIONS)
    for gap, residual, parts in falls:
        assert sum(ms for _, ms, _ in parts) == pytest.approx(gap, abs=0.5)
        assert min(ms for _, ms, _ in parts) >= 0
        assert names(parts) >= {*EXPLAINED}, parts
        assert residual is not None
    shares = [residual / gap for gap, residual, _ in falls]
    assert np.percentile(shares, 95) < 0.05, [round(share, 4) for share in shares]
    rows = await page.value("[(row.name, row.n) for row in session.latency()]")
    assert rows[0] == ("response", len(QUESTIONS))
    played = await page.heard()
    starts = [played.at + start for start, _ in played.spans(gap_ms=1500)]
    heard = await page.value(HEARD_AT)
    assert len(starts) == len(heard)
    later = [told - recorded for told, recorded in zip(heard, starts, strict=True)]
    assert max(map(abs, later)) < DEVICES_S, [round(1000 * by) for by in later]


async def latency(page: Lab) -> list[str]:
    """What the console lists, a line for each part."""
    return [text or "" for text in await page.region("Latency").get_by_role("listitem").all_text_contents()]


async def test_the_console_shows_each_part_of_the_newest_turn_and_what_was_not_measured(lab: OpenLab) -> None:
    page = await lab(WITH_A_TOOL, "session", "session.view('latency')", "session.latency()")
    await shown(page)
    region = page.region("Latency").first
    await region.get_by_text("How long an answer takes").wait_for()
    await press(page, "Talk")
    await region.get_by_text(re.compile(r"turn 1: [\d,]+ ms from your last word to the first sound")).wait_for()
    told = " ".join(await latency(page))
    for part in ("endpointing 500 ms setting endpointing_ms", "first token", "tools", "get_weather", "browser"):
        assert part in told
    await until_value(page, "session.turns[-1].is_settled")
    gap = await page.value("session.turns[0].waterfall.gap_ms")
    await region.get_by_text(f"{gap:,.0f} ms").wait_for()
    await page.run(2)
    await page.run(3)
    for width in (1000, 380):
        await page.output_width(width)
        for theme in ("light", "dark"):
            await page.theme(theme)
            assert (await page.js(CUT_OFF), await page.js(BEYOND)) == ([], [])
            await page.screenshot(f"latency-{width}-{theme}", of=page.page.locator(".patter").first)
    await page.output_width(1000)
    part = region.locator(".patter-fall > li[data-part='tools']")
    await part.hover()
    await region.locator("summary").get_by_text("get_weather").wait_for()
    await page.page.mouse.move(0, 0)
    await press(page, "Stop")
    await say(page, "Thank you.")
    await region.get_by_text("turn 2").wait_for()
    await until_value(page, "len(session.turns) == 2 and session.turns[-1].is_settled")
    assert (await page.value("session.turns[-1].waterfall.since")) == "your message"
    await region.get_by_text(re.compile(r"turn 2: [\d,]+ ms from your message")).wait_for()
