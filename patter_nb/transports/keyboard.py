"""A session without sound: the person types by `session.ask`, and reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from patter_nb.agent import Agent
from patter_nb.audio.frames import AudioFormat, Block
from patter_nb.clock import Clock, SystemClock
from patter_nb.transports.base import TransportInput, require_own_sound


class KeyboardTransport:
    """Has neither microphone nor loudspeaker; what the agent speaks counts as heard."""

    paced = True
    plays = False
    awaited = False
    exhausted = False

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = clock if clock is not None else SystemClock()
        self.output = AudioFormat()
        self._closed = asyncio.Event()

    def check(self, agent: Agent) -> None:
        """Whoever answers can be typed to. Raises `PatterConfigError` for a voice that only a browser has."""
        require_own_sound(agent, "a session without a page")

    def check_waiting(self) -> None:
        """Whoever types by `session.ask` need not wait."""

    async def inputs(self) -> AsyncIterator[TransportInput]:
        await self._closed.wait()
        return
        yield

    async def play(self, block: Block) -> None:
        """Nobody listens."""

    async def pause(self) -> None:
        """Nothing sounds."""

    async def resume(self) -> None:
        """Nothing sounds."""

    async def flush(self) -> None:
        """Nothing sounds."""

    async def aclose(self) -> None:
        self._closed.set()
