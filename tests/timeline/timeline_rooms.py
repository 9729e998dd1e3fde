"""Sessions whose timelines are looked at: a recording as the person, time that only the recording moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from talking import talking

from patter_nb.session import Session
from patter_nb.testing import Call, RecordedVAD, ScriptedLLM, ScriptedSTT, ScriptedTTS
from patter_nb.transports.wav import WavTransport

QUESTION = "What's the weather?"
ANSWER = "It is sunny in Rome. Take a hat."


def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"Sunny in {city}."


def spoken(*spans_ms: tuple[int, int], seconds: float = 8.0) -> tuple[Any, int]:
    """A recording with a tone in these spans, silence elsewhere."""
    pcm = (8000 * np.sin(np.arange(round(seconds * 16_000)) * 0.2)).astype(np.int16)
    at_ms = np.arange(len(pcm)) / 16
    pcm[~np.logical_or.reduce([(start <= at_ms) & (at_ms < stop) for start, stop in spans_ms])] = 0
    return pcm, 16_000


@asynccontextmanager
async def asked_by_voice(**parts: Any) -> AsyncIterator[Session]:
    """One spoken question, a tool, an answer of 1.86 s: the person speaks from 500 to 1500 ms, the turn is complete at 2000 ms."""
    given: dict[str, Any] = {
        "llm": ScriptedLLM([[Call("get_weather", {"city": "Rome"})], ANSWER]),
        "stt": ScriptedSTT([["What's", QUESTION]]),
        "vad": RecordedVAD.speaking((500, 1500)),
        "tts": ScriptedTTS(),
        "tools": [get_weather],
    }
    async with talking(transport=WavTransport(spoken((500, 1500)), paced=False), **given | parts) as session:
        await session.wait()
        yield session


@asynccontextmanager
async def interrupted_by_voice() -> AsyncIterator[Session]:
    """The person asks, and breaks into the answer, which would last ten seconds, at 4000 ms."""
    spans = ((500, 1500), (4000, 5000))
    given: dict[str, Any] = {
        "llm": ScriptedLLM(["word " * 33, "All right."]),
        "stt": ScriptedSTT(["Tell me all.", ["Stop", "Stop it."]]),
        "vad": RecordedVAD.speaking(*spans),
        "tts": ScriptedTTS(),
    }
    async with talking(transport=WavTransport(spoken(*spans, seconds=9), paced=False), **given) as session:
        await session.wait()
        yield session
