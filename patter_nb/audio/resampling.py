"""From one sample rate to another, by soxr: microphones, files, recognisers and voices each have their own.

soxr works here on float32, because its int16 path adds dither from a generator it seeds by itself: the same sound would come out
differently each time, and differently in a stream than in one piece.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from patter_nb.audio.frames import Pcm
from patter_nb.errors import AudioError

if TYPE_CHECKING:
    import soxr  # type: ignore[import-untyped]

__all__ = ["Resampler", "resample"]

_LOWEST, _HIGHEST = 1_000, 1_000_000


class Resampler:
    """One stream of mono PCM16 from `from_rate` to `to_rate` Hz, in blocks of any size.

    All that comes out is as long as all that went in, to the nearest sample (a half goes up), however it was cut into blocks.
    Equal rates pass the blocks through. Raises `AudioError` for rates below 1 kHz or above 1 MHz.

    >>> up = Resampler(8_000, 16_000)
    >>> len(up.push(np.zeros(100, np.int16))) + len(up.flush())
    200
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        for rate in (from_rate, to_rate):
            if not _LOWEST <= rate <= _HIGHEST:
                raise AudioError(
                    f"A sample rate of {rate} Hz is no sound's.", hint="Give rates from 1000 to 1000000 Hz; a file's header may be damaged."
                )
        self._stream = _stream(from_rate, to_rate) if from_rate != to_rate else None

    def push(self, pcm: Pcm) -> Pcm:
        """The sound that `pcm` completes; the filter holds the newest few milliseconds back."""
        return pcm if self._stream is None else _run(self._stream, pcm, last=False)

    def flush(self) -> Pcm:
        """The rest of the stream. What is pushed afterwards begins a new one."""
        rest = np.empty(0, np.int16)
        if self._stream is not None:
            rest = _run(self._stream, rest, last=True)
            self._stream.clear()
        return rest


def resample(pcm: Pcm, from_rate: int, to_rate: int) -> Pcm:
    """The whole of `pcm` (mono PCM16) from `from_rate` to `to_rate` Hz: what a `Resampler` makes of it."""
    resampler = Resampler(from_rate, to_rate)
    return np.concatenate([resampler.push(pcm), resampler.flush()])


def _stream(from_rate: int, to_rate: int) -> soxr.ResampleStream:
    import soxr

    return soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")


def _run(stream: soxr.ResampleStream, pcm: Pcm, *, last: bool) -> Pcm:
    samples = np.rint(stream.resample_chunk(pcm.astype(np.float32), last))
    resampled: Pcm = np.clip(samples, -32768, 32767).astype(np.int16)
    return resampled
