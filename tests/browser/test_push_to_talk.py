"""A recorder of ipywebrtc as the microphone: its button pressed, a question spoken, its button pressed again, and the answer comes."""

from __future__ import annotations

import pytest
from lab_page import OpenLab
from microphone import Recordings
from person import until_value

pytestmark = [pytest.mark.browser, pytest.mark.models, pytest.mark.slow]

SERVE = """
from patter_nb import Patter
from patter_nb.console.push_to_talk import push_to_talk
from patter_nb.demo import agent
session = await Patter().serve(agent())
recorder = push_to_talk(session)
recorder
"""


async def test_what_a_recorder_of_the_page_records_is_heard_and_answered(lab: OpenLab, record: Recordings) -> None:
    page = await lab(SERVE, "session", microphone=await record(0.5, "What's the weather in London?", 20.0))
    await page.run(0)
    await page.run(1)
    button = page.cell(0).locator(".jp-OutputArea button").first
    await button.click()
    await page.page.wait_for_timeout(4_000)  # the question is spoken
    await button.click()
    await page.region("Transcript").get_by_text("London").first.wait_for()
    await page.region("Tools").get_by_text("get_weather").wait_for()
    await until_value(page, "session.turns[-1].status == 'completed'")
    assert "London" in await page.value("session.turns[-1].agent_text")
