"""A pipeline, an engine and a pipeline again in one conversation, as the console shows and sounds it: all are spoken to, and all speak."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from lab_page import Lab, OpenLab
from microphone import QUESTION, Recordings
from page_sound import Sound
from person import press, shown, status, until_value

pytestmark = [pytest.mark.browser, pytest.mark.models, pytest.mark.slow]

ASKED = ("What's the weather in Paris?", "And who are you now?", "And now?")
BY_PIPELINE = "The pipeline speaks of Paris."
BY_ENGINE = "The engine speaks, at great length, of itself and of all that it has heard, seen and thought since it was first spoken to."
TAKEN_OVER = "The pipeline goes on."
BACK = "The pipeline is back."
PIPELINE_HZ, ENGINE_HZ = 500, 1200
"""What the two voices hum, so that they could be told apart where they sounded together."""

BEFORE = f"""
import numpy as np
from patter_nb import DeepgramSTT, ElevenLabsTTS, OpenAILLM, OpenAIRealtime, Patter
from patter_nb.testing.wire import WireServer
from patter_nb.testing.wire.realtime import RealtimeServer, Spoken, Utterance
from patter_nb.testing.wire.speech_sockets import SpeechServer
from patter_nb.testing.wire.voices import VoiceServer

def hum(text, hz):
    "60 ms a character, as the doubles have it."
    return (8000 * np.sin(2 * np.pi * hz * np.arange(24 * 60 * len(text)) / 24_000)).astype(np.int16)

ears = [await SpeechServer([text, "", ""]).__aenter__() for text in {ASKED[::2]!r}]
mind = await WireServer({[BY_PIPELINE, TAKEN_OVER, BACK]!r}).__aenter__()
mouth = await VoiceServer(lambda text: hum(text, {PIPELINE_HZ})).__aenter__()
server = await RealtimeServer([Spoken({BY_ENGINE!r}, pcm=hum({BY_ENGINE!r}, {ENGINE_HZ}), paced=True)]).__aenter__()

def pipeline(ears):
    return {{
        "stt": DeepgramSTT("test-key", base_url=ears.url),
        "llm": OpenAILLM("test-key", base_url=mind.openai_url),
        "tts": ElevenLabsTTS("test-key", base_url=mouth.elevenlabs_url),
    }}

def speak_to_the_engine():
    "The person is heard in what it gets from now on: the question is in the second and third second of the recording."
    now_ms = len(server.heard) / 48
    server._hears.append(Utterance(now_ms + 1000, now_ms + 3000, {ASKED[1]!r}, late=False))
"""
CHIPS = "[...document.querySelectorAll('.patter-chip')].map((chip) => chip.textContent.split(' ')[0])"
SERVE = 'session = await Patter().serve(Patter().agent("Be brief.", **pipeline(ears[0])))'


async def talk(page: Lab, question: str) -> None:
    """Open the microphone, which hears the recording from its beginning; wait until the transcript has the question."""
    await press(page, "Talk")
    await page.page.locator(".patter-turn").get_by_text(question).wait_for()


async def runs(page: Lab, *stages: str) -> None:
    """Wait until the chips are those of these stages."""
    await page.until(f"(stages) => {CHIPS}.filter((word) => word !== 'in').join() === stages", ",".join(stages))


def voices(sound: Sound) -> list[str]:
    """Whose voice is in each 50 ms that have any: "p" for the pipeline's, "e" for the engine's, "pe" for both."""
    size = sound.rate // 20
    blocks = sound.pcm[: len(sound.pcm) // size * size].reshape(-1, size) * np.hanning(size) / 32768
    strength = np.abs(np.fft.rfft(blocks)) / size * 4
    told = ["".join(who for who, hz in (("p", PIPELINE_HZ), ("e", ENGINE_HZ)) if block[round(hz / 20)] > 0.02) for block in strength]
    return [*filter(None, told)]


async def test_a_pipeline_an_engine_and_a_pipeline_again_in_one_conversation(lab: OpenLab, record: Recordings) -> None:
    page = await lab(SERVE, "session", microphone=await record(1.0, QUESTION, 40.0))
    await page.execute(BEFORE)
    await shown(page)
    await runs(page, "hears", "thinks", "speaks")

    await talk(page, ASKED[0])
    await status(page, "Speaking")
    await page.execute("session.use(stt=None, llm=None, tts=None, engine=OpenAIRealtime('test-key', base_url=server.url))")
    await until_value(page, f"session.turns[-1].heard_text == {BY_PIPELINE!r}")  # to its end, though another takes over
    await runs(page, "engine")
    await status(page, "Ready")
    await page.screenshot("swap-engine")
    await press(page, "Stop")

    await until_value(page, "bool(server.conversations)")
    await page.execute("speak_to_the_engine()")
    await talk(page, ASKED[1])
    await page.page.locator(".patter-turn").get_by_text("at great length").wait_for()
    await page.execute("session.use(when='now', engine=None, **pipeline(ears[1]))")
    await runs(page, "hears", "thinks", "speaks")
    await page.page.locator(".patter-turn").get_by_text(TAKEN_OVER).wait_for()
    await page.screenshot("swap-taken-over")
    await until_value(page, "session.turns[-1].is_settled")
    await status(page, "Ready")
    await press(page, "Stop")

    await talk(page, ASKED[2])
    await until_value(page, f"session.turns[-1].heard_text == {BACK!r}")
    await status(page, "Ready")
    await page.screenshot("swap-pipeline")

    history = await page.value("[(message['role'], message['content']) for message in session.history]")
    assert [role for role, _ in history] == ["user", "assistant"] * 3
    assert [content for _, content in history[::2]] == list(ASKED)
    assert (history[1][1], history[5][1]) == (BY_PIPELINE, BACK)
    begun = history[3][1].removesuffix(TAKEN_OVER).strip()
    assert begun and begun != BY_ENGINE and BY_ENGINE.startswith(begun), history[3][1]
    assert await page.value("[(turn.source, turn.status) for turn in session.turns]") == [("speech", "completed")] * 3
    rows = [" ".join(text.split()) for text in await page.page.locator(".patter-turn .patter-words").all_inner_texts()]
    assert rows == [ASKED[0], BY_PIPELINE, ASKED[1], f"{begun} {TAKEN_OVER}", ASKED[2], BACK]
    assert await page.page.locator(".patter-fault").count() == 0
    assert await page.js(f"() => {CHIPS}") == ["hears", "thinks", "speaks", "in"], "what all have cost, the engine too"
    costs = await page.value("{stage: cost is None for stage, cost in session.turns[1].costs.items()}")
    assert costs == {"stt": False, "llm": False, "engine": True, "tts": False}, "an answer that was cut off was never counted"
    heard = voices(await page.heard())
    assert heard.count("pe") <= 1, "two voices at once; one that follows the other within 50 ms is none"
    assert [who for who, _ in groupby(who for who in heard if who != "pe")] == ["p", "e", "p"]
