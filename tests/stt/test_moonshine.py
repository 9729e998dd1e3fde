import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest

from patter_nb.audio.frames import FRAME_SAMPLES, SAMPLE_RATE, AudioFormat, Frame, Pcm
from patter_nb.audio.resampling import resample
from patter_nb.downloads import ARTIFACTS
from patter_nb.errors import MissingExtra, PatterConfigError
from patter_nb.inference import import_native
from patter_nb.stt.base import STT, Transcript
from patter_nb.stt.moonshine import MoonshineSTT
from patter_nb.tts.piper import PiperTTS

ROOM = np.random.default_rng(1)


def room(ms: int) -> Pcm:
    return ROOM.normal(0, 10, ms * SAMPLE_RATE // 1000).astype(np.int16)


async def say(text: str) -> Pcm:
    """`text` in joe's voice, as a microphone in a quiet room would hear it."""
    tts = PiperTTS()
    spoken = np.concatenate([block async for block in tts.synthesize(text)])
    await tts.aclose()
    return np.concatenate([room(300), resample(spoken, tts.format.sample_rate, SAMPLE_RATE), room(300)])


def frames(pcm: Pcm) -> list[Frame]:
    count = len(pcm) // FRAME_SAMPLES
    return [Frame(piece, seq, seq * 20.0) for seq, piece in enumerate(pcm[: count * FRAME_SAMPLES].reshape(count, FRAME_SAMPLES))]


async def hear(stt: STT, pcm: Pcm) -> Transcript:
    for frame in frames(pcm):
        await stt.push(frame)
    await stt.finalize()
    return await anext(transcript async for transcript in stt.transcripts() if transcript.is_final)


@pytest.fixture(autouse=True)
def same_voice_every_time() -> None:
    import_native("onnxruntime", "a test").set_seed(1)  # Piper draws how a sentence is said


@pytest.fixture
async def stt() -> AsyncIterator[MoonshineSTT]:
    moonshine = MoonshineSTT()
    await moonshine.warmup()
    await moonshine.open(AudioFormat())
    yield moonshine
    await moonshine.aclose()


@pytest.mark.models
async def test_questions_are_understood(stt: MoonshineSTT) -> None:
    weather = [(await hear(stt, await say("What's the weather in Paris?"))).text for _ in range(5)]
    lights = (await hear(stt, await say("Can you turn off the lights in the kitchen?"))).text
    assert all("weather" in text for text in weather)
    assert sum("Paris" in text for text in weather) >= 3, "one in nine is heard as pairs"
    assert "lights in the kitchen" in lights


@pytest.mark.models
async def test_a_sentence_begins_with_its_own_first_word(stt: MoonshineSTT) -> None:
    for first, rest in (("what", "time is it in Tokyo?"), ("how", "do I get to the station from here?"), ("two", "plus three.")):
        heard = await hear(stt, await say(f"{first.capitalize()} {rest}"))
        assert heard.text.lower().startswith(first)


@pytest.mark.models
async def test_words_appear_while_they_are_spoken(stt: MoonshineSTT) -> None:
    sentence, transcripts = frames(await say("I would like to book a table for four people tomorrow.")), stt.transcripts()
    for frame in sentence[: len(sentence) * 2 // 3]:
        await stt.push(frame)
    partial = await anext(transcripts)
    for frame in sentence[len(sentence) * 2 // 3 :]:
        await stt.push(frame)
    await stt.finalize()
    final = await anext(transcripts)
    assert (partial.is_final, final.is_final) == (False, True)
    assert "like to book" in partial.text
    assert "tomorrow" not in partial.text
    assert "four people tomorrow" in final.text.replace("-", "")


@pytest.mark.models
@pytest.mark.parametrize("kind", ["silence", "slam", "knocks", "noise", "hum"])
async def test_sound_without_speech_has_no_words(stt: MoonshineSTT, kind: str) -> None:
    second, noise = np.arange(SAMPLE_RATE) / SAMPLE_RATE, np.random.default_rng(2).normal(0, 1, SAMPLE_RATE)
    sound = {
        "silence": 0 * noise,
        "slam": 16000 * noise * np.exp(-20 * second),
        "knocks": 10000 * noise * np.exp(-100 * (second % 0.25)),
        "noise": 3000 * noise,
        "hum": 3000 * np.sin(2 * np.pi * 50 * second),
    }[kind]
    heard = await hear(stt, np.concatenate([room(300), sound.clip(-32768, 32767).astype(np.int16), room(300)]))
    assert heard == Transcript("", is_final=True)


@pytest.mark.models
async def test_the_shortest_sound_does_no_harm(stt: MoonshineSTT) -> None:
    click = np.zeros(FRAME_SAMPLES, np.int16)
    click[100:110] = 20000
    await hear(stt, click)
    assert "weather" in (await hear(stt, await say("What's the weather in Paris?"))).text


@pytest.mark.models
async def test_two_recognisers_work_side_by_side(stt: MoonshineSTT) -> None:
    other = MoonshineSTT()
    await other.open(AudioFormat())
    kitchen, paris = await say("Turn off the lights in the kitchen."), await say("What's the weather in Paris?")
    first, second = await asyncio.gather(hear(stt, kitchen), hear(other, paris))
    await other.aclose()
    assert "kitchen" in first.text
    assert "weather" in second.text


def test_only_the_packaged_model_is_known() -> None:
    with pytest.raises(PatterConfigError, match=r"no model 'base-en'.*model=\"tiny-en\""):
        MoonshineSTT("base-en")


async def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "moonshine_voice"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "moonshine_voice", None)
    stt = MoonshineSTT()
    with pytest.raises(MissingExtra, match=r"MoonshineSTT needs.*patter-nb\[local\]"):
        await stt.warmup()
    await stt.aclose()


@pytest.mark.models
async def test_another_file_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, *others = ARTIFACTS["moonshine"].files
    changed = replace(ARTIFACTS["moonshine"], files=(replace(encoder, sha256="0" * 64), *others))
    monkeypatch.setitem(ARTIFACTS, "moonshine", changed)
    stt = MoonshineSTT()
    with pytest.raises(PatterConfigError, match=rf"encoder_model\.ort.*{encoder.sha256}, expected 0{{64}}.*moonshine-voice==0\.1\.0"):
        await stt.warmup()
    await stt.aclose()
