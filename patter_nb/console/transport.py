"""The browser as a transport: frames and typed lines come in from pages, sound goes out to the page where the person is.

It knows nothing of widgets. A page hands in what its person does by `offer`, from any thread; what is to be played goes to `speaker`,
which is set as long as there is a page that can sound.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeAlias

from patter_nb.agent import Agent
from patter_nb.audio.frames import AudioFormat, Block
from patter_nb.clock import Clock, SystemClock
from patter_nb.console.inbox import Inbox, Sound
from patter_nb.console.page_clock import PageClock
from patter_nb.console.routing import arrives_while_awaited
from patter_nb.errors import AudioError, PatterConfigError
from patter_nb.transports.base import Accept, Audience, HungUp, LocalPause, Muted, Played, TransportInput, Trouble, Typed

__all__ = ["Arrival", "ConsoleTransport", "ListenBy", "Met", "Sounded", "Speaker"]

OUTPUT_RATE: Final = 24_000


class Speaker(Protocol):
    """A page's loudspeaker, told what to do from within the session's loop."""

    def play(self, block: Block, rate: int) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def flush(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ListenBy:
    """From now on sound goes to this page's loudspeaker, first what nobody has heard yet; None: nobody listens any more."""

    speaker: Speaker | None
    greets: bool = True


@dataclass(frozen=True, slots=True)
class Met:
    """A page has said something, at `sent_ms` of its clock. `told`: something was sent to it then by the session's clock, and came then by
    its own.
    """

    page: str
    sent_ms: float
    told: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Sounded:
    """Playback on a page has reached `position` on the output axis, whose sample sounds at `at_ms` of the page's clock."""

    page: str
    position: int
    at_ms: float


Arrival: TypeAlias = Met | Sound | Sounded | Typed | Played | LocalPause | Muted | ListenBy | HungUp | Accept | Trouble


class ConsoleTransport:
    """A microphone and a loudspeaker in a browser, and a keyboard.

    As long as no page listens, whatever is spoken counts as heard, and the greeting waits. Sound that a page was given and has not played
    yet is given again to a page that takes its place.
    """

    paced = True
    plays = False
    awaited = True
    exhausted = False

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = clock if clock is not None else SystemClock()
        self.output = AudioFormat(OUTPUT_RATE)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrivals: deque[tuple[Arrival, float]] = deque()
        self._arrived = asyncio.Event()
        self.handled_by: threading.Thread | None = None
        """The thread in which the newest sound, or greeting, of a page was handled."""
        self._inbox = Inbox()
        self._told_lost = 0
        self.speaker: Speaker | None = None
        """The loudspeaker that sound goes to, if there is one."""
        self._unheard: deque[Block] = deque()
        self._reached = 0
        self._closed = False

    def check(self, agent: Agent) -> None:
        """Whoever answers can be typed to, and be read."""

    def check_waiting(self) -> None:
        """Raise `PatterConfigError` on a kernel that delivers nothing of the page while a cell awaits."""
        if not arrives_while_awaited(self.handled_by):
            raise PatterConfigError(
                "This kernel delivers nothing from the page while a cell awaits, so the person could not be heard until it ends.",
                hint="Let the cell end and look at session.turns in the next one. Or upgrade: pip install -U ipykernel (7.4 or later) and "
                'restart the kernel. runtime="thread" keeps the agent going while a cell computes.',
            )

    # --- from the page, in any thread

    def offer(self, arrival: Arrival) -> None:
        """Take in what a page tells. From any thread; what comes after the end is dropped."""
        if self._closed:
            return
        if isinstance(arrival, (Sound, Met)):
            self.handled_by = threading.current_thread()
        self._arrivals.append((arrival, self.clock.now_ms()))
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._arrived.set)

    # --- from the session, in its loop

    async def inputs(self) -> AsyncIterator[TransportInput]:  # noqa: C901  # one case for each arrival
        self._loop = asyncio.get_running_loop()
        while not self._closed:
            while self._arrivals:
                arrival, arrived_ms = self._arrivals.popleft()
                match arrival:
                    case Sound():
                        for frame in self._inbox.take(arrival, arrived_ms, self.clock.now_ms()):
                            yield frame
                        if (lost := self._inbox.lost) > self._told_lost:
                            self._told_lost = lost
                            yield Trouble(AudioError(f"{lost} frames of sound never came from the page.", hint="Reload the page."))
                    case Met():
                        self._meet(self._inbox.clock(arrival.page), arrival, arrived_ms)
                    case Sounded(page, position, at_ms):
                        self._forget_until(position)
                        yield Played(position, self.clock.now_ms() - self._inbox.clock(page).here(at_ms))
                    case Played(position=position) | LocalPause(position):
                        self._forget_until(position)
                        yield arrival
                    case ListenBy(speaker, greets):
                        self._listen_by(speaker)
                        yield Audience(speaker is not None, greets)
                    case _:
                        yield arrival
            self._arrived.clear()
            if not self._arrivals and not self._closed:
                await self._arrived.wait()

    def _meet(self, clock: PageClock, met: Met, arrived_ms: float) -> None:
        clock.heard(met.sent_ms, arrived_ms)
        if met.told is not None:
            clock.told(*met.told)

    def _listen_by(self, speaker: Speaker | None) -> None:
        if speaker == self.speaker:
            return
        if self.speaker is not None:
            self.speaker.flush()
        self.speaker = speaker
        if speaker is None:
            self._unheard.clear()
            return
        for block in self._unheard:
            speaker.play(_rest_of(block, self._reached), OUTPUT_RATE)

    def _forget_until(self, position: int) -> None:
        while self._unheard and self._unheard[0].start + len(self._unheard[0].pcm) <= position:
            self._unheard.popleft()
        self._reached = position
        if self._unheard and self._unheard[0].speech is None:
            self._unheard[0] = _rest_of(self._unheard[0], position)

    async def play(self, block: Block) -> None:
        """Send sound to the page, which plays it after what it was sent before."""
        if self.speaker is not None:
            self._unheard.append(block)
            self.speaker.play(block, OUTPUT_RATE)

    async def pause(self) -> None:
        """Fall silent now, and keep the place."""
        if self.speaker is not None:
            self.speaker.pause()

    async def resume(self) -> None:
        """Go on with the sample after the last one heard."""
        if self.speaker is not None:
            self.speaker.resume()

    async def flush(self) -> None:
        """Forget what has not been heard."""
        self._unheard.clear()
        if self.speaker is not None:
            self.speaker.flush()

    async def aclose(self) -> None:
        """Fall silent for good."""
        await self.flush()
        self._closed = True
        self._arrived.set()


def _rest_of(block: Block, position: int) -> Block:
    """What of a block comes behind `position`; of a browser's speech from the word on that stands there."""
    passed = position - block.start
    if passed <= 0:
        return block
    speech = block.speech
    if speech is not None:
        place = len(speech.text) * passed // len(block.pcm)
        speech = replace(speech, text=speech.text[speech.text.rfind(" ", 0, place + 1) + 1 :])
    return Block(block.pcm[passed:], position, speech)
