"""Whisper on this machine, where its extra is installed (tests/test_fresh_environment.py sees to that), and which Whisper one gets."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hub_double import COMMIT, Web, put_on_hub
from recognisers import installed

from patter_nb.audio.frames import FRAME_SAMPLES, SAMPLE_RATE, AudioFormat, Frame, Pcm
from patter_nb.audio.wav import read_wav
from patter_nb.downloads import ARTIFACTS, verified
from patter_nb.errors import AudioError, MissingExtra, ModelNotFound, PatterConfigError
from patter_nb.llm.base import costs_of, name_of
from patter_nb.stt.whisper import WhisperSTT
from patter_nb.stt.whisper.files import model_directory

QUESTION = Path(__file__).parents[2] / "notebooks" / "question.wav"
"""Somebody asks: What's the weather in Paris?"""


def question() -> Pcm:
    pcm, rate = read_wav(QUESTION)
    assert rate == SAMPLE_RATE
    return pcm


async def heard(stt: WhisperSTT, *sounds: Pcm) -> list[str]:
    """The final transcripts of these, each with a quiet room around it."""
    room = np.random.default_rng(1).normal(0, 10, SAMPLE_RATE // 2).astype(np.int16)
    await stt.open(AudioFormat())
    texts = []
    for sound in sounds:
        pcm = np.concatenate([room, sound, room])
        for piece in pcm[: len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES):
            await stt.push(Frame(piece, 0, 0.0))
        await stt.finalize()
        texts.append((await anext(transcript async for transcript in stt.transcripts() if transcript.is_final)).text)
    await stt.aclose()
    await stt.unload()
    return texts


@installed
async def test_questions_are_understood_and_silence_has_no_words() -> None:
    knock = (8000 * np.exp(-np.arange(SAMPLE_RATE) / 160)).astype(np.int16)
    texts = await heard(WhisperSTT(), question(), knock)
    assert "weather in Paris" in texts[0]
    assert texts[1] == ""


@installed
async def test_partials_come_while_the_person_speaks() -> None:
    stt = WhisperSTT()
    await stt.warmup()
    await stt.open(AudioFormat())
    pcm = question()
    said = stt.transcripts()
    for piece in pcm[: int(1.4 * SAMPLE_RATE) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES):
        await stt.push(Frame(piece, 0, 0.0))
    partial = await anext(said)
    assert (partial.is_final, "weather" in partial.text) == (False, True)
    await stt.aclose()
    await stt.unload()


# --- models of other places


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Web]:
    """The hub on this machine, and a place of the test's own for what comes from it."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    (tmp_path / "environment").mkdir()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    web = Web()
    monkeypatch.setenv("HF_ENDPOINT", web.url)
    yield web
    web.stop()


@installed
async def test_a_model_from_the_hub_is_fetched_and_known_by_its_size_and_as_a_directory_from_then_on(hub: Web, tmp_path: Path) -> None:
    bundled = verified("whisper", "a test")
    ref = "hf:Systran/faster-whisper-tiny"
    files = {file.path: (bundled / file.path).read_bytes() for file in ARTIFACTS["whisper"].files}
    put_on_hub(hub, ref.removeprefix("hf:"), files, large={"model.bin"})
    with pytest.raises(ModelNotFound, match=rf"Whisper model tiny is not on this machine.*{ref}"):
        await WhisperSTT(model="tiny").warmup()
    assert hub.requests == []
    assert "weather in Paris" in (await heard(WhisperSTT(model=ref), question()))[0]
    assert len(hub.requests) == 1 + len(files)
    hub.requests.clear()
    directory = model_directory("tiny")
    assert directory.is_relative_to(tmp_path)
    for model in ("tiny", directory, str(directory)):
        await WhisperSTT(model=model, prompt="Cities: Paris, Rome").warmup()
    assert hub.requests == []


@installed
def test_the_hub_of_these_tests_is_taken_for_it_by_its_own_client(hub: Web) -> None:
    import huggingface_hub  # faster-whisper brings it

    put_on_hub(hub, "owner/whisper", {"model.bin": b"weights", "config.json": b"{}"}, large={"model.bin"})
    known = huggingface_hub.HfApi(endpoint=hub.url).model_info("owner/whisper", revision="main", files_metadata=True)
    assert known.sha == COMMIT
    files = {file.rfilename: file for file in known.siblings or ()}
    assert files["model.bin"].lfs is not None and len(files["model.bin"].lfs.sha256) == 64
    assert files["config.json"].lfs is None
    assert files["config.json"].blob_id == "9e26dfeeb6e641a33dae4961196235bdb965b21b"  # of "{}": git hash-object


def test_a_directory_without_a_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelNotFound, match=rf"{tmp_path} is no model for WhisperSTT: there is no model\.bin in it"):
        model_directory(tmp_path)
    with pytest.raises(ModelNotFound, match=r"no model\.bin and no config\.json"):
        model_directory("./nowhere")


def test_a_repository_without_a_model_is_named(hub: Web) -> None:
    put_on_hub(hub, "owner/other", {"config.json": b"{}", "model.safetensors": b"weights"}, large={"model.safetensors"})
    with pytest.raises(ModelNotFound, match=r"is no model for WhisperSTT: there is no model\.bin in it"):
        model_directory("hf:owner/other")


# --- which Whisper


@pytest.mark.parametrize(
    ("key", "model", "told"),
    [
        (None, None, ("whisper", "tiny.en", False)),
        (None, "tiny.en", ("whisper", "tiny.en", False)),
        (None, "large-v3-turbo", ("whisper", "large-v3-turbo", False)),
        (None, "hf:owner/repo", ("whisper", "hf:owner/repo", False)),
        (None, Path("models") / "mine", ("whisper", str(Path("models") / "mine"), False)),
        ("sk-1", None, ("openai", "whisper-1", True)),
        ("sk-1", "whisper-1", ("openai", "whisper-1", True)),
        (None, "whisper-1", ("openai", "whisper-1", True)),
    ],
)
def test_a_key_or_a_models_name_decides_and_a_variable_does_not(
    key: str | None, model: Any, told: tuple[str, str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    stt = WhisperSTT(key, model=model)
    assert (*name_of(stt), costs_of(stt)) == told
    assert repr(stt) == f"WhisperSTT(model={told[1]!r})"
    if told[0] == "openai":
        assert stt._ears._key == (key or "sk-environment")  # type: ignore[union-attr]  # OpenAI's has one


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"model": "gpt-4o-transcribe"}, r"no model of that name.*whisper-1.*OpenAITranscribeSTT"),
        ({"model": 42}, "no model of that name"),
        ({"api_key": "large"}, r"a model's name in the place of a key.*model="),
        ({"api_key": "hf:owner/repo"}, "a model's name in the place of a key"),
        ({"api_key": "sk-secret", "model": "tiny.en"}, r"cannot use api_key= for a model on this machine.*whisper-1"),
        ({"timeout_s": 5.0, "base_url": "http://127.0.0.1"}, "cannot use base_url=, timeout_s= for a model on this machine"),
        ({"language": "de"}, r"tiny\.en hears English only, not 'de'"),
        ({"model": "hf:owner/whisper-small.en", "language": "de"}, "hears English only"),
        ({"model": "whisper-1"}, r"WhisperSTT has no API key.*OPENAI_API_KEY"),
        ({"api_key": ""}, r"WhisperSTT has no API key.*OPENAI_API_KEY"),
    ],
)
def test_what_does_not_fit_together_is_refused(given: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(PatterConfigError, match=says) as caught:
        WhisperSTT(**given)
    assert "secret" not in str(caught.value)


def test_an_unknown_keyword_has_a_hint() -> None:
    with pytest.raises(TypeError, match=r"WhisperSTT\(\).*Did you mean language="):
        WhisperSTT(langauge="en")


async def test_it_is_called_by_its_own_name() -> None:
    with pytest.raises(AudioError, match="WhisperSTT takes sound of 16000 Hz"):
        await WhisperSTT().open(AudioFormat(8000))
    with pytest.raises(PatterConfigError, match="WhisperSTT is not open"):
        await WhisperSTT("sk-1").finalize()
    at_openai = WhisperSTT("sk-1")
    await at_openai.open(AudioFormat())
    with pytest.raises(PatterConfigError, match="This WhisperSTT hears for another session already"):
        await at_openai.open(AudioFormat())
    await at_openai.aclose()


@pytest.mark.parametrize(("language", "prompt"), [("en", None), (None, "Names: Ada"), ("de", None)])
def test_language_and_prompt_are_told_to_the_model(language: str | None, prompt: str | None) -> None:
    asked: dict[str, Any] = {}

    class Model:
        def transcribe(self, pcm: Any, **options: Any) -> tuple[Any, None]:
            asked.update(options)
            return iter(()), None

    stt = WhisperSTT(model="small", language=language, prompt=prompt)
    assert stt._ears._transcribe(Model(), np.zeros(SAMPLE_RATE, np.int16)) == ""  # type: ignore[union-attr]  # it is the local one
    assert (asked["language"], asked["initial_prompt"], asked["temperature"]) == (language, prompt, 0.0)


async def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    stt = WhisperSTT()
    with pytest.raises(MissingExtra, match=r"WhisperSTT needs the package faster_whisper.*patter-nb\[whisper\]"):
        await stt.warmup()
    await stt.aclose()
