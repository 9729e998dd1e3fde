"""Recordings for Chromium's fake microphone, made of silence, of text that Piper speaks, and of WAV files.

Chromium plays the recording from its beginning whenever the microphone is opened (getUserMedia), not when the page or the browser
starts, and is silent after its end.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypeAlias

import numpy as np

from patter_nb.audio.frames import Pcm
from patter_nb.audio.resampling import resample
from patter_nb.audio.wav import read_wav, write_wav
from patter_nb.tts.piper import PiperTTS

RATE = 48_000
QUESTION = Path(__file__).parents[2] / "notebooks" / "question.wav"
"""Two seconds: "What's the weather in Paris?"."""

Piece: TypeAlias = float | str | Path | tuple[Pcm, int]
"""Seconds of silence, a text to be spoken, a WAV file, or samples and their rate in Hz."""


class Recordings:
    """Makes recordings in `folder`, and knows what Piper has spoken before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._spoken: dict[str, Pcm] = {}

    async def __call__(self, *pieces: Piece) -> Path:
        """The pieces one after the other as a WAV file of 48 kHz mono. A test with text among them is marked `models`."""
        pcm = np.concatenate([await self._sound(piece) for piece in pieces])
        path = self._folder / f"{hashlib.sha256(pcm.tobytes()).hexdigest()[:16]}.wav"
        write_wav(path, pcm, RATE)
        return path

    async def _sound(self, piece: Piece) -> Pcm:
        if isinstance(piece, str):
            if piece not in self._spoken:
                self._spoken[piece] = await _speak(piece)
            return self._spoken[piece]
        if isinstance(piece, Path):
            piece = read_wav(piece)
        if isinstance(piece, tuple):
            return resample(*piece, RATE)
        return np.zeros(round(piece * RATE), np.int16)


async def _speak(text: str) -> Pcm:
    tts = PiperTTS()
    try:
        return resample(np.concatenate([block async for block in tts.synthesize(text)]), tts.format.sample_rate, RATE)
    finally:
        await tts.aclose()
