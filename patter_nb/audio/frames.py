"""The one form in which sound travels inside: mono PCM16 in numpy arrays, in frames of 20 ms at 16 kHz on the way in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Pcm: TypeAlias = npt.NDArray[np.int16]
"""Mono PCM16, one dimension, little-endian on the wire."""

SAMPLE_RATE = 16_000
FRAME_MS = 20
FRAME_SAMPLES = SAMPLE_RATE * FRAME_MS // 1000


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Mono PCM16 at `sample_rate` Hz."""

    sample_rate: int = SAMPLE_RATE
