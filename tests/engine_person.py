"""A person at a page, for tests of engines: what they say goes in frame by frame, and what they are to hear is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from talking import until

from patter_nb.audio.frames import FRAME_SAMPLES
from patter_nb.console.inbox import Sound
from patter_nb.console.transport import ConsoleTransport
from patter_nb.session import Session
from patter_nb.transports.base import Played

LONG = "Ships came here from the north and from the south, and each of them was painted by the captain."


class Page:
    """A person at a page: sound goes in frame by frame, and what is sent to be played is kept."""

    def __init__(self) -> None:
        self.transport = ConsoleTransport()
        self.blocks: list[Any] = []
        self.flushed = 0
        self._seq = 0

    def play(self, block: Any, rate: int) -> None:
        self.blocks.append(block)

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def flush(self) -> None:
        self.flushed += 1

    def speak(self, ms: int) -> None:
        """So much sound of the microphone."""
        for _ in range(ms // 40):
            self.transport.offer(Sound(self._seq, 1, self._seq * 20.0, np.full(2 * FRAME_SAMPLES, 500, np.int16), sender="page"))
            self._seq += 2

    def played(self, samples: int) -> None:
        """So much of the agent's sound was heard."""
        self.transport.offer(Played(samples))

    @property
    def sent(self) -> int:
        return sum(len(block.pcm) for block in self.blocks)


async def heard_all(session: Session, page: Page) -> None:
    """Wait until the newest turn has ended, and hear all of it, also what is still on its way to the page then."""
    await until(lambda: session.turns and session.turns[-1].status != "running")
    told = -1

    def heard() -> str:
        nonlocal told
        if page.sent != told:
            told = page.sent
            page.played(told)
        return session.turns[-1].heard_text

    await until(heard)
