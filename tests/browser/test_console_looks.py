"""Every state of the console as it looks, light and dark, wide and narrow: pictures to be looked at, and nothing cut off in any of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from lab_page import Lab, OpenLab
from person import IMPORTS, LONG, press, say, shown, status, talk, until_value

pytestmark = pytest.mark.browser

SERVE = f"""
import asyncio, time
from patter_nb import TurnTaking
from patter_nb.testing import Hold
from patter_nb.transports.base import LocalPause
{IMPORTS}
class Ear(RecordedVAD):
    "Hears a voice while it is told to."
    voiced = False

    def probability(self, frame):
        return 0.95 if self.voiced else 0.0

async def get_weather(city: str) -> str:
    "Tell the weather in a city."
    await told.wait()
    return f"Sunny in {{city}}, with a light breeze from the north-west; " + "in the evening it stays dry. " * 8

thought, told, ear = asyncio.Event(), asyncio.Event(), Ear([])
llm = ScriptedLLM([[Hold(thought), Call("get_weather", {{"city": "Rome"}})], {LONG!r}])
stt = ScriptedSTT([["What's the", "What's the weather in", "What's the weather in Rome?"]])
taking = TurnTaking(confirm_ms=60_000)
session = await Patter().serve(
    Patter().agent(llm=llm, stt=stt, tts=ScriptedTTS(ms_per_char=200), vad=ear, tools=[get_weather], turn_taking=taking)
)
"""
WORD_IS_WHOLE = """() => {
  const word = document.querySelector(".patter-word");
  return word.scrollWidth <= word.clientWidth;
}"""
CUT_OFF = """() => [...document.querySelectorAll(".patter, .patter *")]
  .filter((each) => each.offsetParent !== null && each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).overflowX !== "visible")
  .filter((each) => !each.matches(".patter-word, .patter-select, .patter-fold code"))
  .map((each) => `${each.className}: ${each.scrollWidth} > ${each.clientWidth}`)"""
BEYOND = """() => {
  const edge = document.querySelector(".patter").getBoundingClientRect().right;
  return [...document.querySelectorAll(".patter *:not(.patter-fold *)")].filter((each) => each.getBoundingClientRect().right > edge + 1)
    .map((each) => `${each.className}: ${each.textContent.slice(0, 40)}`);
}"""


async def look(page: Lab, name: str) -> None:
    """Take the four pictures of what there is."""
    for width in (1000, 380):
        await page.output_width(width)
        for theme in ("light", "dark"):
            await page.theme(theme)
            assert (await page.js(CUT_OFF), await page.js(BEYOND)) == ([], [])
            await page.screenshot(f"look-{name}-{width}-{theme}", of=page.page.locator(".patter").first)


async def states(page: Lab) -> AsyncIterator[str]:
    """Go through the states, each for as long as it takes to look at it."""
    await shown(page)
    await status(page, "Ready")
    yield "ready"
    await talk(page)
    await page.execute("ear.voiced = True")
    await status(page, "Listening")
    await page.region("Transcript").get_by_text("What's the weather in …").wait_for()
    yield "listening"
    await page.execute("ear.voiced = False")
    await status(page, "Thinking")
    yield "thinking"
    await page.execute("thought.set()")
    await status(page, "Calling get_weather")
    yield "calling"
    await page.execute("told.set()")
    await status(page, "Speaking")
    await until_value(page, "len(session.events.cursor) > 0")
    yield "speaking"
    await page.execute(f"session.transport.offer(LocalPause({await page.value('session.events.cursor.slice(0, 1)[0][2].item()')}))")
    await status(page, "Paused")
    yield "paused"
    await page.run(2, wait=False)
    await status(page, "Kernel busy")
    yield "busy"
    await page.interrupt()
    await page.finished(2, fails=True)
    await press(page, "Stop")
    await until_value(page, "session.turns[0].status == 'interrupted'")
    yield "interrupted"


@pytest.mark.slow
async def test_nothing_is_cut_off_where_it_is_narrow(lab: OpenLab) -> None:
    page = await lab(SERVE, "session")
    await shown(page)
    await page.output_width(380)
    await say(page, "What's the weather in Rome? And " + "how is it going to be in the next days " * 3)
    await page.execute("thought.set()")
    await status(page, "Calling get_weather")
    assert await page.js(WORD_IS_WHOLE)
    await page.execute("told.set()")
    await status(page, "Speaking")
    await page.region("Tools").get_by_text("Sunny in Rome").first.wait_for()
    assert (await page.js(CUT_OFF), await page.js(BEYOND)) == ([], [])
    columns = [await page.region(name).bounding_box() for name in ("Transcript", "Tools", "Chunks")]
    assert len({round(box["x"]) for box in columns if box}) == 1
    assert await page.js(WORD_IS_WHOLE)
    await page.screenshot("narrow")


@pytest.mark.slow
async def test_every_state_in_light_and_dark_wide_and_narrow(lab: OpenLab) -> None:
    page = await lab(SERVE, "session", "time.sleep(60)")
    async for state in states(page):
        await look(page, state)


@pytest.mark.slow
async def test_a_denied_microphone_in_light_and_dark_wide_and_narrow(lab: OpenLab) -> None:
    page = await lab(SERVE, "session", microphone="denied")
    await shown(page)
    await press(page, "Talk")
    await status(page, "Microphone denied")
    await look(page, "denied")
