"""Sound as a vendor wants it: its sample rate, messages of the size that it takes, never an empty one; and where in it a word was."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import numpy as np

from patter_nb.audio.frames import Frame, Pcm
from patter_nb.audio.resampling import Resampler
from patter_nb.stt.base import Word

__all__ = ["Pieces", "Timeline"]

DIGITS: Final = 4
"""Of a millisecond: a sample at 16 kHz is 0.0625 ms. Vendors tell seconds, whose thousandfold has a tail of nines."""


class Pieces:
    """Cuts a stream of mono PCM16 at `from_rate` Hz into messages of `piece_ms` at `to_rate` Hz, little-endian.

    What is left at the end of an utterance is sent as it is, with silence behind it where it would be shorter than `shortest_ms`, which
    is a vendor's least.
    """

    def __init__(self, from_rate: int, to_rate: int, *, piece_ms: int, shortest_ms: int) -> None:
        self._resampler = Resampler(from_rate, to_rate)
        self._rate = to_rate
        self._piece = to_rate * piece_ms // 1000 * 2
        self._shortest = to_rate * shortest_ms // 1000 * 2
        self._left = bytearray()

    def push(self, pcm: Pcm) -> list[bytes]:
        """The messages that `pcm` completes."""
        self._left += _bytes(self._resampler.push(pcm))
        return [self._taken(self._piece) for _ in range(len(self._left) // self._piece)]

    def flush(self) -> tuple[list[bytes], float]:
        """The rest of the utterance, and how many ms of silence stand behind it."""
        self._left += _bytes(self._resampler.flush())
        whole = [self._taken(self._piece) for _ in range(len(self._left) // self._piece)]
        if not self._left:
            return whole, 0.0
        silence = max(0, self._shortest - len(self._left))
        self._left += bytes(silence)
        return [*whole, self._taken(len(self._left))], silence / 2 * 1000 / self._rate

    def _taken(self, size: int) -> bytes:
        piece = bytes(self._left[:size])
        del self._left[:size]
        return piece


def _bytes(pcm: Pcm) -> bytes:
    return np.ascontiguousarray(pcm, "<i2").tobytes()


class Timeline:
    """Between the sound of one connection and the capture clock: frames are pushed only while someone speaks, so the two drift apart.

    `rate` is that of the frames, in Hz.
    """

    def __init__(self, rate: int) -> None:
        self.sent_ms = 0.0
        self._rate = rate
        self._sent: list[float] = []
        self._offsets: list[float] = []

    def push(self, frame: Frame) -> None:
        """A frame follows in the sound."""
        offset = frame.capture_ms - self.sent_ms
        if not self._offsets or abs(offset - self._offsets[-1]) > 0.5:
            self._sent.append(self.sent_ms)
            self._offsets.append(offset)
        self.sent_ms += len(frame.pcm) * 1000 / self._rate

    def pad(self, ms: float) -> None:
        """Silence that nobody captured follows in the sound."""
        self.sent_ms += ms

    def placed(self, words: Iterable[Word]) -> tuple[Word, ...]:
        """Words whose times are in this sound, with times by the capture clock, to a fraction of a sample; their lengths are kept."""
        return tuple(self._placed(word) for word in words)

    def _placed(self, word: Word) -> Word:
        if word.start_ms is None:
            return word
        start = self.captured_ms(word.start_ms)
        stop = None if word.stop_ms is None else round(start + word.stop_ms - word.start_ms, DIGITS)
        return replace(word, start_ms=round(start, DIGITS), stop_ms=stop)

    def captured_ms(self, sent_ms: float) -> float:
        """Milliseconds by the capture clock for a place in the sound."""
        place = max(0, bisect_right(self._sent, sent_ms + 0.5) - 1)
        return sent_ms + self._offsets[place] if self._offsets else sent_ms
