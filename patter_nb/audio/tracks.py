"""The growing arrays that lie beside a session's log: its sound, and what was measured on it frame by frame.

A track grows in blocks that never move, so that an hour costs its data and at most one block, and a view taken early stays valid.
"""

from __future__ import annotations

import builtins
from typing import Any, Generic, TypeVar, overload

import numpy as np
import numpy.typing as npt

from patter_nb.audio.frames import SAMPLE_RATE

__all__ = ["PcmTrack", "Track", "ValueTrack"]

Scalar = TypeVar("Scalar", bound=np.generic)

_PCM_BLOCK_S = 10
_VALUE_BLOCK = 4096


class Track(Generic[Scalar]):
    """An array of one dimension that only grows. `len`, slices as of an array, and `np.asarray` for the whole."""

    __slots__ = ("_block", "_blocks", "_dtype", "_length")

    def __init__(self, dtype: npt.DTypeLike, block: int) -> None:
        self._dtype: np.dtype[Any] = np.dtype(dtype)
        self._block = block
        self._blocks: list[npt.NDArray[Scalar]] = []
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, values: npt.ArrayLike) -> None:
        """Add one value or an array. Raises `TypeError` when their kind does not fit (floats to PCM16), `ValueError` for a matrix."""
        left = np.atleast_1d(np.asarray(values)).astype(self._dtype, casting="same_kind", copy=False)
        if left.ndim != 1:
            raise ValueError(f"a track takes values of one dimension, not of shape {left.shape}")
        while left.size:
            used = self._length % self._block
            if used == 0:
                self._blocks.append(np.empty(self._block, self._dtype))
            taken = left[: self._block - used]
            self._blocks[-1][used : used + taken.size] = taken
            self._length += taken.size
            left = left[taken.size :]

    def slice(self, start: int, stop: int) -> npt.NDArray[Scalar]:
        """The values from `start` up to `stop`, read-only; a view where they lie in one block, else a copy.

        Raises `IndexError` when they are not all there.
        """
        if not 0 <= start <= stop <= self._length:
            raise IndexError(f"no values {start} to {stop} in a track of {self._length}")
        if start == stop:
            return np.empty(0, self._dtype)
        first, last = start // self._block, (stop - 1) // self._block
        pieces = self._blocks[first : last + 1]
        pieces[-1] = pieces[-1][: stop - last * self._block]
        pieces[0] = pieces[0][start - first * self._block :]
        values = pieces[0] if first == last else np.concatenate(pieces)
        values.flags.writeable = False
        return values

    @overload
    def __getitem__(self, index: int) -> Scalar: ...
    @overload
    def __getitem__(self, index: builtins.slice) -> npt.NDArray[Scalar]: ...
    def __getitem__(self, index: int | builtins.slice) -> Scalar | npt.NDArray[Scalar]:
        """One value, or an array of them; `track[16_000:32_000]` is the second second of the person's sound."""
        if isinstance(index, builtins.slice):
            start, stop, step = index.indices(self._length)
            return self.slice(start, max(start, stop)) if step == 1 else np.asarray(self)[index]
        at = range(self._length)[index]
        value: Scalar = self.slice(at, at + 1)[0]
        return value

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False and len(self._blocks) > 1:
            raise ValueError("a track of several blocks cannot be one array without a copy")
        return np.array(self.slice(0, self._length), dtype=dtype, copy=copy)


class PcmTrack(Track[np.int16]):
    """Mono PCM16 at `rate` Hz, in blocks of 10 s. `unrecorded` samples of it sounded by a browser's own voice, and are 0 here."""

    __slots__ = ("rate", "unrecorded")

    def __init__(self, rate: int = SAMPLE_RATE) -> None:
        super().__init__(np.int16, _PCM_BLOCK_S * rate)
        self.rate = rate
        self.unrecorded = 0

    def __repr__(self) -> str:
        return f"PcmTrack({self.rate} Hz, {len(self) / self.rate:.2f} s)"


class ValueTrack(Track[Scalar]):
    """One value of `dtype` for each frame: a VAD probability, a level."""

    __slots__ = ()

    def __init__(self, dtype: npt.DTypeLike) -> None:
        super().__init__(dtype, _VALUE_BLOCK)

    def __repr__(self) -> str:
        return f"ValueTrack({self._dtype}, {len(self)} values)"
