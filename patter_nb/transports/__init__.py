"""What carries sound and text between the person and a session. The contract is here; a transport is imported when it is named."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from patter_nb.audio.frames import Block, Frame
from patter_nb.transports.base import LocalPause, Muted, Played, Transport, TransportInput, Typed

if TYPE_CHECKING:
    from patter_nb.transports.wav import WavTransport

__all__ = ["Block", "Frame", "LocalPause", "Muted", "Played", "Transport", "TransportInput", "Typed", "WavTransport"]

_LAZY = {"WavTransport": "patter_nb.transports.wav"}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
