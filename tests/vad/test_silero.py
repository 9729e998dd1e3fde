import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from patter_nb.audio.frames import FRAME_SAMPLES, SAMPLE_RATE, Frame, Pcm
from patter_nb.audio.resampling import resample
from patter_nb.downloads import ARTIFACTS
from patter_nb.errors import ModelNotFound, PatterConfigError
from patter_nb.tts.piper import PiperTTS
from patter_nb.vad.silero import SileroVAD

WINDOW = 512
SILENCE = np.zeros(SAMPLE_RATE, np.int16)


async def say(text: str) -> Pcm:
    tts = PiperTTS()
    spoken = np.concatenate([block async for block in tts.synthesize(text)])
    await tts.aclose()
    return resample(spoken, tts.format.sample_rate, SAMPLE_RATE)


def probabilities(vad: SileroVAD, pcm: Pcm, size: int = FRAME_SAMPLES) -> list[float]:
    return [vad.probability(Frame(pcm[at : at + size], 0, 0.0)) for at in range(0, len(pcm) - size + 1, size)]


@pytest.fixture
async def vad() -> AsyncIterator[SileroVAD]:
    silero = SileroVAD()
    await silero.warmup()
    yield silero


@pytest.mark.models
async def test_speech_is_heard_and_silence_is_not(vad: SileroVAD) -> None:
    speech = await say("I would like to book a table for four people tomorrow evening.")
    before, during, after = (np.array(probabilities(vad, part)) for part in (SILENCE, speech, SILENCE))
    assert before.max() < 0.2
    assert (during > 0.5).mean() > 0.8
    assert after[25:].max() < 0.2


@pytest.mark.models
async def test_noise_is_no_speech(vad: SileroVAD) -> None:
    noise = np.random.default_rng(1).normal(0, 1500, 5 * SAMPLE_RATE).astype(np.int16)
    hum = (3000 * np.sin(np.arange(5 * SAMPLE_RATE) * 2 * np.pi * 50 / SAMPLE_RATE)).astype(np.int16)
    assert max(probabilities(vad, noise)) < 0.5
    assert max(probabilities(vad, hum)) < 0.5


@pytest.mark.models
async def test_between_windows_the_newest_value_stands(vad: SileroVAD) -> None:
    heard = probabilities(vad, await say("Hello there."))
    full = [(frame + 1) * FRAME_SAMPLES // WINDOW for frame in range(len(heard))]
    assert heard[0] == 0.0
    assert all(heard[i] == heard[i - 1] for i in range(1, len(heard)) if full[i] == full[i - 1])
    assert len(set(heard)) == full[-1] + 1


@pytest.mark.models
async def test_the_size_of_the_pieces_does_not_matter(vad: SileroVAD) -> None:
    speech = await say("Hello there.")
    speech = speech[: len(speech) // 2560 * 2560]
    by_window = probabilities(vad, speech, WINDOW)
    vad.reset()
    by_frame = probabilities(vad, speech)
    vad.reset()
    by_heap = probabilities(vad, speech, 2560)
    assert by_frame[7::8] == by_window[4::5] == by_heap


@pytest.mark.models
async def test_reset_forgets_what_was_heard(vad: SileroVAD) -> None:
    speech = await say("Hello there.")
    first = probabilities(vad, speech)
    vad.reset()
    assert probabilities(vad, speech) == first


def test_without_the_download_the_error_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    for variable in ("HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(ModelNotFound, match=r"SileroVAD needs Silero VAD v6.*1\.2 MB.*patter-nb download silero"):
        probabilities(SileroVAD(), SILENCE)


@pytest.mark.models
async def test_another_file_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    model, licence = ARTIFACTS["silero"].files
    monkeypatch.setitem(ARTIFACTS, "silero", replace(ARTIFACTS["silero"], files=(replace(model, sha256="0" * 64), licence)))
    with pytest.raises(PatterConfigError, match=rf"silero_vad_v6\.onnx.*{model.sha256}, expected 0{{64}}.*patter-nb download silero"):
        await SileroVAD().warmup()
