"""The stage that hears: frames go to the voice detector one by one, and to speech-to-text while someone speaks."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from patter_nb.audio.frames import FRAME_MS, AudioFormat, Frame
from patter_nb.errors import PatterConfigError, PatterError
from patter_nb.pipeline.detector import Detector
from patter_nb.pipeline.door import Door, resolved
from patter_nb.pipeline.metering import HearingMeter
from patter_nb.step.inputs import Failure, FrameHeard
from patter_nb.stt.base import STT
from patter_nb.tasks import as_patter_error, closing
from patter_nb.vad.base import VAD

PREROLL_MS = 360
"""Sound from before speech was noticed that goes to speech-to-text too: the onset of the first word lies in it."""

Command: TypeAlias = Frame | None


class Listener:
    """Hears for one session. `probability` and `hear` take every frame in order; `listen`, `finalize` and `stop_listening` are the
    session's effects.
    """

    def __init__(self, door: Door) -> None:
        self._door = door
        self._detector: Detector | None = None
        self._deaf = False
        self._stt: STT | None = None
        self._unopened: PatterError | None = None
        self._recent: deque[Frame] = deque(maxlen=PREROLL_MS // FRAME_MS)
        self._listening = False
        self._pushed = -1
        self._commands: asyncio.Queue[Command] = asyncio.Queue()
        self._open = 0
        self._writer: asyncio.Task[None] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._warned = False
        self._meter = HearingMeter(door)

    @property
    def busy(self) -> bool:
        """Whether frames or a question wait for speech-to-text."""
        return self._open > 0

    async def adopt_detector(self, vad: VAD | None) -> None:
        """Use this detector from now on, from its beginning. One that failed stays out of use until another comes."""
        if self._detector is not None and vad is self._detector.vad:
            return
        self._close_detector()
        if vad is not None:
            self._detector, self._deaf = Detector(vad, self._door.clock), True
            await self._detector.reset()
            self._deaf = False

    async def adopt_recogniser(self, stt: STT | None) -> None:
        """Use this recogniser from now on. Sound that comes while it opens waits for it; raises what fails at that."""
        if stt is self._stt:
            return
        with self._door.reporting("stt", None):
            await self._close_recogniser()
        self._unopened = None
        if stt is None:
            return
        try:
            await stt.open(AudioFormat())
        except BaseException as error:
            self._unopened = as_patter_error("stt", error)
            self._forget()
            raise
        self._stt = stt
        self._meter.begin(stt)
        self._writer = self._door.tasks.spawn(self._write(stt), "speech-to-text in")
        self._start_reading()

    def _start_reading(self) -> None:
        if self._stt is not None and (self._reader is None or self._reader.done()):
            self._meter.listens()
            self._reader = self._door.tasks.spawn(self._read(self._stt), "speech-to-text out")

    async def probability(self, frame: Frame) -> float | None:
        """The probability that the frame is voice, or None where nothing measures it: without ears, or with a detector that failed."""
        if self._detector is None or self._door.agent.stt is None:
            self._cannot_hear()
            return None
        if self._deaf:
            return None
        probability, self._deaf = None, True
        with self._door.reporting("vad", None):
            probability = await self._detector.probability(frame)
            self._deaf = False
        return probability

    def hear(self, frame: Frame, probability: float) -> None:
        """Take in one frame, which is voice with this probability."""
        self._recent.append(frame)
        self._door.feed(FrameHeard(frame.seq, probability, frame.late_ms))
        if self._listening and self._unopened is None:
            for recent in self._recent:
                if recent.seq > self._pushed:
                    self._command(recent)
                    self._pushed = recent.seq

    def _cannot_hear(self) -> None:
        if not self._warned and self._door.agent.stt is None and self._door.agent.engine is None:
            self._warned = True
            error = PatterConfigError(
                "Sound arrives, but the agent has no speech-to-text.", hint="Pass stt=, for example stt=MoonshineSTT()."
            )
            self._door.feed(Failure(None, "session", error))

    def listen(self) -> None:
        """Speech began: give it to speech-to-text, with a little from before. One that had failed is tried again."""
        self._start_reading()
        self._listening = True

    def stop_listening(self) -> None:
        """The utterance is over."""
        self._listening = False
        self._end_account()

    def _end_account(self) -> None:
        if not (self._listening or self._open):
            self._meter.paused()

    def settle(self) -> None:
        """Book what was heard and is not answered yet: nothing more will be logged."""
        self._meter.settle()

    def finalize(self) -> None:
        """Ask for the words so far. Where speech-to-text did not open, they are lost."""
        if self._unopened is None:
            self._command(None)
        else:
            self._door.feed(Failure(None, "stt", self._unopened))

    def _command(self, command: Command) -> None:
        self._open += 1
        self._commands.put_nowait(command)

    async def _write(self, stt: STT) -> None:
        while True:
            command, taken = await self._commands.get(), False
            with self._door.reporting("stt", None):
                if command is None:
                    self._meter.asked()
                    await stt.finalize()
                elif (frame := await self._after_hook(command)) is not None:
                    await stt.push(frame)
                    self._meter.pushed(frame.pcm)
                taken = True
            self._open -= 1
            self._end_account()
            if not taken:
                self._forget()
            self._door.progressed()

    async def _after_hook(self, frame: Frame) -> Frame | None:
        hook = self._door.agent.hooks.before_send_to_stt
        if hook is None:
            return frame
        try:
            audio = await resolved(hook(frame.pcm.tobytes(), self._door.context(None)))
            return None if audio is None else replace(frame, pcm=np.frombuffer(audio, np.int16))
        except Exception as error:  # the words are lost, as when speech-to-text fails; the error says whose fault it is
            raise as_patter_error("hook", error) from error

    def _forget(self) -> None:
        """The rest of an utterance whose beginning was lost is of no use."""
        while not self._commands.empty():
            self._commands.get_nowait()
            self._open -= 1

    async def _read(self, stt: STT) -> None:
        with self._door.reporting("stt", None):
            try:
                async with closing(stt.transcripts()) as transcripts:
                    async for transcript in transcripts:
                        self._meter.answered(transcript)
                        self._door.feed(transcript)
            except Exception as error:
                self._meter.failed(error)
                raise
            finally:
                self._meter.settle()

    async def aclose(self) -> None:
        """Stop listening for good."""
        self._close_detector()
        await self._close_recogniser()

    def _close_detector(self) -> None:
        if self._detector is not None:
            self._detector.close()
            self._detector = None

    async def _close_recogniser(self) -> None:
        workers = [worker for worker in (self._writer, self._reader) if worker is not None]
        for worker in workers:
            worker.cancel()
        self._writer, self._reader, self._commands, self._open = None, None, asyncio.Queue(), 0
        stt, self._stt = self._stt, None
        await asyncio.gather(*workers, return_exceptions=True)
        if stt is not None:
            await stt.aclose()
