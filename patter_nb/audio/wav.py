"""WAV files in and out, so that a question can be a recording and an answer can be kept.

Read with the standard library and numpy rather than soundfile: PCM and float samples lie in a WAV file as numpy reads them, and the
check that matters most here, a file shorter than its header promises, libsndfile does not make (it hands out what is there as if it
were all). What soundfile would add, FLAC and the compressed encodings, costs 4 MB of native code in every installation and is one ffmpeg
command away.

The layout is that of Microsoft's "Multimedia Programming Interface and Data Specifications 1.0" and of WAVEFORMATEXTENSIBLE.
"""

from __future__ import annotations

import math
import os
import shlex
import struct
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from patter_nb import files
from patter_nb.audio.frames import Pcm
from patter_nb.errors import AudioError
from patter_nb.files import StrPath, whole_file

__all__ = ["check_writable", "read_wav", "to_pcm", "write_wav"]

_PCM, _FLOAT, _EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
_WIDTHS = {_PCM: (1, 2, 3, 4), _FLOAT: (4, 8)}
_STREAMED = 0x7FFF_F000
"""Who writes into a pipe cannot know the length: ffmpeg puts 0xFFFFFFFF, sox 0x7FFFF000. From here on a size means "until the end"."""

_FULL_SCALE = 32768
_LOUDEST = 8.0
"""Float samples pass 1.0 a little after lossy coding and are clipped; 18 dB above it they were never scaled to 1.0."""

_BLOCK = 1 << 18
"""Samples converted at a time, so that the way through float64 costs a few MB however long the file is."""


def read_wav(src: StrPath, *, partial: bool = False) -> tuple[Pcm, int]:
    """The sound of the WAV file `src` as (samples, rate): mono PCM16, the mean of its channels, at its own rate in Hz.

    Takes 8 (unsigned), 16, 24 and 32 bit PCM and 32 and 64 bit float, plain or WAVE_FORMAT_EXTENSIBLE, at any rate and with any number of
    channels. A file that was written into a pipe and so does not know its length is read to its end. Float samples beyond 1.0 are clipped.

    Raises `AudioError` when there is no such file, it is no WAV file, is damaged, compressed, empty or without samples, holds NaN or
    infinity, or is cut off; `partial` True takes what is there of a file that is cut off.
    """
    what, raw = os.fspath(src), _content(Path(src))
    layout = _layout(raw, what)
    size = layout.there if partial else layout.whole(what)
    count = size // layout.block_align
    if not count:
        raise AudioError(f"{what} holds no sound: it has a header and zero samples.", hint="Record it again.")
    pcm = np.empty(count, np.int16)
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        block = raw[layout.body + start * layout.block_align : layout.body + stop * layout.block_align]
        pcm[start:stop] = _mono(layout.decode(block), what, start)
    return pcm, layout.rate


def to_pcm(samples: npt.ArrayLike, what: str = "The array") -> Pcm:
    """`samples` as mono PCM16: int16, or float from -1.0 to 1.0; of one dimension, or (samples, channels), of which the mean is taken.

    `what` names it in messages. Raises `AudioError` for any other array, an empty one, NaN and infinity.
    """
    array = np.asarray(samples)
    channels_first = array.ndim == 2 and array.shape[1] > array.shape[0]
    if array.ndim not in (1, 2) or channels_first or not (array.dtype == np.int16 or array.dtype.kind == "f"):
        raise AudioError(
            f"{what} is no sound: shape {array.shape}, {array.dtype}.",
            hint="Give (samples, rate), with samples as int16, or as float from -1.0 to 1.0, of shape (n,) or (n, channels).",
        )
    if not array.size:
        raise AudioError(f"{what} holds no sound: zero samples.", hint="Give at least one sample.")
    if array.dtype == np.int16:
        return array if array.ndim == 1 else np.rint(array.mean(axis=1)).astype(np.int16)
    return _mono(array.reshape(len(array), -1), what)


def write_wav(dst: StrPath, pcm: Pcm, rate: int) -> None:
    """Write `pcm` (mono PCM16) as the WAV file `dst` at `rate` Hz. A failed write leaves what was at `dst` as it was.

    Raises `AudioError` when it cannot be written.
    """
    if pcm.dtype != np.int16 or pcm.ndim != 1:
        raise AudioError(
            f"{os.fspath(dst)} is not written: its sound is not mono PCM16 but {pcm.dtype} of shape {pcm.shape}.", hint="Use to_pcm first."
        )
    with whole_file(dst, error=AudioError) as file, wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.setnframes(len(pcm))  # known before the first sample, so that the file need not be seekable
        out.writeframesraw(pcm.astype("<i2", copy=False).tobytes())


def check_writable(dst: StrPath) -> None:
    """Raise `AudioError` unless `write_wav(dst, ...)` can be expected to work. Leaves nothing behind and changes nothing."""
    files.check_writable(dst, error=AudioError)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the samples lie in a WAV file: from `body` on, `there` bytes of the `promised` ones, in blocks of a sample for each channel."""

    rate: int
    channels: int
    encoding: int
    block_align: int
    body: int
    there: int
    promised: int

    def whole(self, what: str) -> int:
        """The number of bytes of a file that is all there."""
        if self.promised == self.there:
            return self.there
        promised, there = (f"{size / self.block_align / self.rate:.2f} s" for size in (self.promised, self.there))
        raise AudioError(
            f"{what} is cut off: its header promises {promised} of sound, and {there} are there.",
            hint=f"Copy or record it again, or take what is there with read_wav({what!r}, partial=True).",
        )

    def decode(self, block: memoryview) -> npt.NDArray[np.float64]:
        """Samples from -1.0 to 1.0, of shape (samples, channels)."""
        width = self.block_align // self.channels
        if self.encoding == _FLOAT:
            samples = np.frombuffer(block, f"<f{width}").astype(np.float64)
        elif width == 1:
            samples = (np.frombuffer(block, np.uint8) - 128.0) / 128
        elif width == 3:
            wide = np.zeros((len(block) // 3, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(block, np.uint8).reshape(-1, 3)
            samples = wide.view("<i4")[:, 0] / 2.0**31
        else:
            samples = np.frombuffer(block, f"<i{width}") / 2.0 ** (8 * width - 1)
        return samples.reshape(-1, self.channels)


def _content(path: Path) -> memoryview:
    try:
        if path.is_dir():
            raise AudioError(f"{path} is a directory, not a WAV file.", hint="Give the path of one file in it.")
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise AudioError(
            f"There is no file {path}.", hint=f"Check the spelling, or give the full path; the directory here is {Path.cwd()}."
        ) from error
    except OSError as error:
        raise AudioError(f"{path} cannot be read: {error.strerror}.", hint="Check the path, and that you may read it.") from error
    if not raw:
        raise AudioError(f"{path} is empty: it has no bytes at all.", hint="Copy or record it again.")
    return memoryview(raw)


def _layout(raw: memoryview, what: str) -> _Layout:
    """The layout of a RIFF file, whose chunks are an id of four bytes, a size, and as many bytes, padded to an even number."""
    if bytes(raw[:4]) != b"RIFF" or bytes(raw[8:12]) not in (b"WAVE", b""):
        raise AudioError(f"{what} is no WAV file: it begins with {bytes(raw[:12])!r}.", hint=_convert(what))
    form: tuple[int, int, int, int] | None = None
    at = 12
    while at + 8 <= len(raw):
        name, size = struct.unpack_from("<4sI", raw, at)
        body = at + 8
        if name == b"fmt " and min(size, len(raw) - body) >= 16:
            form = _form(raw[body : body + size], what)
        elif name == b"data":
            if form is None:
                raise AudioError(f"{what} is damaged: no format is given before its samples.", hint=_convert(what))
            rest = len(raw) - body
            there = rest if _unfinished(raw, body, size) else min(rest, size)
            return _Layout(*form, body=body, there=there, promised=there if size >= _STREAMED else size)
        at = body + size + size % 2
    raise AudioError(f"{what} is cut off before its sound begins: it is {len(raw)} bytes long.", hint="Copy or record it again.")


def _form(chunk: memoryview, what: str) -> tuple[int, int, int, int]:
    """(rate, channels, encoding, block_align). A sample fills its container from the top, so that only the container's width counts."""
    encoding, channels, rate, _, block_align, _ = struct.unpack_from("<HHIIHH", chunk)
    if encoding == _EXTENSIBLE and len(chunk) >= 26:
        (encoding,) = struct.unpack_from("<H", chunk, 24)  # the sub-format's GUID begins with the plain encoding
    if not (channels and rate and block_align and block_align % channels == 0):
        raise AudioError(f"{what} is damaged: {channels} channels at {rate} Hz in {block_align} bytes.", hint="Copy or record it again.")
    if block_align // channels not in _WIDTHS.get(encoding, ()):
        raise AudioError(f"{what} holds an encoding that is not read here (0x{encoding:04x}).", hint=_convert(what))
    return rate, channels, encoding, block_align


def _unfinished(raw: memoryview, body: int, size: int) -> bool:
    """Whether a recorder broke off before it wrote the sizes: by its own account the file ends where its sound begins."""
    (riff_size,) = struct.unpack_from("<I", raw, 4)
    return size == 0 and int(riff_size) + 8 <= body


def _mono(samples: npt.NDArray[np.floating[Any]], what: str, start: int = 0) -> Pcm:
    """The mean of the channels of `samples`, of shape (samples, channels); `start` is where in the file they begin."""
    peak = float(np.abs(samples).max())
    if not math.isfinite(peak):
        first = start + int(np.argmin(np.isfinite(samples).all(axis=1)))
        raise AudioError(f"{what} holds NaN or infinity, first at sample {first}.", hint="Mend the step that made it, or cut them out.")
    if peak > _LOUDEST:
        raise AudioError(
            f"{what} holds float samples of up to {peak:.0f}, where full scale is 1.0.",
            hint="Divide them by their full scale, often 32768.",
        )
    scaled = np.rint(samples.mean(axis=1, dtype=np.float64) * _FULL_SCALE)
    pcm: Pcm = np.clip(scaled, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)
    return pcm


def _convert(what: str) -> str:
    return f"Convert it: ffmpeg -i {shlex.quote(what)} -c:a pcm_s16le converted.wav"
