"""The console once for each way in which an agent can hear, think and speak: a question is spoken, and the answer is heard in the page.

What is local from end to end is in test_console_spoken. Vendors are on this machine, over real sockets.
"""

from __future__ import annotations

from pathlib import Path

import modes
import pytest
from lab_page import Lab, OpenLab
from microphone import QUESTION, Recordings
from modes import ANSWER, MODES, Mode, prepared
from page_sound import recognised
from person import press, shown, status, until_value
from talking import share_heard

from patter_nb.audio.wav import read_wav

pytestmark = [pytest.mark.browser, pytest.mark.models, pytest.mark.slow]


async def chips(page: Lab) -> list[str]:
    """What stands in the chips: what runs in each stage, and what it costs."""
    return [await chip.inner_text() for chip in await page.page.locator(".patter-chip").all()]


@pytest.mark.parametrize("mode", MODES, ids=str)
async def test_a_question_is_spoken_and_the_answer_heard(lab: OpenLab, record: Recordings, tmp_path: Path, mode: Mode) -> None:
    page = await lab(mode.serve, "session", microphone=await record(1.0, QUESTION, 30.0))
    await page.execute(prepared(mode, await record(ANSWER)))
    await shown(page)
    await press(page, "Talk")
    transcript = page.page.locator(".patter-turn")
    await status(page, "Speaking")
    await transcript.get_by_text("the weather in").wait_for()
    await page.screenshot(f"mode-{mode.name}-speaking")
    await until_value(page, f"session.turns[-1].heard_text == {ANSWER!r}")
    await status(page, "Ready")
    await transcript.get_by_text(ANSWER).wait_for()
    await page.screenshot(f"mode-{mode.name}")
    assert await page.value("[turn.status for turn in session.turns]") == ["completed"]
    assert await page.page.locator(".patter-fault").count() == 0
    told = await chips(page)
    assert len(told) == len(mode.chips)
    for text, parts in zip(told, mode.chips, strict=True):
        assert all(part in text for part in parts), text
    history = await page.value("[(message['role'], message['content']) for message in session.history]")
    assert [role for role, _ in history] == ["user", "assistant"]
    assert "the weather in" in history[0][1]
    assert history[1][1] == ANSWER
    assert share_heard(ANSWER, await (await page.heard()).text()) >= 0.7, "in the page"
    await page.execute(f"write_wav({str(tmp_path / 'person.wav')!r}, *{mode.heard})")
    assert share_heard(modes.QUESTION, await recognised(*read_wav(tmp_path / "person.wav"))) >= 0.7, "at the other end"
