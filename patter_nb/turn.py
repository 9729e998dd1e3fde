"""One turn of a conversation as a person thinks of it, with the requests and the tool calls in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from json import loads
from typing import TYPE_CHECKING, Any, Literal
from weakref import ref

from patter_nb.charges import Charge, costs_by_stage, total
from patter_nb.course import Course
from patter_nb.errors import PatterConfigError, PatterError
from patter_nb.events import BreakpointHit, SpeechUsed, TurnStatus
from patter_nb.llm.base import CHARS_A_TOKEN, ChunkType, LLMChunk, Message
from patter_nb.llm.wire.attempt import Answered, Attempt, Sent
from patter_nb.pricing import Prices
from patter_nb.reading import reading
from patter_nb.stt.base import Word
from patter_nb.waterfall import Waterfall, waterfall_of

if TYPE_CHECKING:
    from patter_nb.log import Log
    from patter_nb.timeline import Moment

TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
"""What a language model counts."""

LATENCIES = ("response", "endpointing", "stt", "llm_first_token", "tools", "tts_first_audio", "filler", "playback")
"""What may be in `Turn.latency`."""

RUNS_HERE = frozenset(("local", "scripted"))
"""Providers that are free also where one that costs might have answered in their place."""


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


@dataclass(slots=True, repr=False)
class LLMRequest:
    """One request to a language model: `messages` are those of the turn, after `carried` ones of prompt and history.

    `stage` is "engine" where an engine was asked, `piece` the piece of the answer that it was only to say.
    `chunks` is what has come back so far; it is kept up to date like the turn. `sent` and `answered` are what went over the wire,
    in the vendor's own words and without keys; each of `attempts` has both, where the vendor was asked again, or another after it.
    """

    round: int
    provider: str
    model: str | None
    costs: bool
    carried: int
    messages: tuple[Message, ...]
    stage: Literal["llm", "engine"] = "llm"
    piece: int | None = None
    characters: int = 0
    """Of all messages, carried ones too."""
    turn: int | None = None
    """The number of its turn."""
    chunks: list[LLMChunk] = field(default_factory=list)
    prices: Prices = field(default_factory=Prices, compare=False)
    attempts: list[Attempt] = field(default_factory=list, compare=False)
    """What went over the wire, newest last; empty for what runs here. An engine's requests share the conversation's one."""
    first_chunk_ms: float | None = field(default=None, compare=False)
    """From asking to the first thing that came."""
    total_ms: float | None = field(default=None, compare=False)
    """From asking to the answer's end."""
    _asked_s: float | None = field(default=None, compare=False)
    _priced: tuple[LLMChunk, Decimal | None] | None = field(default=None, compare=False)
    """The price of this usage: it does not change, and looking it up takes a tenth of a millisecond."""

    def __repr__(self) -> str:
        came = f"{len(self.chunks)} chunks, {self.finish_reason or 'not finished'}"
        return f"<LLMRequest of turn {self.turn}, round {self.round}: {' '.join(filter(None, self.answered_by))}, {came}>"

    def _take(self, chunk: LLMChunk, now_s: float) -> None:
        """One more chunk has come."""
        self.chunks.append(chunk)
        if self._asked_s is not None and chunk.type != "usage":
            since_ms = round((now_s - self._asked_s) * 1000, 1)
            if chunk.type == "done":
                self.total_ms = since_ms
            elif self.first_chunk_ms is None:
                self.first_chunk_ms = since_ms

    @reading
    def sent(self) -> Sent | None:
        """What the vendor was sent in the end: address, headers and its own JSON (`sent.body`); None where nothing went over a wire."""
        return self.attempts[-1].sent if self.attempts else None

    @reading
    def answered(self) -> Answered | None:
        """What the vendor answered in the end: status, headers, and its events as they came (`answered.events`); None for no answer."""
        return self.attempts[-1].answered if self.attempts else None

    @property
    def cached(self) -> float | None:
        """The share of the tokens that the model read which came from the vendor's cache, 0 to 1; None where that was not told."""
        usage = self.usage
        if usage is None or usage.cache_read_tokens is None or usage.estimated:
            return None
        read = usage.cache_read_tokens + (usage.input_tokens or 0) + (usage.cache_write_tokens or 0)
        return usage.cache_read_tokens / read if read else None

    @property
    def answered_by(self) -> tuple[str, str | None]:
        """Provider and model of who answered, which where several may is told with the usage."""
        usage = self.usage
        return (self.provider, self.model) if usage is None or usage.provider is None else (usage.provider, usage.model)

    @property
    def is_refused(self) -> bool:
        """Whether each attempt was answered by an error of HTTP (400 and above) before anything came, which no vendor charges for."""
        told = [attempt.answered for attempt in self.attempts]
        refused = bool(told) and all(answer is not None and answer.status is not None and answer.status >= 400 for answer in told)
        return refused and not self.chunks

    @property
    def cost(self) -> Decimal | None:
        """USD: zero for what runs here or was refused, None where the price, or what was used, is not known."""
        usage = self.usage
        counted = usage is not None and (usage.input_tokens is not None or usage.output_tokens is not None)
        if usage is not None and counted and self.prices.has_own(*self.answered_by):
            return self._price(usage)
        if not self.costs or self.is_refused or (usage is not None and usage.provider in RUNS_HERE):
            return Decimal(0)
        return self._price(usage) if usage is not None and counted else None

    def _price(self, usage: LLMChunk) -> Decimal | None:
        if self._priced is None or self._priced[0] is not usage:
            self._priced = (usage, self.prices.cost(usage, *self.answered_by))
        return self._priced[1]

    @property
    def charge(self) -> Charge:
        """What it costs, and whose it is."""
        return Charge(self.stage, *self.answered_by, self.cost)

    @reading
    def usage(self) -> LLMChunk | None:
        """The chunk that counts its tokens, once it has come."""
        return self._last("usage")

    def count_untold(self) -> None:
        """The stream was cut off: unless it told its tokens already, estimate them, as a `usage` chunk that says so."""
        if self.usage is None and not self.is_refused:
            written = sum(len(chunk.content or "") + len(chunk.arguments or "") for chunk in self.chunks)
            read, wrote = (max(1, characters // CHARS_A_TOKEN) for characters in (self.characters, written))
            self.chunks.append(LLMChunk("usage", input_tokens=read, output_tokens=wrote, estimated=True))

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended, once it has."""
        done = self._last("done")
        return done.finish_reason if done is not None else None

    def _last(self, kind: ChunkType) -> LLMChunk | None:
        return next((chunk for chunk in reversed(self.chunks) if chunk.type == kind), None)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)


@dataclass(slots=True, repr=False)
class Turn:
    """One turn of the conversation. It is kept up to date by its session; nobody else changes it.

    `agent_text` is what the agent says, after guardrails; `heard_text` what the person really heard of it, settled when
    playback has ended. `usage` is what was used, `costs` what each stage costs in USD, None where a price is unknown; `cost` is all of
    it, None where one of them is. What is used is known a moment after it was: by the end of a turn, or soon after an interruption.
    `error` is the failure that ended the turn. `latency` holds milliseconds, each only where it was measured:

        response          from the person's last voice to the agent's first audible sample
        endpointing       from the last voice until the turn was complete; "stt", until its words stood, lies within it
        llm_first_token   from the first request to the first thing the model sent
        tools             while tools ran, until the answer's first piece or any sound
        tts_first_audio   from the answer's first piece that sounds to its first sound
        filler            from the turn's start to the filler's first sound, where that came before the answer's
        playback          from the first sound handed over to the first one heard

    Where sound runs faster than real time, as of `WavTransport(paced=False)`, response, endpointing and stt are not measured.
    They do not overlap: of a response without filler they leave what the model took for its first sentence and for other rounds.
    """

    id: int
    source: str = "typed"
    user_text: str = ""
    agent_text: str = ""
    heard_text: str = ""
    heard_ms: float | None = None
    """How long the agent's voice was heard, None where nothing sounded."""
    words: tuple[Word, ...] = ()
    """What the person said, word by word, in ms of `session.audio.heard`; empty where speech-to-text does not say where words were."""
    tool_calls: list[ToolCall] = field(default_factory=list)
    requests: list[LLMRequest] = field(default_factory=list)
    speech: list[tuple[SpeechUsed, Charge]] = field(default_factory=list)
    """What was sent to ears and voice, each with what it costs."""
    latency: dict[str, float] = field(default_factory=dict)
    status: TurnStatus = "running"
    error: PatterError | None = None
    thrown_away: list[LLMRequest] = field(default_factory=list)
    """Requests of answers that were begun early (`TurnTaking(preemptive=True)`) and dropped, because the person went on."""
    _pieces: dict[int, str] = field(default_factory=dict, repr=False)
    _fillers: set[int] = field(default_factory=set, repr=False)
    _marks: dict[str, float] = field(default_factory=dict, repr=False)
    _course: Course = field(default_factory=Course, repr=False)
    _settled: bool = field(default=False, repr=False)
    _stopped: BreakpointHit | None = field(default=None, repr=False)
    _log: ref[Log] | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        said = f"{self.user_text!r:.60} -> " if self.user_text else ""
        failed = f", {type(self.error).__name__}: {self.error}" if self.error is not None else ""
        return f"<Turn {self.id} {self.status}: {said}{self.agent_text!r:.80}{failed}>"

    @property
    def is_settled(self) -> bool:
        """Whether it is known how much of it was heard."""
        return self._settled

    @property
    def waterfall(self) -> Waterfall:
        """Where the time went from the person's last word to the first sound they heard, part by part; as far as the turn has come."""
        return waterfall_of(self._course, self.requests, self.status)

    def at(self, ms: float) -> Moment:
        """What was known `ms` after the turn began: when the person began to speak for it, or, where they did not, with the turn itself.

        >>> session.turns[-1].at(412).heard_text  # doctest: +SKIP
        'It is sunny'

        Raises `PatterConfigError` for a moment outside the turn, and where its session is gone.
        """
        from patter_nb.timeline.moment import moment_of_turn

        log = self._log() if self._log is not None else None
        if log is None:
            hint = "Keep the session, and ask its turn: session.turns[0].at(412)."
            raise PatterConfigError(f"Turn {self.id} has no log: its session is gone, or it never had one.", hint=hint)
        return moment_of_turn(log, self.id, ms)

    @property
    def provider(self) -> str | None:
        """Who answered; the last of them, where `use(when="now")` let another go on. Each of `requests` has its own."""
        return self.requests[-1].answered_by[0] if self.requests else None

    @property
    def model(self) -> str | None:
        """The model that answered; the last of them, as with `provider`."""
        return self.requests[-1].answered_by[1] if self.requests else None

    @reading
    def chunks(self) -> list[LLMChunk]:
        """Every chunk of every request, in order."""
        return [chunk for request in self.requests for chunk in request.chunks]

    @reading
    def usage(self) -> dict[str, int | float]:
        """Tokens of all requests of the turn: input, output, and what else was told; where they were used, the seconds of sound that were
        sent to speech to text, stt_seconds, and the characters that were sent to the voice, tts_characters.
        """
        total: dict[str, int | float] = dict(_tokens_of(self.requests))
        for used, _ in self.speech:
            if used.stage == "stt" and used.seconds is not None:
                total["stt_seconds"] = round(total.get("stt_seconds", 0.0) + used.seconds, 3)
            if used.characters is not None:
                total["tts_characters"] = total.get("tts_characters", 0) + used.characters
        return total

    @reading
    def wasted(self) -> dict[str, int]:
        """Tokens of the requests that were thrown away, which `usage` is without and `cost` is not. Where a stream was cut off before it
        told them, they are estimated.
        """
        return _tokens_of(self.thrown_away)

    @property
    def charges(self) -> list[Charge]:
        """Each use of a provider."""
        return [*(charge for _, charge in self.speech), *(request.charge for request in (*self.requests, *self.thrown_away))]

    @reading
    def costs(self) -> dict[str, Decimal | None]:
        """USD of each stage that was used: "stt", "llm" or "engine", "tts"; zero for what runs here, None where a price is not known."""
        return costs_by_stage(self.charges)

    @property
    def cost(self) -> Decimal | None:
        """USD of all stages: zero for what runs here, None where the price of one is not known; `costs` tells of which."""
        return total(charge.cost for charge in self.charges)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)


def _tokens_of(requests: Iterable[LLMRequest]) -> dict[str, int]:
    total: dict[str, int] = {}
    for request in requests:
        for name in TOKENS:
            count = getattr(request.usage, name) if request.usage else None
            if count is not None:
                total[name] = total.get(name, 0) + count
    return total


def parsed_arguments(arguments: str) -> Mapping[str, Any] | str:
    """Arguments as an object where they are one, else the text that the model wrote."""
    try:
        value = loads(arguments.strip() or "{}")
    except (ValueError, RecursionError):  # no JSON, a number of too many digits, or nested too deep
        return arguments
    return value if isinstance(value, dict) else arguments
