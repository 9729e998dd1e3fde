"""What a session asks of an engine, a model that takes the person's sound and gives the agent's, and what it hears back.

An engine decides by itself when the person has finished and answers unasked; everything else is the session's, as with a pipeline: what
is played and heard, tools, interruption, history. So its events are few, and each belongs to one answer, named by the vendor's id.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from patter_nb.audio.frames import AudioFormat, Frame, Pcm
from patter_nb.errors import PatterError
from patter_nb.events import SpeechUsed
from patter_nb.llm.base import LLMChunk, Message

if TYPE_CHECKING:
    from patter_nb.agent import Agent

__all__ = [
    "AnswerBegan",
    "AnswerChunk",
    "AnswerEnded",
    "AnswerFailed",
    "AnswerSound",
    "Complaint",
    "Engine",
    "EngineEvent",
    "Heard",
    "VoiceBegan",
    "VoiceEnded",
]


@dataclass(frozen=True, slots=True)
class VoiceBegan:
    """The person began to speak, `at_ms` after the first frame pushed since `open`. The engine has given up the answer under way."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class VoiceEnded:
    """The person has finished, at `at_ms`; the engine will answer."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class Heard:
    """What the person said: so far, or for good. The words for good may come when the answer is long under way.

    `item` is the vendor's name for what was said, if it has one: it tells whose words these are when they come late, or never.
    `used` is what the vendor charges for writing them down, where it does so apart from the answer.
    """

    text: str
    is_final: bool
    item: str = ""
    used: SpeechUsed | None = None


@dataclass(frozen=True, slots=True)
class AnswerBegan:
    """An answer begins. `asked`: to what the session asked for last, in order; else to what the person said aloud, in `item`."""

    id: str
    asked: bool
    item: str = ""


@dataclass(frozen=True, slots=True)
class AnswerChunk:
    """More of answer `id`: words that are spoken (text), a tool call, or its usage."""

    id: str
    chunk: LLMChunk


@dataclass(frozen=True, slots=True)
class AnswerSound:
    """More of the sound of answer `id`: mono PCM16 in the engine's `output_format`."""

    id: str
    pcm: Pcm = field(repr=False)


@dataclass(frozen=True, slots=True)
class AnswerEnded:
    """Answer `id` is complete, or was cut off: `finish_reason` as with a language model."""

    id: str
    finish_reason: str = "stop"


@dataclass(frozen=True, slots=True)
class AnswerFailed:
    """Answer `id` will not be given, or no more of it; None: that to what the session asked for last, which has not begun."""

    id: str | None
    error: PatterError


@dataclass(frozen=True, slots=True)
class Complaint:
    """The vendor refuses something it was told, and goes on."""

    error: PatterError


EngineEvent: TypeAlias = VoiceBegan | VoiceEnded | Heard | AnswerBegan | AnswerChunk | AnswerSound | AnswerEnded | AnswerFailed | Complaint


@runtime_checkable
class Engine(Protocol):
    """Speech to speech, one instance for one live session at a time.

    `open` begins a conversation for the agent's prompt and tools, with what was said before. Frames are pushed as they are captured, 16 kHz
    whatever `input_format` is: the engine resamples. `send_text` and `send_tool_result` ask for an answer, `say` for one that is just
    this text; each is answered by one `AnswerBegan(asked=True)`, or `AnswerFailed(None)`, and none is sent before the answer under way
    has ended; but an engine whose attribute `asking_interrupts` is true takes the next for the end of one that is given up.
    With `answer=False` the results are only told. Results are those of calls that were made in this conversation; where the attribute
    `takes_over_calls` is true also of calls in the history that it was opened with. `cancel` gives the answer under way up; it ends all
    the same. `truncate` tells how much of the newest answer's sound was heard, so that the engine forgets the rest. `update` takes over
    another prompt or other tools.

    `events` is iterated once for each `open`. It ends where the conversation does: then, and when it raises `ConnectionFailed` after it
    has held for a while, the engine is opened again with what was said. Any other `PatterError` that it raises is the end of it.
    """

    @property
    def input_format(self) -> AudioFormat: ...

    @property
    def output_format(self) -> AudioFormat: ...

    async def open(self, agent: Agent, history: Sequence[Message]) -> None: ...

    async def push(self, frame: Frame) -> None: ...

    async def send_text(self, text: str) -> None: ...

    async def say(self, text: str) -> None: ...

    async def send_tool_result(self, results: Sequence[tuple[str, str]], *, answer: bool = True) -> None: ...

    async def update(self, agent: Agent) -> None: ...

    async def cancel(self) -> None: ...

    async def truncate(self, played_ms: float) -> None: ...

    def events(self) -> AsyncIterator[EngineEvent]: ...

    async def aclose(self) -> None: ...
