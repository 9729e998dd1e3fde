"""Test an agent without a key, a model or a clock: scripted providers, recorded voice, time that moves by hand."""

from patter_nb.clock import ManualClock as Clock
from patter_nb.testing.scripted import Call, Hold, RecordedVAD, Request, ScriptedLLM, ScriptedSTT, ScriptedTTS

__all__ = ["Call", "Clock", "Hold", "RecordedVAD", "Request", "ScriptedLLM", "ScriptedSTT", "ScriptedTTS"]
