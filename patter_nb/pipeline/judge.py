"""The stage that judges, in a pause, whether the person has finished: it keeps what they said, and asks a turn detector about it."""

from __future__ import annotations

import asyncio
from collections import deque

import numpy as np

from patter_nb.audio.frames import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE, Frame
from patter_nb.pipeline.door import Door
from patter_nb.pipeline.own_thread import OwnThread
from patter_nb.step.effects import JudgeTurn
from patter_nb.step.inputs import Judged
from patter_nb.turn_detection.base import TurnDetector

KEPT_MS = 8_000
"""How much of the person's sound a detector may see."""
BEFORE_SAMPLES = SAMPLE_RATE // 2
"""What it sees of the sound before the first voice."""


class Judge:
    """Asks the agent's turn detector. One that failed stays out of use until another comes; meanwhile it cannot tell."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._recent: deque[Frame] = deque(maxlen=KEPT_MS // FRAME_MS)
        self._detector: TurnDetector | None = None
        self._thread: OwnThread | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a judgement is under way."""
        return self._task is not None and not self._task.done()

    async def adopt(self, detector: TurnDetector | None) -> None:
        """Ask this detector from now on."""
        if detector is not self._detector:
            self._close()
            self._detector = detector
            if detector is not None:
                remedy = "Check the detector; session.use(turn_taking=TurnTaking(...)) replaces it."
                self._thread = OwnThread(self._door.clock, "turn detector", remedy)

    def hear(self, frame: Frame) -> None:
        """Keep one frame of the person's sound."""
        if self._detector is not None:
            self._recent.append(frame)

    def judge(self, asked: JudgeTurn) -> None:
        """Say how sure it is that the person has finished; a judgement that is still under way is the newest there is."""
        if not self.busy:
            self._task = self._door.tasks.spawn(self._judge(asked), "judging the turn")

    async def _judge(self, asked: JudgeTurn) -> None:
        probability = None
        detector, thread = self._detector, self._thread
        if detector is not None and thread is not None:
            since = (asked.since - BEFORE_SAMPLES) // FRAME_SAMPLES
            sound = np.concatenate([np.zeros(0, np.int16), *(frame.pcm for frame in self._recent if frame.seq >= since)])
            with self._door.reporting("turn_detector", None):
                probability = await thread.probability(lambda: detector.probability(sound))
            if probability is None:
                thread.close()
                self._thread = None
        self._door.feed(Judged(asked.last, probability))

    async def aclose(self) -> None:
        """Judge no more."""
        self._close()

    def _close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._thread is not None:
            self._thread.close()
            self._thread = None
