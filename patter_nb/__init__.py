"""A Jupyter-first toolkit for voice agents.

    phone = Patter()
    agent = phone.agent("You are a helpful assistant.", llm=LocalLLM())
    session = await phone.serve(agent)
    turn = await session.ask("What can you do?")

The names below are resolved when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "patter_nb.patter": ("Patter", "Serving"),
    "patter_nb.agent": ("AfterLLM", "Agent", "Filler", "Guardrail", "HookContext", "PipelineHooks"),
    "patter_nb.session": ("Session",),
    "patter_nb.turn": ("ToolCall", "Turn"),
    "patter_nb.events": ("Event",),
    "patter_nb.pipeline.turn_taking": ("TurnTaking",),
    "patter_nb.llm.base": ("LLMChunk", "LLMProvider"),
    "patter_nb.llm.loop": ("LLMLoop",),
    "patter_nb.engines.openai": ("OpenAIRealtime",),
    "patter_nb.engines.elevenlabs": ("ElevenLabsConvAI",),
    "patter_nb.engines.google": ("GeminiLive",),
    "patter_nb.llm.openai": ("OpenAILLM",),
    "patter_nb.llm.anthropic": ("AnthropicLLM",),
    "patter_nb.llm.groq": ("GroqLLM",),
    "patter_nb.llm.cerebras": ("CerebrasLLM",),
    "patter_nb.llm.google": ("GoogleLLM",),
    "patter_nb.llm.openai_shape": ("OpenAILLMProvider",),
    "patter_nb.llm.openai_compatible": ("OpenAICompatibleLLM",),
    "patter_nb.llm.fallback": ("FallbackLLM",),
    "patter_nb.llm.local": ("LocalLLM",),
    "patter_nb.llm.on_message": ("MessageURL",),
    "patter_nb.tools.tool": ("Tool", "tool"),
    "patter_nb.tools.executor": ("DefaultToolExecutor",),
    "patter_nb.tools.signature": ("ToolContext",),
    "patter_nb.stt.moonshine": ("MoonshineSTT",),
    "patter_nb.stt.whisper": ("WhisperSTT",),
    "patter_nb.stt.deepgram": ("DeepgramSTT",),
    "patter_nb.stt.openai_transcribe": ("OpenAITranscribeSTT",),
    "patter_nb.stt.assemblyai": ("AssemblyAISTT",),
    "patter_nb.stt.cartesia": ("CartesiaSTT",),
    "patter_nb.tts.piper": ("PiperTTS",),
    "patter_nb.tts.browser": ("BrowserTTS",),
    "patter_nb.tts.openai": ("OpenAITTS",),
    "patter_nb.tts.elevenlabs": ("ElevenLabsTTS",),
    "patter_nb.tts.cartesia": ("CartesiaTTS",),
    "patter_nb.vad.silero": ("SileroVAD",),
    "patter_nb.vad.energy": ("EnergyVAD",),
    "patter_nb.turn_detection.smart_turn": ("SmartTurn",),
    "patter_nb.transports.wav": ("WavTransport",),
    "patter_nb.errors": (
        "AllProvidersFailed",
        "AudioError",
        "AuthenticationError",
        "BadRequest",
        "ConnectionFailed",
        "ContentFiltered",
        "ContextTooLong",
        "MalformedStream",
        "MissingExtra",
        "ModelNotFound",
        "PatterConfigError",
        "PatterError",
        "QuotaExceeded",
        "RateLimitError",
        "RequestTimeout",
        "ServerError",
        "ToolError",
        "TruncatedStream",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AfterLLM",
    "Agent",
    "AllProvidersFailed",
    "AnthropicLLM",
    "AssemblyAISTT",
    "AudioError",
    "AuthenticationError",
    "BadRequest",
    "BrowserTTS",
    "CartesiaSTT",
    "CartesiaTTS",
    "CerebrasLLM",
    "ConnectionFailed",
    "ContentFiltered",
    "ContextTooLong",
    "DeepgramSTT",
    "DefaultToolExecutor",
    "ElevenLabsConvAI",
    "ElevenLabsTTS",
    "EnergyVAD",
    "Event",
    "FallbackLLM",
    "Filler",
    "GeminiLive",
    "GoogleLLM",
    "GroqLLM",
    "Guardrail",
    "HookContext",
    "LLMChunk",
    "LLMLoop",
    "LLMProvider",
    "LocalLLM",
    "MalformedStream",
    "MessageURL",
    "MissingExtra",
    "ModelNotFound",
    "MoonshineSTT",
    "OpenAICompatibleLLM",
    "OpenAILLM",
    "OpenAILLMProvider",
    "OpenAIRealtime",
    "OpenAITTS",
    "OpenAITranscribeSTT",
    "Patter",
    "PatterConfigError",
    "PatterError",
    "PipelineHooks",
    "PiperTTS",
    "QuotaExceeded",
    "RateLimitError",
    "RequestTimeout",
    "ServerError",
    "Serving",
    "Session",
    "SileroVAD",
    "SmartTurn",
    "Tool",
    "ToolCall",
    "ToolContext",
    "ToolError",
    "TruncatedStream",
    "Turn",
    "TurnTaking",
    "WavTransport",
    "WhisperSTT",
    "__version__",
    "tool",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def load_ipython_extension(shell: Any) -> None:
    """What `%load_ext patter_nb` calls: it brings the cell magic `%%prompt`, whose text is a session's system prompt."""
    from patter_nb.magics import load

    load(shell)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if TYPE_CHECKING:
    from patter_nb.agent import AfterLLM, Agent, Filler, Guardrail, HookContext, PipelineHooks
    from patter_nb.engines.elevenlabs import ElevenLabsConvAI
    from patter_nb.engines.google import GeminiLive
    from patter_nb.engines.openai import OpenAIRealtime
    from patter_nb.errors import (
        AllProvidersFailed,
        AudioError,
        AuthenticationError,
        BadRequest,
        ConnectionFailed,
        ContentFiltered,
        ContextTooLong,
        MalformedStream,
        MissingExtra,
        ModelNotFound,
        PatterConfigError,
        PatterError,
        QuotaExceeded,
        RateLimitError,
        RequestTimeout,
        ServerError,
        ToolError,
        TruncatedStream,
    )
    from patter_nb.events import Event
    from patter_nb.llm.anthropic import AnthropicLLM
    from patter_nb.llm.base import LLMChunk, LLMProvider
    from patter_nb.llm.cerebras import CerebrasLLM
    from patter_nb.llm.fallback import FallbackLLM
    from patter_nb.llm.google import GoogleLLM
    from patter_nb.llm.groq import GroqLLM
    from patter_nb.llm.local import LocalLLM
    from patter_nb.llm.loop import LLMLoop
    from patter_nb.llm.on_message import MessageURL
    from patter_nb.llm.openai import OpenAILLM
    from patter_nb.llm.openai_compatible import OpenAICompatibleLLM
    from patter_nb.llm.openai_shape import OpenAILLMProvider
    from patter_nb.patter import Patter, Serving
    from patter_nb.pipeline.turn_taking import TurnTaking
    from patter_nb.session import Session
    from patter_nb.stt.assemblyai import AssemblyAISTT
    from patter_nb.stt.cartesia import CartesiaSTT
    from patter_nb.stt.deepgram import DeepgramSTT
    from patter_nb.stt.moonshine import MoonshineSTT
    from patter_nb.stt.openai_transcribe import OpenAITranscribeSTT
    from patter_nb.stt.whisper import WhisperSTT
    from patter_nb.tools.executor import DefaultToolExecutor
    from patter_nb.tools.signature import ToolContext
    from patter_nb.tools.tool import Tool, tool
    from patter_nb.transports.wav import WavTransport
    from patter_nb.tts.browser import BrowserTTS
    from patter_nb.tts.cartesia import CartesiaTTS
    from patter_nb.tts.elevenlabs import ElevenLabsTTS
    from patter_nb.tts.openai import OpenAITTS
    from patter_nb.tts.piper import PiperTTS
    from patter_nb.turn import ToolCall, Turn
    from patter_nb.turn_detection.smart_turn import SmartTurn
    from patter_nb.vad.energy import EnergyVAD
    from patter_nb.vad.silero import SileroVAD
