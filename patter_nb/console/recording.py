"""The question that comes with the console, for who has no microphone."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from patter_nb.audio.frames import SAMPLE_RATE, Pcm
from patter_nb.audio.resampling import resample
from patter_nb.audio.wav import read_wav

__all__ = ["example"]


@cache
def example() -> tuple[Pcm, int]:
    """ "What's the weather in Paris?", as mono PCM16, and its rate in Hz."""
    pcm, rate = read_wav(Path(__file__).with_name("question.wav"))
    return resample(pcm, rate, SAMPLE_RATE), SAMPLE_RATE
