"""Speech to text on this machine by Moonshine tiny-en, whose package carries its model.

moonshine-voice splits its input by a voice activity detector of its own, which here would hear the pipeline's utterances a second
time. On 20 sentences with 0.2 s of room before them it cut off a first scrap in 7 of them, which the model made into "You", "Thank"
or "The next" before the sentence. Switched off (`vad_threshold` 0) nothing of the kind remains, and the end of a sentence waits for
no window of half a second.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar, Final

import numpy as np

from patter_nb.audio.frames import SAMPLE_RATE, Pcm
from patter_nb.downloads.artifacts import verified
from patter_nb.downloads.needs import Needs
from patter_nb.errors import PatterConfigError
from patter_nb.inference import import_native
from patter_nb.stt.utterance import UtteranceSTT

__all__ = ["MoonshineSTT"]

_OPTIONS: Final = {"vad_threshold": "0", "return_audio_data": "false"}
_HOP: Final = 512
"""The library takes whole hops and forgets the rest of the last one (`vad_hop_size` of transcriber.h, v0.1.0)."""
_PAD: Final = SAMPLE_RATE * 3 // 10
"""Silence after the sound. With 0.3 s of it 36 of 256 sentences had an error, without 46. (Under 0.1 s in all, the encoder fails.)"""
_NO_SPEECH: Final = "You"
"""What the model writes, so and without a full stop, for sound that is no speech: 8 of 10 knocks, clicks, hums, tones and noises,
and silence. Spoken alone, "You" came as "You." or "Yeah."."""


class MoonshineSTT(UtteranceSTT[Any]):
    """Speech to text by Moonshine tiny-en: English, no network, MIT licence.

    On one thread of a Xeon a transcript takes about 0.09 s for 3 s of speech and 0.35 s for 15 s, and a second thread makes it no
    faster, so it uses one. Partials every 300 ms of new sound. No words with times, no confidence. Sound without speech gives the
    text "".
    Raises `MissingExtra` on machines without the package (there is none for Intel Macs and macOS before 15: `WhisperSTT`), and
    `PatterConfigError` when a file of the model has another hash.
    """

    provider: ClassVar[str] = "moonshine"
    needs: ClassVar[Needs] = Needs("local", ("moonshine_voice",), ("moonshine",))

    def __init__(self, model: str = "tiny-en") -> None:
        if model != "tiny-en":
            raise PatterConfigError(f"MoonshineSTT knows no model {model!r}.", hint='Use model="tiny-en", the one in the package.')
        super().__init__(model)

    def _load(self) -> Any:
        os.environ.setdefault(
            "MOONSHINE_ORT_SINGLE_THREAD", "1"
        )  # the library's only way to say so; otherwise its threads spin on every core
        transcriber = import_native("moonshine_voice.transcriber", "MoonshineSTT")
        arch = import_native("moonshine_voice.moonshine_api", "MoonshineSTT").ModelArch.TINY
        return transcriber.Transcriber(verified("moonshine", "MoonshineSTT"), arch, options=_OPTIONS)

    def _unload(self, model: Any) -> None:
        model.close()

    def _transcribe(self, model: Any, pcm: Pcm) -> str:
        samples = np.zeros(-(-(len(pcm) + _PAD) // _HOP) * _HOP, np.float32)
        samples[: len(pcm)] = pcm / np.float32(32768)
        lines = model.transcribe_without_streaming(samples.tolist(), SAMPLE_RATE).lines
        text = " ".join(line.text.strip() for line in lines)
        return "" if text == _NO_SPEECH or not any(char.isalnum() for char in text) else text
