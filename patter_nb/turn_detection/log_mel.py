"""The picture of a sound that Whisper's encoder, and every model made from it, was trained to see.

80 mel bands of 25 ms windows, one every 10 ms, as the logarithm of their power. The constants are those of openai/whisper
(`whisper/audio.py`); the mel scale and the area of its filters are Slaney's, as librosa's `filters.mel` has them.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from patter_nb.audio.frames import SAMPLE_RATE

__all__ = ["HOP", "log_mel"]

Floats = npt.NDArray[np.float64]

HOP: Final = 160
"""Samples from one column to the next: 10 ms."""
_WINDOW: Final = 400
_BANDS: Final = 80
_LINEAR_HZ: Final = 1000.0
"""Below, mels are proportional to frequency (3 for 200 Hz); above, 27 of them are a factor of 6.4."""
_FLOOR: Final = 1e-10
_RANGE: Final = 8.0
"""Powers of ten below the loudest point, from which on everything is equally dark."""


def log_mel(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The log-mel picture of `samples` (mono, 16 kHz, a multiple of `HOP`): 80 rows, one column each 10 ms, about -1.0 to 1.0."""
    padded = np.pad(samples.astype(np.float64), _WINDOW // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::HOP][:-1]
    power = np.abs(np.fft.rfft(windows * _hann(), axis=1)) ** 2
    bands = np.log10(np.maximum(power @ _filters(), _FLOOR)).T
    return np.asarray((np.maximum(bands, bands.max() - _RANGE) + 4.0) / 4.0, np.float32)


@cache
def _hann() -> Floats:
    return np.hanning(_WINDOW + 1)[:-1]


@cache
def _filters() -> Floats:
    """One triangle for each band, over the 201 frequencies of a window; the area under each is the same."""
    top = 15.0 + np.log(SAMPLE_RATE / 2 / _LINEAR_HZ) * 27.0 / np.log(6.4)
    edges = _hertz(np.linspace(0.0, top, _BANDS + 2))
    frequencies = np.linspace(0.0, SAMPLE_RATE / 2, _WINDOW // 2 + 1)[:, np.newaxis]
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (frequencies - left) / (middle - left), (right - frequencies) / (right - middle)
    return np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (right - left)


def _hertz(mels: Floats) -> Floats:
    return np.where(mels < 15.0, mels * 200.0 / 3.0, _LINEAR_HZ * np.exp((mels - 15.0) * np.log(6.4) / 27.0))
