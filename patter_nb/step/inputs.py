"""What may happen to a session: everything that `step` reacts to, numbered by the order of arrival.

Inputs that answer an effect carry the epoch of that effect, so that an answer to a question no longer asked is known as such.
The transport's own inputs (`Typed`, `Played` and the like) and the STT's `Transcript` are inputs as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from patter_nb.agent import Agent
from patter_nb.audio.frames import BrowserSpeech, Pcm
from patter_nb.errors import PatterError
from patter_nb.events import (
    Breakpoint,
    GuardrailHit,
    LLMChunked,
    LLMRequested,
    RequestAnswered,
    RequestSent,
    SpeechUsed,
    Stage,
    ToolStatus,
)
from patter_nb.llm.base import LLMChunk, Message
from patter_nb.stt.base import Transcript
from patter_nb.transports.base import Accept, Audience, HungUp, LocalPause, Muted, Played, Typed


@dataclass(frozen=True, slots=True)
class Start:
    """The session goes live, with what the transport can do; `awaited`: nobody is there yet to be greeted; `paced`: in real time."""

    sample_rate: int
    plays: bool
    awaited: bool = False
    paced: bool = True


@dataclass(frozen=True, slots=True)
class FrameHeard:
    """Frame `number` of the person's sound and the probability that it is voice."""

    number: int
    probability: float
    late_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Say:
    """The agent shall speak this by itself, when it is free."""

    text: str


@dataclass(frozen=True, slots=True)
class Judged:
    """The probability that the person, silent since sample `last`, has finished; None: the detector cannot tell."""

    last: int
    probability: float | None


@dataclass(frozen=True, slots=True)
class WordsChecked:
    """The person's words after hooks and input guardrails: `text` None is a veto, `hit` a replacement, else ask with `messages`."""

    epoch: int
    text: str | None
    messages: tuple[Message, ...] = ()
    hit: GuardrailHit | None = None


@dataclass(frozen=True, slots=True)
class ChunkArrived:
    """One chunk of the model's answer to request `round`."""

    epoch: int
    round: int
    chunk: LLMChunk


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The model's answer to request `round` is complete."""

    epoch: int
    round: int


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool call of `turn` ended; `content` is what the model reads."""

    turn: int
    id: str
    status: ToolStatus
    content: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class PieceChecked:
    """A piece of the answer after guardrails and hooks; empty text is not spoken."""

    epoch: int
    index: int
    text: str
    hit: GuardrailHit | None = None


@dataclass(frozen=True, slots=True)
class AudioMade:
    """Sound of a piece, at the transport's output rate; with `speech` silence of about that length, which the browser speaks into."""

    epoch: int
    index: int
    pcm: Pcm = field(repr=False)
    speech: BrowserSpeech | None = None


@dataclass(frozen=True, slots=True)
class PieceSpoken:
    """All sound of a piece was made (none, where the agent has no voice)."""

    epoch: int
    index: int


@dataclass(frozen=True, slots=True)
class EngineVoice:
    """The engine noticed that the person began to speak, or has finished, at `sample` of the person's sound, `silence_ms` ago."""

    began: bool
    sample: int
    silence_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class EngineWords:
    """What the engine heard the person say, so far or for good; `item` is its name for it, if it has one."""

    text: str
    is_final: bool
    item: str = ""


@dataclass(frozen=True, slots=True)
class EngineAnswers:
    """The engine begins to answer what it heard (`item`), by itself; `id` names the answer."""

    id: str
    item: str = ""


@dataclass(frozen=True, slots=True)
class EngineGone:
    """The engine has ended for good: it hears nothing, and what it owes will not come."""

    error: PatterError


@dataclass(frozen=True, slots=True)
class EngineSound:
    """Sound of the engine's answer to request `round`, at the transport's output rate."""

    epoch: int
    round: int
    pcm: Pcm = field(repr=False)


@dataclass(frozen=True, slots=True)
class EngineBlocked:
    """A guardrail blocks what the engine says."""

    epoch: int
    hit: GuardrailHit


@dataclass(frozen=True, slots=True)
class Swap:
    """Go on as `agent`: from the next turn, or now, in the middle of the answer."""

    agent: Agent
    when: Literal["turn", "now"] = "turn"


@dataclass(frozen=True, slots=True)
class PauseAt:
    """Stop at these breakpoints from now on."""

    points: tuple[Breakpoint, ...]


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on from the breakpoint, with these edits (see `breakpoints.EDITS`; "arguments" and "result" are the texts that are written)."""

    edits: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """A stage failed. `epoch` None: outside any answer."""

    epoch: int | None
    stage: Stage
    error: PatterError


@dataclass(frozen=True, slots=True)
class Booked:
    """What was asked of a vendor or used there, as it is to be logged. It is paid for, so it is never too late.

    `turn` None: of the running one, if any.
    """

    body: SpeechUsed | LLMRequested | LLMChunked | RequestSent | RequestAnswered
    turn: int | None = None


@dataclass(frozen=True, slots=True)
class HeldUp:
    """The session's loop was kept for `ms` by something else, until now."""

    ms: float


@dataclass(frozen=True, slots=True)
class Due:
    """The session's earliest timer fell due."""

    due_ms: float


@dataclass(frozen=True, slots=True)
class Stop:
    """End the session."""

    reason: str


Input: TypeAlias = (
    Start
    | FrameHeard
    | Transcript
    | Typed
    | Say
    | Accept
    | Muted
    | Audience
    | HungUp
    | Played
    | LocalPause
    | Judged
    | WordsChecked
    | ChunkArrived
    | StreamEnded
    | ToolFinished
    | PieceChecked
    | AudioMade
    | PieceSpoken
    | EngineVoice
    | EngineWords
    | EngineAnswers
    | EngineGone
    | EngineSound
    | EngineBlocked
    | Swap
    | PauseAt
    | Resume
    | Failure
    | Booked
    | HeldUp
    | Due
    | Stop
)
