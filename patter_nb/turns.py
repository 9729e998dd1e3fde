"""Turns as a person thinks of them: a fold over the log, kept up to date event by event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from json import loads
from typing import Any, Literal, overload

from patter_nb.errors import PatterError
from patter_nb.events import (
    AudioSent,
    Event,
    LLMChunked,
    LLMRequested,
    PlaybackEnded,
    PlaybackStarted,
    SentenceChecked,
    SentenceReady,
    SessionStarted,
    SpeechStopped,
    StageFailed,
    ToolCalled,
    ToolEnded,
    TranscriptFinal,
    TurnAccepted,
    TurnEnded,
    TurnHeard,
    TurnOffered,
    TurnStarted,
    TurnStatus,
)
from patter_nb.llm.base import ChunkType, LLMChunk, Message


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool: `arguments` as the model gave them, `result` as the tool answered (text), or `error`."""

    id: str
    name: str
    arguments: Mapping[str, Any] | str
    result: str | None = None
    error: str | None = None
    status: Literal["running", "completed", "failed", "cancelled"] = "running"
    duration_ms: float | None = None

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)


@dataclass(slots=True)
class LLMRequest:
    """One request to a language model: `messages` are those of the turn, after `carried` ones of prompt and history.

    `chunks` is what has come back so far; it is kept up to date like the turn.
    """

    round: int
    provider: str
    model: str | None
    costs: bool
    carried: int
    messages: tuple[Message, ...]
    chunks: list[LLMChunk] = field(default_factory=list, repr=False)

    @property
    def usage(self) -> LLMChunk | None:
        """The chunk that counts its tokens, once it has come."""
        return self._last("usage")

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended, once it has."""
        done = self._last("done")
        return done.finish_reason if done is not None else None

    def _last(self, kind: ChunkType) -> LLMChunk | None:
        return next((chunk for chunk in reversed(self.chunks) if chunk.type == kind), None)


@dataclass(slots=True)
class Turn:
    """One turn of the conversation. It is kept up to date by its session; nobody else changes it.

    `agent_text` is what the agent says, after guardrails; `heard_text` what the person really heard of it, settled when
    playback has ended. `usage` sums the tokens of all requests; `cost` is in USD, None when a price is unknown. `latency`
    holds milliseconds: "endpointing", "stt", "llm_first_token", "tools", "tts_first_audio", "response" (from the person's last
    voice to the agent's first audible sample), each only where it was measured.
    """

    id: int
    source: str = "typed"
    user_text: str = ""
    agent_text: str = ""
    heard_text: str = ""
    heard_ms: float | None = None
    """How long the agent's voice was heard, None where nothing sounded."""
    tool_calls: list[ToolCall] = field(default_factory=list)
    requests: list[LLMRequest] = field(default_factory=list)
    latency: dict[str, float] = field(default_factory=dict)
    status: TurnStatus = "running"
    error: PatterError | None = None
    _pieces: dict[int, str] = field(default_factory=dict, repr=False)
    _fillers: set[int] = field(default_factory=set, repr=False)

    @property
    def provider(self) -> str | None:
        """Who answered."""
        return self.requests[-1].provider if self.requests else None

    @property
    def model(self) -> str | None:
        """The model that answered."""
        return self.requests[-1].model if self.requests else None

    @property
    def chunks(self) -> list[LLMChunk]:
        """Every chunk of every request, in order."""
        return [chunk for request in self.requests for chunk in request.chunks]

    @property
    def usage(self) -> dict[str, int]:
        """Tokens of all requests of the turn: input, output, and what else was told."""
        total: dict[str, int] = {}
        for request in self.requests:
            for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"):
                count = getattr(request.usage, name) if request.usage else None
                if count is not None:
                    total[name] = total.get(name, 0) + count
        return total

    @property
    def cost(self) -> Decimal | None:
        """USD: zero for what runs here, None where the price is not known."""
        return Decimal(0) if not any(request.costs for request in self.requests) else None

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)


class Turns(Sequence[Turn]):
    """All turns of a session, in order, folded from its log."""

    def __init__(self) -> None:
        self._turns: dict[int, Turn] = {}
        self._voice: dict[str, float] = {}
        self._marks: dict[str, float] = {}
        self._rate: int | None = None
        self._sounds_from = 0

    def fold(self, event: Event) -> None:
        """Take in one more event."""
        body, now = event.body, event.wall_s
        if isinstance(body, SessionStarted):
            self._rate = body.sample_rate
            return
        if isinstance(body, SpeechStopped):
            self._voice = {"last_voice": now - body.silence_ms / 1000}
            return
        if isinstance(body, TranscriptFinal):
            self._voice["words"] = now
            return
        if event.turn is None:
            return
        if isinstance(body, TurnStarted):
            turn = self._turns[event.turn] = Turn(event.turn, body.source, body.text)
            self._marks = {"turn": now, **(self._voice if body.source == "speech" else {})}
            _measure(turn, "endpointing", self._marks, "last_voice", now)
            if "words" in self._marks:
                _measure(turn, "stt", self._marks, "last_voice", self._marks["words"])
            return
        turn = self._turns[event.turn]
        if isinstance(body, (LLMRequested, LLMChunked, ToolCalled, ToolEnded)):
            self._fold_model(turn, body, now)
        else:
            self._fold_speech(turn, body, now)

    def _fold_model(self, turn: Turn, body: LLMRequested | LLMChunked | ToolCalled | ToolEnded, now: float) -> None:
        match body:
            case LLMRequested():
                turn.requests.append(LLMRequest(body.round, body.provider, body.model, body.costs, body.carried, body.messages))
                self._marks[f"asked {body.round}"] = now
            case LLMChunked(round, chunk):
                self._fold_chunk(turn, round, chunk, now)
            case ToolCalled(id, name, arguments):
                self._marks[f"called {id}"] = now
                if not any(call.status == "running" for call in turn.tool_calls):
                    self._marks["tools"] = now
                turn.tool_calls.append(ToolCall(id, name, parsed_arguments(arguments)))
            case ToolEnded():
                self._end_tool(turn, body, now)

    def _fold_chunk(self, turn: Turn, round: int, chunk: LLMChunk, now: float) -> None:
        turn.requests[-1].chunks.append(chunk)
        if chunk.type in ("text", "reasoning", "tool_call") and "llm_first_token" not in turn.latency:
            _measure(turn, "llm_first_token", self._marks, f"asked {round}", now)

    def _end_tool(self, turn: Turn, body: ToolEnded, now: float) -> None:
        took = (now - self._marks.get(f"called {body.id}", now)) * 1000
        for place, call in enumerate(turn.tool_calls):
            if call.id == body.id and call.status == "running":
                result = body.content if body.status == "completed" else None
                turn.tool_calls[place] = replace(call, result=result, error=body.error, status=body.status, duration_ms=round(took, 1))
        if not any(call.status == "running" for call in turn.tool_calls) and "tools" in self._marks:
            turn.latency["tools"] = round(turn.latency.get("tools", 0.0) + (now - self._marks["tools"]) * 1000, 1)

    def _fold_speech(self, turn: Turn, body: object, now: float) -> None:
        match body:
            case SentenceReady(index, kind="filler"):
                turn._fillers.add(index)
            case SentenceChecked(index, text):
                self._set_piece(turn, index, text)
            case AudioSent() | PlaybackStarted() | PlaybackEnded():
                self._fold_sound(turn, body, now)
            case StageFailed(error=error):
                turn.error = error
            case TurnOffered():
                turn.status = "offered"
            case TurnAccepted():
                turn.status = "running"
                self._marks = {"turn": now}
            case TurnEnded(status):
                turn.status = status
            case TurnHeard(text, interrupted):
                turn.heard_text = text
                if interrupted and turn.status == "completed":
                    turn.status = "interrupted"

    def _fold_sound(self, turn: Turn, body: AudioSent | PlaybackStarted | PlaybackEnded, now: float) -> None:
        match body:
            case AudioSent() if "tts_first_audio" not in turn.latency:
                _measure(turn, "tts_first_audio", self._marks, "turn", now)
            case PlaybackStarted(position):
                self._sounds_from = position
                if "response" not in turn.latency:
                    _measure(turn, "response", self._marks, "last_voice", now)
            case PlaybackEnded(position) if self._rate is not None:
                turn.heard_ms = (turn.heard_ms or 0.0) + (position - self._sounds_from) * 1000 / self._rate

    def _set_piece(self, turn: Turn, index: int, text: str) -> None:
        turn._pieces[index] = text
        turn.agent_text = "".join(text for at, text in sorted(turn._pieces.items()) if at not in turn._fillers).strip()

    @overload
    def __getitem__(self, index: int) -> Turn: ...
    @overload
    def __getitem__(self, index: slice) -> list[Turn]: ...
    def __getitem__(self, index: int | slice) -> Turn | list[Turn]:
        return list(self._turns.values())[index]

    def __iter__(self) -> Iterator[Turn]:
        return iter(tuple(self._turns.values()))

    def __len__(self) -> int:
        return len(self._turns)

    def by_id(self, id: int) -> Turn:
        """The turn numbered `id` (from 1)."""
        return self._turns[id]

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)


def _measure(turn: Turn, name: str, marks: Mapping[str, float], since: str, now: float) -> None:
    if since in marks:
        turn.latency[name] = round((now - marks[since]) * 1000, 1)


def parsed_arguments(arguments: str) -> Mapping[str, Any] | str:
    """Arguments as an object where they are one, else the text that the model wrote."""
    try:
        value = loads(arguments.strip() or "{}")
    except (ValueError, RecursionError):  # no JSON, a number of too many digits, or nested too deep
        return arguments
    return value if isinstance(value, dict) else arguments
