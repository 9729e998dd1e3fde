"""Talk, Mute and Stop do what they say, to the microphone and to the session."""

from __future__ import annotations

import numpy as np
import pytest
from lab_page import Lab, OpenLab
from microphone import RATE, Recordings
from person import LONG, lost_frames, openings, press, say, serving, shown, status, talk, until_value

pytestmark = pytest.mark.browser

VOICED = ((0, 600_000),)
"""The detector hears a voice all the time; silence is for the page and the session to make."""


async def speeches(page: Lab) -> int:
    return int(await page.value("sum(event.type == 'speech_started' for event in session.events)"))


async def test_stop_closes_the_microphone_and_talk_goes_on_in_the_same_session(lab: OpenLab) -> None:
    page = await lab(serving(LONG, "Here.", "And here."), "first = session; session")
    await shown(page)
    await talk(page)
    await say(page, "Tell me about the ships.")
    await until_value(page, "session.state == 'speaking' and len(session.events.cursor) > 0")
    await press(page, "Stop")
    await until_value(page, "session.turns[-1].status == 'interrupted' and session.turns[-1].heard_text is not None")
    assert await page.microphones() == 0
    [(start, stop)] = (await page.heard()).spans()
    assert stop - start < len(LONG) * 0.06 - 1
    await status(page, "Ready")
    await say(page, "Still there?")
    await page.region("Transcript").get_by_text("Here.", exact=True).wait_for()
    heard = await page.value("len(session.audio.heard)")
    await press(page, "Talk")
    await until_value(page, f"len(session.audio.heard) > {heard}")
    await say(page, "And now?")
    await page.region("Transcript").get_by_text("And here.").wait_for()
    assert await page.value("(session is first, len(session.turns))") == (True, 3)
    assert (await page.microphones(), await openings(page), await lost_frames(page)) == (1, 2, 0)


@pytest.mark.slow
async def test_what_is_said_while_muted_reaches_nobody(lab: OpenLab, record: Recordings) -> None:
    at = np.arange(RATE * 60) / RATE
    calls = (12000 * np.sin(2 * np.pi * 300 * at) * (at % 0.4 < 0.2)).astype(np.int16)  # a tone that lasts is suppressed as noise
    serve = "import numpy" + serving("Hello, too.", heard=("Hello.",), speaks_ms=VOICED, voiced=False)
    page = await lab(serve, "session", microphone=await record((calls, RATE)))
    loud = "int(abs(numpy.asarray(session.audio.heard)[-16000:].astype(int)).max(initial=0))"
    await shown(page)
    await talk(page)
    await status(page, "Listening")
    await until_value(page, f"{loud} > 500")
    await press(page, "Mute")
    await page.region("Transcript").get_by_text("Hello, too.").wait_for()
    await status(page, "Muted")
    await until_value(page, f"{loud} == 0")
    before, heard = await speeches(page), await page.value("len(session.audio.heard)")
    await until_value(page, f"len(session.audio.heard) > {heard} + 16000")
    assert (await page.value(loud), await speeches(page), await page.microphones()) == (0, before, 1)
    await page.screenshot("muted")
    await press(page, "Mute")
    await until_value(page, f"{loud} > 500")
    await status(page, "Listening")
    assert await speeches(page) == before + 1
    await press(page, "Stop")
    await status(page, "Ready")
    assert (await page.microphones(), await page.value("len(session.turns)"), await lost_frames(page)) == (0, 1, 0)
