"""The bytes that a vendor sends become samples, and what is no raw sound is told apart from it: a header played as samples is a bang.

Beginnings of files, from their specifications: RIFF/WAVE (Microsoft), Ogg (RFC 3533), FLAC (RFC 9639), ID3v2, EBML (RFC 8794), the frame
headers of MPEG audio (ISO/IEC 11172-3, 13818-3) and of AAC in ADTS (ISO/IEC 13818-7). The last two are two bytes that loud sound may hold
too; they count only where a second header stands at the place that the first one names.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from patter_nb.audio.frames import Pcm
from patter_nb.errors import AudioError
from patter_nb.wire.refusals import Source

__all__ = ["Sound"]

_MAGIC: Final = {b"RIFF": "WAV", b"RIFX": "WAV", b"OggS": "Ogg", b"fLaC": "FLAC", b"ID3": "MP3", b"\x1aE\xdf\xa3": "WebM"}
_KBPS: Final = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES: Final = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


class Sound:
    """One stream of mono PCM16, little-endian, at `rate` Hz: `push` gives the samples that are whole, an odd byte waits for its other half.

    Raises `AudioError` for a stream that begins as a file does.
    """

    def __init__(self, source: Source, rate: int) -> None:
        self._source = source
        self._rate = rate
        self._held = b""
        self._checked = False
        self.begun = False
        """Whether anything has come."""

    def push(self, data: bytes) -> Pcm:
        """The samples that `data` completes, perhaps none."""
        self.begun = self.begun or bool(data)
        self._held += data
        return self._samples() if self._is_sound(last=False) else np.empty(0, np.int16)

    def flush(self) -> Pcm:
        """The rest; half a sample at the very end is none."""
        self._is_sound(last=True)
        return self._samples()

    def _samples(self) -> Pcm:
        whole = len(self._held) // 2 * 2
        data, self._held = self._held[:whole], self._held[whole:]
        return np.frombuffer(data, "<i2").astype(np.int16, copy=False)

    def _is_sound(self, *, last: bool) -> bool:
        """Whether the beginning is known to be no file's. False: more of it has to come."""
        if self._checked:
            return True
        found = _container(self._held)
        if found == "" and not last:
            return False
        if found:
            rate = f" at {int.from_bytes(self._held[24:28], 'little')} Hz" if found == "WAV" and len(self._held) >= 28 else ""
            raise AudioError(
                f"{self._source.provider} sent {found}{rate}, not raw PCM16 at {self._rate} Hz.",
                hint="Have the server at base_url answer with raw PCM; a gateway may have changed the format.",
                provider=self._source.provider,
                model=self._source.model,
            )
        self._checked = True
        return True


def _container(head: bytes) -> str | None:
    """The kind of file that begins so, None for none, "" where it is too short to say."""
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    if any(magic.startswith(head) for magic in _MAGIC):
        return ""
    if head[0] != 0xFF:
        return None
    if len(head) < 7:
        return ""
    name, length = _mpeg_frame(head) or _adts_frame(head) or ("", 0)
    if not length:
        return None
    if len(head) < length + 2:
        return ""
    return name if head[length] == 0xFF and head[length + 1] & 0xF6 == head[1] & 0xF6 else None


def _mpeg_frame(head: bytes) -> tuple[str, int] | None:
    """The length in bytes of a frame of MPEG audio, layer III."""
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if head[1] & 0xE0 != 0xE0 or version == 1 or layer != 1 or bitrate in (0, 15) or rate == 3:
        return None
    kbps = _KBPS[1 if version == 3 else 2][bitrate]
    return "MP3", (144 if version == 3 else 72) * kbps * 1000 // _RATES[version][rate] + padding


def _adts_frame(head: bytes) -> tuple[str, int] | None:
    """The length in bytes of a frame of AAC in ADTS."""
    if head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return None
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return ("AAC", length) if length >= 7 else None
