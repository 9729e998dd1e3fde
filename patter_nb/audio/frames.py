"""The one form in which sound travels inside: mono PCM16 in numpy arrays, in frames of 20 ms at 16 kHz on the way in."""

from __future__ import annotations

from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Frame:
    """20 ms of the person's sound: 320 samples of mono PCM16 at 16 kHz.

    `seq` counts frames from 0 without gaps. `capture_ms` is when its first sample was captured, on the capture device's
    clock, from the first frame. `late_ms` is how long it waited between capture and the kernel, as measured at the edge. `echo` True: the
    edge knows that the agent's own voice may be in it, and that nobody talks over it.
    """

    pcm: Pcm = field(repr=False)
    seq: int
    capture_ms: float
    late_ms: float = 0.0
    echo: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Sound for the person: mono PCM16 at the transport's output rate.

    `start` is the position of its first sample on the session's output axis, which counts every sample ever handed to the
    transport; blocks follow each other without gaps, also across a flush.
    """

    pcm: Pcm = field(repr=False)
    start: int
