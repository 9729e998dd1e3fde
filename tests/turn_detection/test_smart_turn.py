"""Smart Turn on real speech: what is finished, what is not, and what a session makes of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from talking import bodies, talking

from patter_nb.audio.frames import SAMPLE_RATE, Pcm
from patter_nb.audio.resampling import resample
from patter_nb.downloads import Quiet, download
from patter_nb.errors import ModelNotFound, PatterConfigError
from patter_nb.events import SpeechStopped, TurnJudged, TurnStarted
from patter_nb.pipeline.turn_taking import TurnTaking
from patter_nb.stt.moonshine import MoonshineSTT
from patter_nb.testing import ScriptedLLM, ScriptedTTS
from patter_nb.transports.wav import WavTransport
from patter_nb.tts.piper import PiperTTS
from patter_nb.turn_detection.smart_turn import SmartTurn
from patter_nb.vad.silero import SileroVAD


@pytest.fixture(scope="module")
def smart_turn() -> SmartTurn:
    download(["smart-turn"], progress=Quiet())
    return SmartTurn()


async def say(text: str, pause_ms: int = 200) -> Pcm:
    """`text` as the local voice says it, with `pause_ms` of silence behind its last sound."""
    tts = PiperTTS()
    spoken = np.concatenate([block async for block in tts.synthesize(text)])
    await tts.aclose()
    spoken = resample(spoken, tts.format.sample_rate, SAMPLE_RATE)
    loud = np.nonzero(np.abs(spoken) > 300)[0]
    return np.concatenate([spoken[: loud[-1] + 1], np.zeros(pause_ms * SAMPLE_RATE // 1000, np.int16)])


@pytest.mark.models
@pytest.mark.parametrize("text", ["What's the weather in Rome?", "Set a timer for seven minutes.", "Yes."])
async def test_a_whole_sentence_is_finished(smart_turn: SmartTurn, text: str) -> None:
    assert smart_turn.probability(await say(text)) > 0.8


@pytest.mark.models
@pytest.mark.parametrize("text", ["What's the weather in", "Um, I think that", "And then we went to the, uh,"])
async def test_a_broken_off_one_is_not(smart_turn: SmartTurn, text: str) -> None:
    assert smart_turn.probability(await say(text)) < 0.2


@pytest.mark.models
async def test_only_the_last_eight_seconds_count(smart_turn: SmartTurn) -> None:
    said = await say("What's the weather in Rome?")
    before = np.concatenate([(await say("And then we went to the, uh,")) for _ in range(6)])
    long = np.concatenate([before, np.zeros(8 * SAMPLE_RATE - len(said), np.int16), said])
    silent = np.concatenate([np.zeros(8 * SAMPLE_RATE - len(said), np.int16), said])
    assert len(long) > 12 * SAMPLE_RATE
    assert smart_turn.probability(long) == smart_turn.probability(silent)


@pytest.mark.models
async def test_who_hesitates_is_waited_for_and_who_has_finished_is_answered_at_once(smart_turn: SmartTurn) -> None:
    silence = np.zeros(SAMPLE_RATE // 2, np.int16)
    said = [await say("What's the weather in", 900), await say("the city of Paris tomorrow?", 2_000)]
    hesitating = np.concatenate([silence, *said, silence])
    parts: dict[str, Any] = {"stt": MoonshineSTT(), "vad": SileroVAD(), "tts": ScriptedTTS(), "llm": ScriptedLLM(["It is sunny."])}
    transport = WavTransport((hesitating, SAMPLE_RATE), paced=False)
    async with talking(transport=transport, turn_taking=TurnTaking(detector=smart_turn, endpointing_ms=500), **parts) as session:
        await session.wait()
    judged = bodies(session, TurnJudged)
    [turn] = session.turns
    assert "weather" in turn.user_text and "city" in turn.user_text, "a silence of 500 ms would have cut it in two"
    assert judged[0].probability < 0.5 < judged[-1].probability
    [started] = session.events.of(TurnStarted)
    stopped = session.events.of(SpeechStopped)[-1]
    assert started.t_ms - stopped.t_ms < 300, "of session time: it was answered long before the silence would have ended it"


def test_without_the_download_the_error_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    for variable in ("HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(ModelNotFound, match=r"SmartTurn needs Smart Turn v3\.2.*8\.7 MB.*patter-nb download smart-turn"):
        SmartTurn().probability(np.zeros(SAMPLE_RATE, np.int16))


@pytest.mark.parametrize("threshold", [0, 1, -0.5, "half"])
def test_a_threshold_that_is_no_probability_is_refused(threshold: Any) -> None:
    with pytest.raises(PatterConfigError, match="threshold"):
        SmartTurn(threshold=threshold)
