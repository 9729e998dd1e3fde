"""Test an agent without a key, a model or a clock: scripted providers, recorded voice, vendors' servers, time that moves by hand.

What came of it is said by `expect`; a `Caller` is a simulated person. pytest's plugin is `patter_nb.testing.plugin`, docs/testing.md tells
how it all goes together. The names below are resolved when they are first used: pytest loads this room for every project on the machine.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from patter_nb.clock import ManualClock as Clock
    from patter_nb.testing.caller import Caller, Conversation
    from patter_nb.testing.expectation import Expectation, expect
    from patter_nb.testing.judging import Verdict, judge
    from patter_nb.testing.no_requests import RealRequestBlocked, block_real_requests
    from patter_nb.testing.scripted import Call, Hold, RecordedVAD, Request, ScriptedLLM, ScriptedSTT, ScriptedTTS
    from patter_nb.testing.wire.convai import ConvAIServer
    from patter_nb.testing.wire.gemini_live import GeminiLiveServer
    from patter_nb.testing.wire.realtime import RealtimeServer
    from patter_nb.testing.wire.server import WireServer
    from patter_nb.testing.wire.speech_sockets import SpeechServer
    from patter_nb.testing.wire.voices import VoiceServer

__all__ = [
    "Call",
    "Caller",
    "Clock",
    "ConvAIServer",
    "Conversation",
    "Expectation",
    "GeminiLiveServer",
    "Hold",
    "RealRequestBlocked",
    "RealtimeServer",
    "RecordedVAD",
    "Request",
    "ScriptedLLM",
    "ScriptedSTT",
    "ScriptedTTS",
    "SpeechServer",
    "Verdict",
    "VoiceServer",
    "WireServer",
    "block_real_requests",
    "expect",
    "judge",
]

_HOMES = {
    "caller": ("Caller", "Conversation"),
    "expectation": ("Expectation", "expect"),
    "judging": ("Verdict", "judge"),
    "no_requests": ("RealRequestBlocked", "block_real_requests"),
    "scripted": ("Call", "Hold", "RecordedVAD", "Request", "ScriptedLLM", "ScriptedSTT", "ScriptedTTS"),
    "wire.convai": ("ConvAIServer",),
    "wire.gemini_live": ("GeminiLiveServer",),
    "wire.realtime": ("RealtimeServer",),
    "wire.server": ("WireServer",),
    "wire.speech_sockets": ("SpeechServer",),
    "wire.voices": ("VoiceServer",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name == "Clock":
        value: object = import_module("patter_nb.clock").ManualClock
    elif name in _HOME_OF:
        value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
