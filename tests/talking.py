"""Sessions for tests: they stop at the end of the block, and nothing of them is left behind."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from patter_nb.audio.frames import Frame
from patter_nb.clock import ManualClock
from patter_nb.events import Body
from patter_nb.llm.base import Message
from patter_nb.patter import Patter
from patter_nb.session import Session
from patter_nb.testing import RecordedVAD
from patter_nb.transports.base import Transport, TransportInput
from patter_nb.transports.keyboard import KeyboardTransport
from patter_nb.transports.wav import WavTransport


@asynccontextmanager
async def talking(*, clock: ManualClock | None = None, transport: Transport | None = None, **parts: Any) -> AsyncIterator[Session]:
    """A session of an agent with these parts. Without a transport it is typed to, on a clock that only the test moves."""
    transport = transport if transport is not None else KeyboardTransport(clock if clock is not None else ManualClock())
    before = asyncio.all_tasks()
    async with Patter().serve(Patter().agent(**parts), transport=transport, name="test") as session:
        yield session
    assert session.state == "stopped"
    left = asyncio.all_tasks() - before
    assert not left, f"left behind: {left}"


def silence(seconds: float = 5.0) -> WavTransport:
    """A recording of nothing, as fast as it goes: what is voice is the detector's word."""
    return WavTransport((np.zeros(int(seconds * 16_000), np.int16), 16_000), paced=False)


class Microphone(KeyboardTransport):
    """A second of silence for whoever has ears, or none; then the person is gone."""

    async def inputs(self) -> AsyncIterator[TransportInput]:
        for seq in range(50):
            yield Frame(np.zeros(320, np.int16), seq, seq * 20.0)


def one_utterance() -> RecordedVAD:
    """Someone speaks for a second, half a second into the recording; the turn is complete at 2000 ms."""
    return RecordedVAD.speaking((500, 1500))


def bodies(session: Session, *kinds: type[Body]) -> list[Any]:
    """The bodies of the events of these kinds, in order."""
    return [event.body for event in session.events.of(*kinds)]


def share_heard(said: str, heard: str) -> float:
    """How many of the words of `said` are among those of `heard`: a small recogniser mishears one now and then, and spells 19 out."""
    words = re.findall(r"[a-z']+", said.lower())
    found = set(re.findall(r"[a-z']+", heard.lower()))
    return sum(word in found for word in words) / len(words)


async def until(condition: Callable[[], object]) -> None:
    """Let the event loop run until `condition()` holds; a test that waits in vain fails, after a while that no sound test needs."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # worker threads take part, so turns of the loop cannot be counted
            await asyncio.sleep(0)


async def settle() -> None:
    """Let the event loop run for a while, for what should not happen to have its chance."""
    for _ in range(50):
        await asyncio.sleep(0)


def assert_tools_answered(messages: tuple[Message, ...]) -> None:
    """Every tool message answers a call of the assistant message before it, and every call is answered at once."""
    owed: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            assert message["tool_call_id"] in owed, "a tool message without its call"
            owed.remove(message["tool_call_id"])
        else:
            assert not owed, f"calls left unanswered: {owed}"
            owed = [call["id"] for call in message.get("tool_calls", [])]
    assert not owed, f"calls left unanswered: {owed}"
