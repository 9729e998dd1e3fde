"""A cell that blocks the kernel while someone speaks: every frame comes, and old words are offered rather than answered out of the blue."""

from __future__ import annotations

import pytest
from lab_page import OpenLab
from person import IMPORTS, lost_frames, press, shown, status, talk, until_value

pytestmark = pytest.mark.browser

SERVE = f"""
import time
{IMPORTS}
class Ear(RecordedVAD):
    "Hears a voice from half a second after `block` on, for a second."

    def block(self, seconds):
        start = len(session.audio.heard) // 320 + 25
        self._probabilities = RecordedVAD.speaking((20 * start, 20 * (start + 50)))._probabilities
        time.sleep(seconds)

ear = Ear([])
session = await Patter().serve(
    Patter().agent(llm=ScriptedLLM(["It is still sunny."]), stt=ScriptedSTT(["What's the weather?"]), vad=ear, tts=ScriptedTTS())
)
"""


@pytest.mark.slow
@pytest.mark.parametrize("blocked_s", [8, 35])
async def test_what_is_said_while_a_cell_blocks_comes_late_and_is_offered(lab: OpenLab, blocked_s: int) -> None:
    page = await lab(SERVE, "session", f"ear.block({blocked_s})")
    await shown(page)
    await talk(page)
    before = await page.value("len(session.audio.heard)")
    await page.run(2, wait=False)
    await status(page, "Kernel busy")
    await page.screenshot("busy")
    assert await page.microphones() == 1
    await page.until(f"() => {{ const model = {CELL}; return model.executionState === 'idle' && !!model.executionCount; }}", timeout_s=60)
    transcript = page.region("Transcript")
    await transcript.get_by_text("What's the weather?").wait_for()
    late_ms = await page.value("next(event.body.late_ms for event in session.events if event.type == 'turn_offered')")
    assert 5000 < late_ms < 1000 * blocked_s
    await transcript.get_by_text(f"heard {late_ms / 1000:.1f} s late").wait_for()
    assert await page.value("(session.turns[-1].status, session.turns[-1].agent_text)") == ("offered", "")
    assert await page.value("len(session.audio.heard)") - before >= (blocked_s - 1) * 16_000
    await status(page, "Ready")
    await page.screenshot("offered")
    await press(page, "Answer it now")
    await transcript.get_by_text("It is still sunny.").wait_for()
    await until_value(page, "session.turns[-1].status == 'completed' and session.turns[-1].heard_text == 'It is still sunny.'")
    assert await page.page.get_by_role("button", name="Answer it now").count() == 0
    assert await lost_frames(page) == 0


CELL = "window.jupyterapp.shell.currentWidget.content.widgets[2].model"
