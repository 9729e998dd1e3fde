"""G.711 mu-law, what telephones and some vendors speak: 8 bits a sample, on a curve that is fine near silence.

From ITU-T G.711: 14 bits of a sample, a bias of 33 in them, a sign, a segment of three bits, four bits within it, all inverted.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from patter_nb.audio.frames import Pcm

__all__ = ["decode", "encode"]

_BIAS: Final = 0x84
_CLIP: Final = 32_635


def decode(sound: bytes) -> Pcm:
    """Mu-law bytes as PCM16.

    >>> decode(bytes([0xFF, 0x7F, 0x80, 0x00])).tolist()
    [0, 0, 32124, -32124]
    """
    inverted = ~np.frombuffer(sound, np.uint8)
    segment, low = (inverted >> 4) & 7, inverted & 0x0F
    magnitude = (((low.astype(np.int32) << 3) + _BIAS) << segment) - _BIAS
    decoded: Pcm = np.where(inverted & 0x80, -magnitude, magnitude).astype(np.int16)
    return decoded


def encode(pcm: Pcm) -> bytes:
    """PCM16 as mu-law bytes.

    >>> decode(encode(np.array([0, 1000, -1000], np.int16))).tolist()
    [0, 988, -988]
    """
    sign = np.where(pcm < 0, 0x80, 0)
    magnitude = np.minimum(np.abs(pcm.astype(np.int32)), _CLIP) + _BIAS
    segment = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    low = (magnitude >> (segment + 3)) & 0x0F
    packed: npt.NDArray[np.uint8] = (~(sign | (segment << 4) | low) & 0xFF).astype(np.uint8)
    return packed.tobytes()
