"""The telephone of a simulated caller: what they say reaches the agent as sound, and what it plays is heard sample by sample."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import numpy as np

from patter_nb.agent import Agent
from patter_nb.audio.frames import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE, AudioFormat, Block, Frame, Pcm
from patter_nb.clock import Clock, ManualClock
from patter_nb.errors import PatterConfigError
from patter_nb.transports.base import Played, TransportInput, require_own_sound
from patter_nb.transports.loudspeaker import Loudspeaker


class Line:
    """A transport whose time passes only in `run`, frame by frame and as fast as the agent gets on; nothing sleeps.

    While the caller thinks, time stands still. After what they `speak` there is silence.
    """

    output = AudioFormat(SAMPLE_RATE)
    paced = False
    plays = True
    awaited = False
    exhausted = False

    def __init__(self) -> None:
        self._virtual = ManualClock(wall=True)
        self.clock: Clock = self._virtual
        self._speaker = Loudspeaker()
        self._words: Pcm = np.empty(0, np.int16)
        self._seq = 0
        self._silent_since = 0
        self._until: Callable[[], bool] = lambda: True
        self._going, self._reached = asyncio.Event(), asyncio.Event()
        self._closed = False
        self.agent_ms = 0
        """For how long the agent has been heard, in all."""

    def check(self, agent: Agent) -> None:
        """Raise `PatterConfigError` for an agent that would not hear the caller, or that they would not hear."""
        for part, lack, hint in (
            (agent.stt, "hear the caller: it has no speech-to-text", "stt=, for example stt=MoonshineSTT()"),
            (agent.tts, "be heard: it has no voice", "tts=, for example tts=PiperTTS()"),
        ):
            if part is None and agent.engine is None:
                raise PatterConfigError(f"The agent would not {lack}.", hint=f"Give it {hint}; or call it without tts=, and type.")
        require_own_sound(agent, "a telephone")

    def check_waiting(self) -> None:
        """Whoever runs the line waits for nothing else."""

    def speak(self, pcm: Pcm) -> None:
        """Say this from the next frame on: mono PCM16 at 16 kHz."""
        self._words = pcm

    async def run(self, until: Callable[[], bool]) -> None:
        """Let time pass until that holds, asked after each frame, when the session has done with it; or until the session is closed."""
        if self._closed:
            return
        self._until = until
        self._reached.clear()
        self._going.set()
        await self._reached.wait()

    @property
    def silent_ms(self) -> float:
        """For how long the caller has been silent; 0 while they speak."""
        return 0.0 if len(self._words) else float((self._seq - self._silent_since) * FRAME_MS)

    @property
    def position(self) -> int:
        """How far the agent was heard, in samples of what it ever played."""
        return self._speaker.position

    async def inputs(self) -> AsyncGenerator[TransportInput, None]:
        """A frame, and how far playback has come, whenever time may pass."""
        reported = 0
        while True:
            await self._going.wait()
            captured_ms = float((self._seq + 1) * FRAME_MS)
            self._virtual.advance(captured_ms - self._virtual.now_ms())
            await asyncio.sleep(0)  # whoever slept until now runs before the frame is heard
            self._seq += 1
            yield Frame(self._said(), self._seq - 1, captured_ms - FRAME_MS)
            if self._heard().position > reported:
                reported = self._speaker.position
                self.agent_ms += FRAME_MS
                yield Played(reported)
            if self._until():
                self._going.clear()
                self._reached.set()

    def _said(self) -> Pcm:
        said, self._words = self._words[:FRAME_SAMPLES], self._words[FRAME_SAMPLES:]
        if len(said):
            self._silent_since = self._seq
        return np.pad(said, (0, FRAME_SAMPLES - len(said)))

    def _heard(self) -> Loudspeaker:
        """The loudspeaker, brought up to the present."""
        self._speaker.run_until(self._seq * FRAME_SAMPLES)
        return self._speaker

    async def play(self, block: Block) -> None:
        """Queue `block`; it is heard from now on, or when what was queued before it has been."""
        self._heard().play(block)

    async def pause(self) -> None:
        """Fall silent now, and keep the place."""
        self._heard().paused = True

    async def resume(self) -> None:
        """Go on with the sample after the last one heard."""
        self._heard().paused = False

    async def flush(self) -> None:
        """Forget what has not been heard, and end a pause."""
        self._heard().flush()

    async def aclose(self) -> None:
        """Whoever waits in `run` need not wait any longer."""
        self._closed = True
        self._reached.set()
