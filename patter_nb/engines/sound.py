"""The sound that an engine's vendor sends: PCM16 in base64, in pieces of any length."""

from __future__ import annotations

import base64
import binascii

import numpy as np

from patter_nb.audio import mulaw
from patter_nb.audio.frames import Pcm
from patter_nb.errors import MalformedStream
from patter_nb.wire.refusals import Source

__all__ = ["Sound"]


class Sound:
    """One answer's sound, mono. `push` gives the samples that are whole; an odd byte waits for its other half.

    `is_mulaw`: a byte is a sample. Raises `MalformedStream` for what is no base64.
    """

    def __init__(self, source: Source, *, is_mulaw: bool = False) -> None:
        self._source = source
        self._is_mulaw = is_mulaw
        self._odd = b""

    def push(self, data: str) -> Pcm:
        """The samples that `data` completes, perhaps none."""
        try:
            sound = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError) as error:
            told = f"{self._source.provider} sent sound that is no base64: {data[:40]!r}."
            hint = "Check base_url if you set it."
            raise MalformedStream(told, provider=self._source.provider, model=self._source.model, hint=hint) from error
        if self._is_mulaw:
            return mulaw.decode(sound)
        sound = self._odd + sound
        whole = len(sound) // 2 * 2
        self._odd = sound[whole:]
        return np.frombuffer(sound[:whole], "<i2").astype(np.int16)

    def clear(self) -> None:
        """Another answer begins: half a sample at the end of the last is none."""
        self._odd = b""
