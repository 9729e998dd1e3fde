"""A ten-minute conversation with scripted providers and a recorded voice detector: how much faster than real time, how much memory.

    python bench/long_conversation.py [minutes]

Speed is session time over wall time of one run; the floor beside it is the bare transport, without a session. Memory is what
Python and numpy hold more after the run than before it, in a second run under tracemalloc, against the sound of the session
(what was heard and spoken, and the recording that the wav transport keeps to write).
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import tracemalloc
from contextlib import aclosing

import numpy as np

from patter_nb import Patter, Session, WavTransport
from patter_nb.testing import Call, RecordedVAD, ScriptedLLM, ScriptedSTT, ScriptedTTS

EXCHANGE_S = 10
ANSWER = "It is eighteen degrees and sunny there just now. Would you like to hear how it will be tomorrow?"


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"18 degrees and sunny in {city}"


def conversation(minutes: int) -> tuple[WavTransport, dict[str, object]]:
    """A person who asks every ten seconds; every third answer needs a tool, every fifth is interrupted."""
    exchanges = minutes * 60 // EXCHANGE_S
    starts = [number * EXCHANGE_S * 1000 + (-3500 if number % 5 == 4 else 500) for number in range(exchanges)]
    replies: list[object] = []
    for number in range(exchanges):
        replies += [Call("get_weather", {"city": "Paris"}), ANSWER] if number % 3 == 0 else [ANSWER]
    samples = np.random.default_rng(7).integers(-2000, 2000, minutes * 60 * 16_000).astype(np.int16)
    words = [["what's", "what's the weather", "what's the weather in Paris"] for _ in starts]
    parts = {
        "llm": ScriptedLLM(replies),  # type: ignore[arg-type]  # texts and calls
        "stt": ScriptedSTT(words),
        "vad": RecordedVAD.speaking(*((start, start + 1800) for start in starts)),
        "tts": ScriptedTTS(ms_per_char=45),
        "tools": [get_weather],
    }
    return WavTransport((samples, 16_000), paced=False), parts


async def converse(minutes: int) -> tuple[float, Session]:
    """Run it; returns the wall seconds it took, and the session."""
    transport, parts = conversation(minutes)
    start = time.perf_counter()
    session = await Patter().serve(Patter().agent("Be brief.", **parts), transport=transport)  # type: ignore[arg-type]  # as agent() takes them
    await session.wait()
    return time.perf_counter() - start, session


async def bare(minutes: int) -> float:
    """The wall seconds of the transport alone."""
    transport, _ = conversation(minutes)
    start = time.perf_counter()
    async with aclosing(transport.inputs()) as inputs:
        async for _ in inputs:
            if transport.exhausted:
                break
    return time.perf_counter() - start


async def memory(minutes: int) -> tuple[int, int]:
    """(bytes held more after the run than before, bytes of sound among them)."""
    await converse(1)  # imports, caches, pools
    transport, parts = conversation(minutes)
    agent = Patter().agent("Be brief.", **parts)  # type: ignore[arg-type]  # as agent() takes them
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    session = await Patter().serve(agent, transport=transport)
    await session.wait()
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    sound = 2 * (len(session.audio.heard) + len(session.audio.spoken) + len(transport.record))
    return grown, sound


def main() -> None:
    minutes = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    took, session = asyncio.run(converse(minutes))
    floor = asyncio.run(bare(minutes))
    seconds = minutes * 60
    statuses = [turn.status for turn in session.turns]
    counts = f"{len(session.turns)} turns ({statuses.count('interrupted')} interrupted), {len(session.events)} events"
    print(f"{minutes} minutes, {counts}, {len(session.tool_calls)} tool calls")
    print(f"speed   {seconds / took:6.0f} x real time ({took:.2f} s; the transport alone {floor:.2f} s)   target: at least 50")
    grown, sound = asyncio.run(memory(minutes))
    over = 100 * (grown / sound - 1)
    print(f"memory  {grown / 1e6:6.1f} MB more, of which sound {sound / 1e6:.1f} MB: {over:+.1f} %   target: at most +10 %")


if __name__ == "__main__":
    main()
