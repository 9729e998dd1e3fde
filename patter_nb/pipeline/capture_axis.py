"""Where a moment of an engine's time lies in the person's sound: an engine counts what it was sent, from when it was opened."""

from __future__ import annotations

from bisect import bisect_right

from patter_nb.audio.frames import FRAME_SAMPLES, SAMPLE_RATE

__all__ = ["CaptureAxis"]


class CaptureAxis:
    """Maps milliseconds of sent sound to samples of captured sound.

    >>> axis = CaptureAxis()
    >>> axis.heard(32_000)  # the first frame that it is sent, two seconds in
    >>> axis.sample(20.0)
    32320
    """

    def __init__(self) -> None:
        self._sent = 0
        self._captured = 0
        self._starts: list[int] = []
        self._offsets: list[int] = []

    def heard(self, sample: int) -> None:
        """A frame is sent that was captured at `sample`."""
        offset = sample - self._sent
        if not self._offsets or self._offsets[-1] != offset:
            self._starts.append(self._sent)
            self._offsets.append(offset)
        self._sent += FRAME_SAMPLES
        self._captured = sample + FRAME_SAMPLES

    def added(self) -> None:
        """A frame is sent that nobody captured."""
        self._sent += FRAME_SAMPLES

    @property
    def newest(self) -> int:
        """Where the captured sound ends, as far as it was sent."""
        return self._captured

    def silence_ms(self, sample: int) -> float:
        """How much sound was captured behind `sample`, in milliseconds.

        >>> axis = CaptureAxis()
        >>> axis.heard(32_000)
        >>> axis.silence_ms(32_160)
        10.0
        """
        return max(0, self._captured - sample) * 1000 / SAMPLE_RATE

    def sample(self, at_ms: float) -> int:
        """The sample that was captured at `at_ms` of what was sent."""
        at = round(at_ms * SAMPLE_RATE / 1000)
        place = bisect_right(self._starts, at) - 1
        return max(0, at + (self._offsets[max(place, 0)] if self._offsets else 0))
