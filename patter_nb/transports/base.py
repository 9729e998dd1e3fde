"""What carries sound and text between the person and a session: a wav file, a terminal, a browser, a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from patter_nb.audio.frames import AudioFormat, Block, Frame
from patter_nb.errors import PatterConfigError, PatterError

if TYPE_CHECKING:
    from patter_nb.agent import Agent
    from patter_nb.clock import Clock


@dataclass(frozen=True, slots=True)
class Typed:
    """A line the person typed."""

    text: str


@dataclass(frozen=True, slots=True)
class Played:
    """Playback has reached `position` on the output axis (samples before it were heard, unless they had been flushed).

    `ago_ms` is how long ago, when this is handed over, the sample there sounded (0: it does so now; below: it will). None: nobody knows.
    """

    position: int
    ago_ms: float | None = 0.0


@dataclass(frozen=True, slots=True)
class LocalPause:
    """The transport paused playback by itself at `position`, because it heard loud speech. The session confirms or denies."""

    position: int


@dataclass(frozen=True, slots=True)
class Muted:
    """The person switched the microphone off or on."""

    muted: bool


@dataclass(frozen=True, slots=True)
class Audience:
    """Whether somebody listens from now on: a transport may find or lose its loudspeaker in the middle of a session.

    `greets` False: they are about to say something themselves, and need no greeting.
    """

    listens: bool
    greets: bool = True


@dataclass(frozen=True, slots=True)
class HungUp:
    """The person wants to hear no more and to say no more; the microphone is closed. They may come back, or type."""


@dataclass(frozen=True, slots=True)
class Accept:
    """The person wants an offered turn answered after all."""

    turn: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something failed on the person's side, a microphone that was denied, say; the session goes on."""

    error: PatterError


TransportInput: TypeAlias = Frame | Typed | Played | LocalPause | Muted | Audience | HungUp | Accept | Trouble


def require_own_sound(agent: Agent, where: str) -> None:
    """Raise `PatterConfigError` for a voice that only a browser has; `where` there is none."""
    if agent.tts is not None and agent.tts.format is None:
        raise PatterConfigError(
            f"{type(agent.tts).__name__} speaks by a browser, and {where} has none.",
            hint="Take a voice that makes sound, for example tts=PiperTTS(), or serve the agent in a notebook without transport=.",
        )


@runtime_checkable
class Transport(Protocol):
    """Brings the person's sound and text in, takes the agent's sound out.

    `check` raises `PatterConfigError` for an agent that it cannot carry; it is asked before a session starts, and before each change.
    `check_waiting` raises one where nothing that the person does could arrive while it is awaited.
    `clock` is the clock of the whole session: a transport that runs slower or faster than the wall brings its own.
    `paced` False: the session asks for the next input only when nothing that it started is still under way, so that its time
    stands still while providers work. `inputs()` ends when the person is gone, and `exhausted` turns True when the person will say
    no more though silence goes on (a file has ended); the session then finishes its turn and stops.
    `awaited` True: the greeting waits for the first `Audience` that listens.
    `flush` forgets sound not yet played, and ends a pause. `pause` and `resume` keep it. `plays` is False for a transport without
    a loudspeaker.
    """

    clock: Clock
    output: AudioFormat
    paced: bool
    plays: bool
    awaited: bool

    @property
    def exhausted(self) -> bool: ...

    def check(self, agent: Agent) -> None: ...

    def check_waiting(self) -> None: ...

    def inputs(self) -> AsyncIterator[TransportInput]: ...

    async def play(self, block: Block) -> None: ...

    async def pause(self) -> None: ...

    async def resume(self) -> None: ...

    async def flush(self) -> None: ...

    async def aclose(self) -> None: ...
