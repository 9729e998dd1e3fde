"""A loudspeaker that is only imagined: it plays in sample time, knows what was heard, and keeps it."""

from __future__ import annotations

from collections import deque

import numpy as np

from patter_nb.audio.frames import SAMPLE_RATE, Block
from patter_nb.audio.tracks import PcmTrack


class Loudspeaker:
    """Plays blocks one after the other in sample time at 16 kHz, and keeps what it gave in `heard`.

    `position` is the end of what was heard, on the session's output axis; `sounded` is where in `heard` the last played sample ends.
    """

    def __init__(self) -> None:
        self.heard = PcmTrack(SAMPLE_RATE)
        self.position = 0
        self.sounded = 0
        self.paused = False
        self._queue: deque[Block] = deque()
        self._end = 0

    def play(self, block: Block) -> None:
        if block.start < self._end:
            raise ValueError(f"a block starts at {block.start}, before the end of the one before it at {self._end}")
        self._end = block.start + len(block.pcm)
        if len(block.pcm):
            self._queue.append(block)

    def flush(self) -> None:
        self._queue.clear()
        self.paused = False

    def run_until(self, time: int) -> None:
        """Give out samples until `time` of them have been given."""
        while self._queue and not self.paused and (room := time - len(self.heard)) > 0:
            block = self._queue.popleft()
            self.heard.append(block.pcm[:room])
            self.sounded = len(self.heard)
            self.position = block.start + min(room, len(block.pcm))
            if room < len(block.pcm):
                self._queue.appendleft(Block(block.pcm[room:], block.start + room))
        self.heard.append(np.zeros(max(0, time - len(self.heard)), np.int16))
