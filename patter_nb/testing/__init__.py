"""Test an agent without a key, a model or a clock: scripted providers, recorded voice, a vendor's server, time that moves by hand."""

from patter_nb.clock import ManualClock as Clock
from patter_nb.testing.no_requests import RealRequestBlocked, block_real_requests
from patter_nb.testing.scripted import Call, Hold, RecordedVAD, Request, ScriptedLLM, ScriptedSTT, ScriptedTTS
from patter_nb.testing.wire import WireServer

__all__ = [
    "Call",
    "Clock",
    "Hold",
    "RealRequestBlocked",
    "RecordedVAD",
    "Request",
    "ScriptedLLM",
    "ScriptedSTT",
    "ScriptedTTS",
    "WireServer",
    "block_real_requests",
]
