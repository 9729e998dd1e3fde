"""What a language model, an engine, ears and voice are asked and answer, and the tools that are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from patter_nb.events.body import Body, ToolStatus
from patter_nb.llm.base import LLMChunk, Message


@dataclass(frozen=True, slots=True)
class LLMRequested(Body):
    """The language model was asked: `messages` of this turn, after `carried` messages of system prompt and history.

    `stage` tells whether it is a model or an engine; `piece` that an engine is only to say this piece of the answer. `characters`
    counts those of all messages.
    """

    type: ClassVar[str] = "llm_requested"
    round: int
    provider: str
    model: str | None
    costs: bool
    tools: tuple[str, ...]
    carried: int
    messages: tuple[Message, ...]
    stage: Literal["llm", "engine"] = "llm"
    piece: int | None = None
    characters: int = 0


@dataclass(frozen=True, slots=True)
class LLMChunked(Body):
    """One chunk of the language model's answer. An engine's usage may come when its turn is over; of a `piece` it is all that is kept."""

    type: ClassVar[str] = "llm_chunk"
    round: int
    chunk: LLMChunk
    piece: int | None = None


@dataclass(frozen=True, slots=True)
class RequestSent(Body):
    """A request went out to a model's vendor; with stage "engine" a conversation with one was opened, where the engine's requests go.

    number      of the attempt in `Log.attempts`, which hold what was sent and answered
    attempt     counts from 1, and rises where the vendor is asked again
    url         without keys; None where the vendor's own client sent it
    size        bytes on the wire, None where that is not known
    plain_size  of the same body as plain JSON
    """

    type: ClassVar[str] = "request_sent"
    number: int
    stage: Literal["llm", "engine"]
    round: int
    provider: str
    model: str | None
    attempt: int
    url: str | None
    size: int | None
    plain_size: int


@dataclass(frozen=True, slots=True)
class RequestAnswered(Body):
    """Request `number` is over: `status` is HTTP's, None where none came or the vendor's own client does not tell; `size` is in bytes.

    Times count from sending, to the first byte of the answer and to its end, or until nobody wanted it any more.
    """

    type: ClassVar[str] = "request_answered"
    number: int
    status: int | None
    request_id: str | None
    first_byte_ms: float | None
    total_ms: float | None
    size: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SpeechUsed(Body):
    """What was sent to speech to text, or to a voice, as vendors count it, whatever became of it; a field is None where it does not apply.

    stage        "stt", "tts", or "engine" for an answer of an engine that nobody had wanted
    costs        whether its provider charges for it
    seconds      of sound: sent to speech to text, made by a voice
    characters   that a voice was given to speak
    tokens       the vendor's own counts, where it tells any
    tariff       what prices go by, where that is not the model's name

    What was heard comes before its turn has begun: then it is of the turn in which it was said, or of none.
    """

    type: ClassVar[str] = "speech_used"
    stage: Literal["stt", "tts", "engine"]
    provider: str
    model: str | None
    costs: bool
    seconds: float | None = None
    characters: int | None = None
    tokens: tuple[LLMChunk, ...] = ()
    tariff: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCalled(Body):
    """A complete tool call, about to run (`arguments` as the model wrote them)."""

    type: ClassVar[str] = "tool_called"
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolEnded(Body):
    """A tool call ended: completed with `result`, failed or cancelled with `error`. `content` is what the model reads."""

    type: ClassVar[str] = "tool_ended"
    id: str
    name: str
    status: ToolStatus
    content: str
    error: str | None = None
