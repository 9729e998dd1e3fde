"""The timeline in a real JupyterLab: seen, zoomed, heard by what the page really put out, and kept in a notebook without its kernel."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
from lab_page import Lab, OpenLab
from microphone import Recordings
from page_sound import Sound
from person import IMPORTS, LONG, press, say, shown, talk, until_value

from patter_nb.audio.frames import Pcm
from patter_nb.audio.resampling import resample

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SERVE = f"""
{IMPORTS}
from patter_nb.events import TurnHeard

async def get_weather(city: str) -> str:
    "Tell the weather in a city."
    return f"Sunny in {{city}}."

llm = ScriptedLLM([[Call("get_weather", {{"city": "Rome"}})], {LONG!r}, "Very well."])
session = await Patter().serve(Patter().agent(llm=llm, tts=ScriptedTTS(), tools=[get_weather]))
"""
LABEL = """() => document.querySelector(".patter-time-picture")?.getAttribute("aria-label") ?? "" """
RANGE = """() => document.querySelector(".patter-time-range").textContent"""
KEPT = "[data-patter-keepsake]"
TIMELINE = 'session.view("timeline")'
GUTTER = 52
"""Room for the labels, as in rows.js."""
COUNT_PAINTS = """() => {
  window.__paints = [];
  const { setTransform } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.setTransform = function (...given) {
    window.__paints.push(performance.now());
    return setTransform.apply(this, given);
  };
}"""
OVERFLOWS = """() => [...document.querySelectorAll(".patter-timeline *:not(.patter-unheard, .patter-unheard *)")]
  .filter((each) => each.offsetParent !== null && each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).display !== "inline")
  .map((each) => `${each.className}: ${each.scrollWidth} > ${each.clientWidth}`)"""
SPOKEN = f"""
{IMPORTS}
from patter_nb import EnergyVAD
llm = ScriptedLLM([{LONG!r}, "All right, I am listening."])
stt = ScriptedSTT([["Tell me", "Tell me about the", "Tell me about the museum, please."], ["Wait", "Wait a moment."]])
session = await Patter().serve(Patter().agent(llm=llm, stt=stt, tts=ScriptedTTS(), vad=EnergyVAD()))
"""


async def open_timeline(page: Lab) -> None:
    """Run the cells that serve, show the console and show the timeline, and wait for its region."""
    await shown(page)
    await page.run(2)
    await page.region("Timeline").wait_for()
    await page.region("Timeline").scroll_into_view_if_needed()


async def talked(page: Lab) -> None:
    """A question was typed, and its answer heard to the end."""
    await say(page, "What's the weather in Rome?")
    await until_value(page, "bool(session.events.of(TurnHeard))")
    await page.until("() => document.querySelector('.patter-time-picture').getAttribute('aria-label').includes('1 turn')")


async def place(page: Lab, t_ms: float, row: float = 0.75) -> tuple[float, float]:
    """Where a moment of the session lies on the screen; `row` from the top of the picture (0) to its bottom (1)."""
    box = await page.page.locator(".patter-time-picture").bounding_box()
    assert box
    shown_from, shown_to = (float(told.split(":")[0]) * 60 + float(told.split(":")[1]) for told in (await page.js(RANGE)).split(" – "))
    share = (t_ms / 1000 - shown_from) / (shown_to - shown_from)
    return box["x"] + GUTTER + share * (box["width"] - GUTTER), box["y"] + row * box["height"]


async def moment_at(page: Lab, x: float, y: float) -> float:
    """The moment that the pointer is told of there, in ms."""
    await page.page.mouse.move(x + 5, y)
    await page.page.mouse.move(x, y)
    told = await page.js("() => document.querySelector('.patter-time-tip p').textContent")
    minutes, seconds = told.split(":")
    return float(minutes) * 60_000 + float(seconds) * 1000


def likeness(heard: Sound, wanted: Pcm, rate: int) -> float:
    """How much of what was heard is the wanted sound, from 0 to 1: the highest correlation at any shift."""
    ours = resample(wanted, rate, heard.rate).astype(float)
    theirs = heard.pcm.astype(float)
    products = np.fft.irfft(np.fft.rfft(theirs, len(theirs) + len(ours)) * np.fft.rfft(ours, len(theirs) + len(ours)).conj())
    energy = np.convolve(theirs**2, np.ones(len(ours)), "full")[len(ours) - 1 :]
    across = products[: len(energy)] / np.sqrt(np.maximum(energy, 1.0) * (ours**2).sum())
    return float(across.max())


async def test_a_click_on_a_moment_is_heard_and_space_ends_it(lab: OpenLab) -> None:
    page = await lab(SERVE, "session", TIMELINE)
    await open_timeline(page)
    await talked(page)
    await asyncio.sleep(1)
    before = (await page.heard()).seconds
    at = await page.value("[piece.at for piece in session.timeline.lanes['pieces']][1]")
    await page.page.mouse.click(*await place(page, at))
    await page.page.get_by_role("button", name="Stop playing").wait_for()
    await page.until("() => !document.querySelector('.patter-time-head').hidden")
    await asyncio.sleep(2)
    await page.page.keyboard.press("Space")
    await page.page.get_by_role("button", name="Play", exact=True).wait_for()
    await asyncio.sleep(1)
    whole = await page.heard()
    heard = whole.between(before, whole.seconds)
    (span,) = heard.spans(over_db=-45)
    assert 1.0 < span[1] - span[0] < 5.0, "it was heard, and Space ended it before its eight seconds"
    told = await page.value(f"(lambda sound: (sound[0].tolist(), sound[1]))(session.timeline.sound({at}, {at} + 1000))")
    assert likeness(heard.between(span[0], span[0] + 1.5), np.array(told[0], np.int16), told[1]) > 0.8
    assert await page.value("len(session.turns)") == 1, "who listens again says nothing"
    assert await page.value("(session.turns[0].heard_text, session.state)") == (LONG, "ready")


async def test_wheel_keys_and_buttons_zoom_and_move(lab: OpenLab) -> None:
    page = await lab(SERVE, "session", TIMELINE)
    await open_timeline(page)
    await talked(page)
    x, y = await place(page, 4000)
    before = await moment_at(page, x, y)
    await asyncio.sleep(0.5)  # the page stands still
    await page.page.mouse.wheel(0, -500)
    await page.until(f"() => !({RANGE})().startsWith('0:00.0')")
    assert abs(await moment_at(page, x, y) - before) < 15, "the moment under the pointer stays there, to a pixel or two"
    await press(page, "Show all")
    await page.until(f"() => ({RANGE})().startsWith('0:00.0')")
    await page.page.locator(".patter-time-picture").focus()
    await page.page.keyboard.press("+")
    await page.until(f"() => !({RANGE})().startsWith('0:00.0')")
    await page.page.keyboard.press("Home")
    await page.until(f"() => ({RANGE})().startsWith('0:00.0')")
    await page.page.keyboard.press("End")
    await page.until(f"() => !({RANGE})().startsWith('0:00.0')")
    await page.page.keyboard.press("0")
    await page.until(f"() => ({RANGE})().startsWith('0:00.0')")


async def test_the_pointer_finds_the_state_of_a_moment(lab: OpenLab) -> None:
    page = await lab(SERVE, "session", TIMELINE)
    await open_timeline(page)
    await talked(page)
    at = await page.value("session.timeline.lanes['pieces'][0].to - 300")
    x, y = await place(page, at, row=0.97)
    await page.page.mouse.move(x, y)
    tip = page.page.locator(".patter-time-tip")
    await tip.get_by_text("Ships came here").first.wait_for()
    await tip.get_by_text("speaking · turn 1").wait_for()
    heard = await page.value(f"session.timeline.at({at}).heard_text")
    assert heard and heard in await tip.inner_text()
    await page.screenshot("timeline-tip", of=page.region("Timeline"))


async def test_it_goes_on_while_the_session_does_and_paints_ten_times_a_second_at_most(lab: OpenLab) -> None:
    page = await lab(SERVE, "session", TIMELINE)
    await open_timeline(page)
    await page.js(COUNT_PAINTS)
    await say(page, "What's the weather in Rome?")
    await until_value(page, "bool(session.events.of(TurnHeard))")
    paints = await page.js("() => window.__paints")
    assert len(paints) > 10
    busiest = max(sum(begin <= at < begin + 1000 for at in paints) for begin in paints)
    assert busiest <= 12, "ten a second, and what opening and resizing add"
    await asyncio.sleep(1)
    rest = await page.js("() => window.__paints.length")
    await asyncio.sleep(2)
    assert await page.js("() => window.__paints.length") == rest, "nothing changes, nothing is painted"


async def test_the_picture_is_in_the_saved_notebook_and_seen_where_the_timeline_is_not(lab: OpenLab) -> None:
    page = await lab(SERVE, "session", TIMELINE)
    await open_timeline(page)
    await talked(page)
    kept = page.cell(2).locator(KEPT)
    await kept.get_by_text("1 turn", exact=False).first.wait_for(state="attached")
    assert not await kept.is_visible()
    await page.command("docmanager:save")
    outputs = json.loads(page.notebook.read_text("utf-8"))["cells"][2]["outputs"]
    (bundle,) = [output["data"] for output in outputs if "text/html" in output["data"]]
    told = "".join(bundle["text/html"])
    assert "<svg" in told and "<script" not in told and len(told) < 100_000
    assert "What's the weather in Rome?" in "".join(bundle["text/plain"])
    await page.restart()
    await page.reload(save=False)
    await kept.locator("svg").first.wait_for()
    assert await kept.is_visible()
    assert await page.page.locator(".patter-time-picture").count() == 0
    for theme in ("light", "dark"):
        await page.theme(theme)
        await page.screenshot(f"timeline-kept-{theme}", of=kept)


@pytest.mark.slow
async def test_light_and_dark_wide_and_narrow_with_an_interruption(lab: OpenLab, record: Recordings) -> None:
    """Pictures to be looked at, of a real voice: nothing is cut off in any of them."""
    microphone = await record(1.0, "Tell me about the museum, please.", 4.0, "Wait a moment.", 30.0)
    page = await lab(SPOKEN, "session", TIMELINE, microphone=microphone)
    await open_timeline(page)
    await talk(page)
    await until_value(page, "len(session.turns) == 2 and session.turns[1].is_settled", timeout_s=60)
    await press(page, "Stop")
    await page.region("Timeline").scroll_into_view_if_needed()
    await page.until(f"() => ({LABEL})().includes('1 interruption')")
    for width in (1600, 1000, 400):
        await page.output_width(width)
        for theme in ("light", "dark"):
            await page.theme(theme)
            assert await page.js(OVERFLOWS) == []
            await page.screenshot(f"timeline-{width}-{theme}", of=page.region("Timeline"))
    await page.output_width(1000)
    x, y = await place(page, await page.value("session.timeline.lanes['interruptions'][0].at"), row=0.3)
    await page.page.mouse.move(x, y)
    await asyncio.sleep(0.5)
    for _ in range(4):
        await page.page.mouse.wheel(0, -300)
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    await page.screenshot("timeline-near", of=page.region("Timeline"))
    samples = await page.value("[len(track) for track in (session.audio.heard, session.audio.spoken)]")
    assert min(samples) > 0
