"""The console in a real JupyterLab, spoken to by a fake microphone that plays real speech, and heard by what the page really put out."""

from __future__ import annotations

import numpy as np
import pytest
from lab_page import Lab, OpenLab
from microphone import RATE, Recordings
from page_sound import Echo
from talking import share_heard

pytestmark = [pytest.mark.browser, pytest.mark.models]

DEMO = """
from patter_nb import Patter
from patter_nb.demo import agent
session = await Patter().serve(agent())
"""
LONG = (
    "The museum was founded in eighteen ninety by a retired sea captain. It holds four hundred paintings of ships, and one of a horse. "
    "On the first floor you find the harbour as it was in his days. On the second floor there are letters that he wrote to his sister."
)
"""About fifteen seconds when spoken, so that what is said into it comes into it on a slow machine too."""
GUIDE = f"""
from patter_nb import MoonshineSTT, Patter, PiperTTS
from patter_nb.testing import ScriptedLLM
llm = ScriptedLLM([{LONG!r}, "All right, I am listening."])
session = await Patter().serve(Patter().agent(llm=llm, stt=MoonshineSTT(), tts=PiperTTS()))
"""


async def talk(page: Lab) -> None:
    """Run the two cells, and press Talk."""
    await page.run(0)
    await page.run(1)
    await page.page.get_by_role("button", name="Talk").click()


async def until_status(page: Lab, *statuses: str) -> None:
    """Wait until the session's newest turn is of one of these statuses."""

    async def reached() -> bool:
        return bool(await page.value(f"bool(session.turns) and session.turns[-1].status in {statuses}"))

    await page.until(reached, timeout_s=60)


async def test_a_spoken_question_is_answered_aloud(lab: OpenLab, record: Recordings) -> None:
    page = await lab(DEMO, "session", microphone=await record(1.0, "What's the weather in London?", 20.0))
    await talk(page)
    await page.region("Transcript").get_by_text("London").first.wait_for()
    await page.region("Tools").get_by_text("get_weather").wait_for()
    await until_status(page, "completed")

    async def heard() -> bool:
        return bool(await page.value("bool(session.turns[-1].heard_text)"))

    await page.until(heard)
    said = await page.value("session.turns[-1].agent_text")
    assert "London" in said
    assert await page.value("session.turns[-1].heard_text") == said
    assert share_heard(said, await (await page.heard()).text()) >= 0.7
    assert await page.value("session.turns[-1].tool_calls[0].arguments") == {"city": "London"}
    await page.screenshot("spoken")


async def test_who_speaks_into_the_answer_silences_it(lab: OpenLab, record: Recordings) -> None:
    page = await lab(GUIDE, "session", microphone=await record(1.0, "Tell me about the museum.", 8.0, "Wait a moment, please.", 20.0))
    await talk(page)

    async def two_turns() -> bool:
        return bool(await page.value("len(session.turns) == 2 and session.turns[1].status == 'completed'"))

    await page.until(two_turns, timeout_s=60)
    first = await page.value("(session.turns[0].status, session.turns[0].heard_text, session.turns[0].agent_text)")
    assert first[0] == "interrupted"
    assert first[1] and LONG.startswith(first[1].strip()) and len(first[1]) < len(LONG)
    assert await page.value("llm.requests[1].messages[1]['content']") == first[1].strip()
    await page.region("Transcript").get_by_text("interrupted after").wait_for()
    await page.screenshot("interrupted")


@pytest.mark.slow
async def test_a_slammed_door_pauses_the_answer_and_loses_nothing_of_it(lab: OpenLab, record: Recordings) -> None:
    slam = (12000 * np.exp(-np.arange(RATE // 5) / 1500) * np.random.default_rng(1).uniform(-1, 1, RATE // 5)).astype(np.int16)
    page = await lab(GUIDE, "session", microphone=await record(1.0, "Tell me about the museum.", 8.0, (slam, RATE), 30.0))
    await talk(page)
    await until_status(page, "completed", "interrupted")

    async def heard() -> bool:
        return bool(await page.value("session.turns[-1].heard_text"))

    await page.until(heard, timeout_s=60)
    assert await page.value("(len(session.turns), session.turns[0].status)") == (1, "completed")
    assert share_heard(LONG, await (await page.heard()).text()) >= 0.8


@pytest.mark.slow
async def test_the_agents_own_echo_does_not_interrupt_it(lab: OpenLab, record: Recordings) -> None:
    microphone = await record(1.0, "Tell me about the museum.", 40.0)
    page = await lab(GUIDE, "session", microphone=microphone, echo=Echo(delay_ms=80, loss_db=24))
    await talk(page)

    async def heard() -> bool:
        return bool(await page.value("bool(session.turns) and bool(session.turns[0].heard_text)"))

    await page.until(heard, timeout_s=60)
    assert await page.value("(len(session.turns), session.turns[0].status, session.turns[0].heard_text)") == (1, "completed", LONG)
