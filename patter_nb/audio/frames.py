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
class BrowserSpeech:
    """Text that the browser of whoever listens speaks by itself, as `SpeechSynthesisUtterance` has it (Web Speech API).

    `voice` is a name that the browser knows, `language` a BCP 47 tag; None: the browser's own choice. `speed` 0.1 to 10, `pitch` 0 to 2.
    """

    text: str
    voice: str | None = None
    language: str | None = None
    speed: float = 1.0
    pitch: float = 1.0


@dataclass(frozen=True, slots=True)
class Block:
    """Sound for the person: mono PCM16 at the transport's output rate.

    `start` is the position of its first sample on the session's output axis, which counts every sample ever handed to the
    transport; blocks follow each other without gaps, also across a flush. With `speech` it is the browser that speaks: `pcm` is silence,
    about as long as that takes, so that places in the text have places on the axis.
    """

    pcm: Pcm = field(repr=False)
    start: int
    speech: BrowserSpeech | None = None
