"""The console with an engine in place of the three stages: spoken to, heard, and changed for a pipeline inside a conversation."""

from __future__ import annotations

import pytest
from lab_page import OpenLab
from person import press, say, shown, status, until_value

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SERVE = """
from patter_nb import OpenAIRealtime, Patter
from patter_nb.testing import ScriptedLLM, ScriptedTTS
from patter_nb.testing.wire.realtime import RealtimeServer, Spoken, Utterance
server = RealtimeServer([Spoken("It is sunny in Rome.", paced=True)], hears=[Utterance(600, 1400, "What's the weather in Rome?")])
await server.__aenter__()
session = await Patter().serve(Patter().agent("Be brief.", engine=OpenAIRealtime("test-key", base_url=server.url)))
"""


async def test_an_engine_is_spoken_with_and_changed_for_a_pipeline(lab: OpenLab) -> None:
    page = await lab(SERVE.strip(), "session")
    await shown(page)
    chip = page.page.locator(".patter-chip").filter(has_text="engine")
    assert "gpt-realtime-mini" in await chip.inner_text()
    assert "paid per use" in await chip.inner_text()
    await press(page, "Talk")
    await page.region("Transcript").get_by_text("What's the weather in Rome?").wait_for()
    await page.region("Transcript").get_by_text("It is sunny in Rome.").wait_for()
    await until_value(page, "session.turns[-1].heard_text == 'It is sunny in Rome.'")
    await status(page, "Ready")
    await page.screenshot("engine")
    [(start, stop)] = (await page.heard()).spans()
    assert stop - start == pytest.approx(len("It is sunny in Rome.") * 0.06, abs=0.15)
    await page.execute("session.use(engine=None, llm=ScriptedLLM(['From the model.']), tts=ScriptedTTS())")
    await page.page.locator(".patter-chip").filter(has_text="thinks").wait_for()
    await say(page, "And now?")
    await page.region("Transcript").get_by_text("From the model.").wait_for()
    await until_value(page, "len(session.history) == 4")
    assert await page.value("[message['content'] for message in session.history]") == [
        "What's the weather in Rome?",
        "It is sunny in Rome.",
        "And now?",
        "From the model.",
    ]
