"""A voice on this machine: Piper, with the voice joe unless another is given.

piper-tts is licensed under the GPL 3 or later (it contains espeak-ng). It is an optional package and is imported only when a
`PiperTTS` speaks.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from patter_nb.audio.frames import AudioFormat, Pcm
from patter_nb.downloads.artifacts import ARTIFACTS, locate, verified
from patter_nb.downloads.needs import Needs
from patter_nb.errors import ModelNotFound, PatterConfigError
from patter_nb.inference import NativeModel, import_native, inference_threads, onnx_session

__all__ = ["PiperTTS"]

_JOE: Final = ARTIFACTS["joe"]
_USER: Final = "PiperTTS"


class PiperTTS:
    """Text to speech by Piper: mono PCM16 at the voice's rate (joe: 22,050 Hz), a block for each sentence.

    `voice` is None for joe, whose files' hashes are checked, or the path of a Piper voice (an .onnx file with its .onnx.json beside
    it). The network makes a whole sentence in one run: "What's the weather in Paris?" takes 0.06 s, a second of speech 0.04 s (one
    thread of a Xeon).

    An iterator of text is spoken piece by piece as the pieces come; a piece should be a sentence or a phrase that can stand alone.
    Raises `MissingExtra`, `ModelNotFound`, `PatterConfigError` for what is missing or wrong, at the first use of `format`, `warmup`
    or `synthesize`.
    """

    provider: Final = "piper"
    costs: Final = False
    needs: ClassVar[Needs] = Needs("local", ("piper",), ("joe",))

    def __init__(self, voice: str | Path | None = None) -> None:
        self._voice = None if voice is None else Path(voice).expanduser()
        self._format: AudioFormat | None = None
        self._model = NativeModel("piper", self._load)

    @property
    def model(self) -> str:
        """The voice's name, for logs."""
        return Path(_JOE.files[0].path).stem if self._voice is None else self._voice.stem

    @property
    def format(self) -> AudioFormat:
        if self._format is None:
            self._format = AudioFormat(_config(self._path())["audio"]["sample_rate"])
        return self._format

    async def warmup(self) -> None:
        """Load the voice and let it say a word to nobody."""
        async for _ in self.synthesize("Hi."):
            pass

    async def synthesize(self, text: str | AsyncIterator[str]) -> AsyncIterator[Pcm]:
        async for piece in _pieces(text):
            sentences = await self._model.run(partial(_begin, piece))
            while (block := await self._model.run(partial(_next, sentences))) is not None:
                yield block

    async def aclose(self) -> None:
        await self._model.aclose()

    def _path(self) -> Path:
        if self._voice is None:
            return (locate(_JOE) or verified("joe", _USER)) / _JOE.files[0].path
        if not self._voice.is_file():
            raise ModelNotFound(
                f"There is no voice {self._voice}.", provider=self.provider, hint="Give the path of a Piper voice's .onnx file."
            )
        return self._voice

    def _load(self) -> Any:
        piper, config = import_native("piper", _USER), import_native("piper.config", _USER)
        if self._voice is None:
            verified("joe", _USER)
        path = self._path()
        # not PiperVoice.load, which computes with every core
        session = onnx_session(str(path), threads=inference_threads(), needed_for=_USER)
        return piper.PiperVoice(session, config.PiperConfig.from_dict(_config(path)))


def _begin(text: str, voice: Any) -> Iterator[Pcm]:
    return (sentence.audio_int16_array for sentence in voice.synthesize(text))


def _next(sentences: Iterator[Pcm], voice: Any) -> Pcm | None:
    return next(sentences, None)


async def _pieces(text: str | AsyncIterator[str]) -> AsyncIterator[str]:
    if isinstance(text, str):
        yield text
    else:
        async for piece in text:
            yield piece


def _config(voice: Path) -> dict[str, Any]:
    path = voice.with_name(voice.name + ".json")
    if not path.is_file():
        raise ModelNotFound(
            f"The voice {voice} has no {path.name} beside it.", provider="piper", hint="A Piper voice is two files; fetch both."
        )
    try:
        config: dict[str, Any] = json.loads(path.read_text("utf-8"))
        int(config["audio"]["sample_rate"])
    except (ValueError, KeyError, TypeError) as error:
        raise PatterConfigError(f"{path} does not describe a Piper voice: {error!r}", hint="Fetch the voice again.") from error
    return config
