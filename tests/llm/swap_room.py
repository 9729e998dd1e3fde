"""A person in a room, for tests: what they say goes in frame by frame, and what a loudspeaker would play is kept, with where it stands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np

from patter_nb.agent import Agent
from patter_nb.audio.frames import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE, AudioFormat, Block, Frame
from patter_nb.clock import Clock, ManualClock
from patter_nb.transports.base import TransportInput

LOUD = 3000


class Room:
    """A transport whose microphone and loudspeaker are the test's. Sound is played only as `listen` says, never while it is paused."""

    paced, plays, awaited, exhausted = True, True, False, False

    def __init__(self) -> None:
        self.manual = ManualClock()
        self.clock: Clock = self.manual
        self.output = AudioFormat(SAMPLE_RATE)
        self.blocks: list[Block] = []
        self.position = 0
        self.is_paused = False
        self._frames = 0
        self._inputs: asyncio.Queue[TransportInput] = asyncio.Queue()
        self._closed = False

    # --- the person

    def make_sound(self, ms: int, level: int = 0) -> None:
        """So much of a steady sound reaches the microphone, at once."""
        pcm = np.full(FRAME_SAMPLES, level, np.int16)
        for _ in range(ms // FRAME_MS):
            self._inputs.put_nowait(Frame(pcm, self._frames, self._frames * float(FRAME_MS)))
            self._frames += 1

    @property
    def is_heard(self) -> bool:
        """Whether the session has taken everything that reached the microphone."""
        return self._inputs.empty()

    def listen(self, samples: int) -> int:
        """The loudspeaker plays on by at most so much; where it stands then."""
        if not self.is_paused:
            self.position = min(self.end, self.position + samples)
        return self.position

    @property
    def end(self) -> int:
        """Where the sound ends that was handed over."""
        return self.blocks[-1].start + len(self.blocks[-1].pcm) if self.blocks else 0

    # --- the transport

    def check(self, agent: Agent) -> None:
        """Everybody can be heard here."""

    def check_waiting(self) -> None:
        """What the person does arrives while somebody waits."""

    async def inputs(self) -> AsyncIterator[TransportInput]:
        while not self._closed:
            yield await self._inputs.get()

    async def play(self, block: Block) -> None:
        assert block.start >= self.end, "two sounds at one place"
        self.blocks.append(block)

    async def pause(self) -> None:
        self.is_paused = True

    async def resume(self) -> None:
        self.is_paused = False

    async def flush(self) -> None:
        self.position, self.is_paused = self.end, False

    async def aclose(self) -> None:
        self._closed = True


class LoudIsVoice:
    """A voice detector for a room: whatever is loud is voice."""

    provider, model = "loud", None

    def probability(self, frame: Frame) -> float:
        return 0.95 if int(frame.pcm.max()) >= LOUD else 0.0

    def reset(self) -> None:
        """Nothing is remembered."""
