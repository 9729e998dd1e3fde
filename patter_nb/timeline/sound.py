"""A stretch of a session as it was heard: what the person said and what they heard of the agent, mixed on the session's time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from patter_nb.audio.frames import Pcm
from patter_nb.audio.resampling import resample
from patter_nb.audio.tracks import PcmTrack
from patter_nb.timeline.placing import Layout

__all__ = ["RATE", "mixed"]

RATE: Final = 24_000


def mixed(sounds: Iterable[tuple[PcmTrack, Layout]], from_ms: float, to_ms: float) -> tuple[Pcm, int]:
    """All `sounds` between two moments, each laid out by its layout: (samples, rate), mono PCM16 at 24 kHz, silence where nothing was."""
    whole = np.zeros(max(0, round((to_ms - from_ms) * RATE / 1000)), np.int32)
    for track, layout in sounds:
        for stretch in layout.between(from_ms, to_ms):
            pcm = resample(track.slice(stretch.start, min(stretch.stop, len(track))), track.rate, RATE)
            at = max(0, round((stretch.at_ms - from_ms) * RATE / 1000))
            room = whole[at : at + len(pcm)]
            room += pcm[: len(room)]
    return np.clip(whole, -32768, 32767).astype(np.int16), RATE
