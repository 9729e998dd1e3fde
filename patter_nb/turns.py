"""Turns as a person thinks of them: a fold over the log, kept up to date event by event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from json import loads
from typing import Any, Literal, overload

from patter_nb.errors import PatterError
from patter_nb.events import (
    AudioSent,
    Body,
    Event,
    LLMChunked,
    LLMRequested,
    PlaybackEnded,
    PlaybackStarted,
    PreemptiveDropped,
    PreemptiveStarted,
    SentenceChecked,
    SentenceReady,
    SessionStarted,
    SpeechStarted,
    SpeechStopped,
    SpeechUsed,
    ToolCalled,
    ToolEnded,
    TranscriptFinal,
    TurnAccepted,
    TurnEnded,
    TurnHeard,
    TurnOffered,
    TurnStarted,
    TurnStatus,
    TurnWords,
    UtteranceDropped,
)
from patter_nb.llm.base import CHARS_A_TOKEN, ChunkType, LLMChunk, Message
from patter_nb.pricing import Prices
from patter_nb.stt.base import Word

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


@dataclass(frozen=True, slots=True)
class Charge:
    """What one use of a provider costs: USD, zero for what runs here, None where its price, or how much was used, is not known.

    `stage` is "stt", "llm", "engine" or "tts".
    """

    stage: str
    provider: str
    model: str | None
    cost: Decimal | None


@dataclass(slots=True)
class LLMRequest:
    """One request to a language model: `messages` are those of the turn, after `carried` ones of prompt and history.

    `stage` is "engine" where an engine was asked, `piece` the piece of the answer that it was only to say.
    `chunks` is what has come back so far; it is kept up to date like the turn.
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
    chunks: list[LLMChunk] = field(default_factory=list, repr=False)
    prices: Prices = field(default_factory=Prices, repr=False, compare=False)

    @property
    def answered_by(self) -> tuple[str, str | None]:
        """Provider and model of who answered, which where several may is told with the usage."""
        usage = self.usage
        return (self.provider, self.model) if usage is None or usage.provider is None else (usage.provider, usage.model)

    @property
    def cost(self) -> Decimal | None:
        """USD: zero for what runs here, None where the price, or what was used, is not known."""
        usage = self.usage
        counted = usage is not None and (usage.input_tokens is not None or usage.output_tokens is not None)
        if usage is not None and counted and self.prices.has_own(*self.answered_by):
            return self.prices.cost(usage, *self.answered_by)
        if not self.costs or (usage is not None and usage.provider in RUNS_HERE):
            return Decimal(0)
        return self.prices.cost(usage, *self.answered_by) if usage is not None and counted else None

    @property
    def charge(self) -> Charge:
        """What it costs, and whose it is."""
        return Charge(self.stage, *self.answered_by, self.cost)

    @property
    def usage(self) -> LLMChunk | None:
        """The chunk that counts its tokens, once it has come."""
        return self._last("usage")

    def count_untold(self) -> None:
        """The stream was cut off: unless it told its tokens already, estimate them, as a `usage` chunk that says so."""
        if self.usage is None:
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


STAGES = ("stt", "llm", "engine", "tts")
"""What is charged for, in the order of a turn."""


def costs_by_stage(charges: Iterable[Charge]) -> dict[str, Decimal | None]:
    """The sum for each stage that was used, None where one of its charges is not known."""
    by_stage: dict[str, list[Decimal | None]] = {}
    for charge in charges:
        by_stage.setdefault(charge.stage, []).append(charge.cost)
    return {stage: _sum(by_stage[stage]) for stage in STAGES if stage in by_stage}


def _sum(costs: Iterable[Decimal | None]) -> Decimal | None:
    known = list(costs)
    return None if None in known else sum(filter(None, known), Decimal(0))


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
    _settled: bool = field(default=False, repr=False)

    def __repr__(self) -> str:
        said = f"{self.user_text!r:.60} -> " if self.user_text else ""
        failed = f", {type(self.error).__name__}: {self.error}" if self.error is not None else ""
        return f"<Turn {self.id} {self.status}: {said}{self.agent_text!r:.80}{failed}>"

    @property
    def is_settled(self) -> bool:
        """Whether it is known how much of it was heard."""
        return self._settled

    @property
    def provider(self) -> str | None:
        """Who answered; the last of them, where `use(when="now")` let another go on. Each of `requests` has its own."""
        return self.requests[-1].answered_by[0] if self.requests else None

    @property
    def model(self) -> str | None:
        """The model that answered; the last of them, as with `provider`."""
        return self.requests[-1].answered_by[1] if self.requests else None

    @property
    def chunks(self) -> list[LLMChunk]:
        """Every chunk of every request, in order."""
        return [chunk for request in self.requests for chunk in request.chunks]

    @property
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

    @property
    def wasted(self) -> dict[str, int]:
        """Tokens of the requests that were thrown away, which `usage` is without and `cost` is not. Where a stream was cut off before it
        told them, they are estimated.
        """
        return _tokens_of(self.thrown_away)

    @property
    def charges(self) -> list[Charge]:
        """Each use of a provider."""
        return [*(charge for _, charge in self.speech), *(request.charge for request in (*self.requests, *self.thrown_away))]

    @property
    def costs(self) -> dict[str, Decimal | None]:
        """USD of each stage that was used: "stt", "llm" or "engine", "tts"; zero for what runs here, None where a price is not known."""
        return costs_by_stage(self.charges)

    @property
    def cost(self) -> Decimal | None:
        """USD of all stages: zero for what runs here, None where the price of one is not known; `costs` tells of which."""
        return _sum(charge.cost for charge in self.charges)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)


class Turns(Sequence[Turn]):
    """All turns of a session, in order, folded from its log. `prices` are what is paid.

    What was heard belongs to the turn that it began; what came to nothing to the turn in which it was said, or to none: `stray`.
    """

    def __init__(self, prices: Prices | None = None) -> None:
        self._prices = Prices() if prices is None else prices
        self._turns: dict[int, Turn] = {}
        self._voice: dict[str, float] = {}
        self._words: tuple[Word, ...] = ()
        self._rate: int | None = None
        self._sounds_from = 0
        self._early: Turn | None = None
        self._thrown_away: list[LLMRequest] = []
        self.stray: list[tuple[SpeechUsed, Charge]] = []
        """What was used for no turn."""
        self._heard: list[tuple[SpeechUsed, Charge]] = []
        self._speaks = False
        self._last_said = self.stray

    @property
    def charges(self) -> list[Charge]:
        """Each use of a provider in the session, of no turn first."""
        loose = (*self._thrown_away, *(self._early.requests if self._early is not None else ()))
        of_none = [*(charge for _, charge in (*self.stray, *self._heard)), *(request.charge for request in loose)]
        return [*of_none, *(charge for turn in self for charge in turn.charges)]

    def fold(self, event: Event) -> None:
        """Take in one more event."""
        match event.body:
            case SessionStarted(sample_rate=rate):
                self._rate = rate
            case SpeechUsed():
                self._fold_use(event.body, event.turn)
            case SpeechStarted() | SpeechStopped() | TranscriptFinal() | UtteranceDropped():
                self._fold_person(event)
            case _ if event.turn is not None:
                self._fold_turn(event.turn, event.body, event.wall_s)

    def _fold_person(self, event: Event) -> None:
        match event.body:
            case SpeechStarted():
                self._speaks = True
            case SpeechStopped(silence_ms=silence_ms):
                self._voice = {"last_voice": event.wall_s - silence_ms / 1000}
            case TranscriptFinal(words=words):
                self._voice["words"] = event.wall_s
                self._words += words
            case UtteranceDropped():
                self._words = ()
                self._settle_heard(event.turn)

    def _fold_turn(self, number: int, body: Body, now: float) -> None:
        if isinstance(body, TurnStarted):
            self._begin(number, body, now)
            return
        if isinstance(body, (PreemptiveStarted, PreemptiveDropped)):
            self._fold_early(number, body)
            return
        turn = self._turns[number] if self._early is None or number in self._turns else self._early
        if isinstance(body, TurnWords):
            turn.user_text = body.text
            turn.speech += self._heard
            self._heard.clear()
        elif isinstance(body, (LLMRequested, LLMChunked, ToolCalled, ToolEnded)):
            self._fold_model(turn, body, now)
        else:
            self._fold_speech(turn, body, now)

    def _begin(self, number: int, body: TurnStarted, now: float) -> None:
        early = self._early if self._early is not None and self._early.id == number else None
        turn = self._turns[number] = Turn(number, body.source, body.text) if early is None else early
        self._early = None
        turn.thrown_away, self._thrown_away = self._thrown_away, []
        if body.source == "speech":
            turn._marks |= self._voice
            turn.words, self._words = self._words, ()
            self._settle_heard(number)
        turn._marks["turn"] = now
        _measure(turn, "endpointing", "last_voice", now)
        if "words" in turn._marks:
            _measure(turn, "stt", "last_voice", turn._marks["words"])
        if early is not None:  # what was done while silence was waited out took no time of its own
            turn.latency.update({name: 0.0 for name in turn.latency if name == "llm_first_token"})
            turn._marks.update({name: now for name in turn._marks if name.startswith(("asked", "ready", "voice"))})

    def _fold_early(self, number: int, body: PreemptiveStarted | PreemptiveDropped) -> None:
        if isinstance(body, PreemptiveStarted):
            self._early = Turn(number, "speech", body.text)
        elif self._early is not None:
            for request in self._early.requests:
                request.count_untold()
            self._thrown_away += self._early.requests
            self._early = None

    def _fold_use(self, used: SpeechUsed, number: int | None) -> None:
        """What was heard waits for its turn as long as the person speaks; the silence behind it goes where the rest went."""
        use = (used, Charge(used.stage, used.provider, used.model, self._prices.speech(used)))
        turn = self._turns.get(number) if number is not None else None
        if used.stage == "stt":
            (self._heard if self._speaks else self._last_said).append(use)
        else:
            (self.stray if turn is None else turn.speech).append(use)

    def _settle_heard(self, number: int | None) -> None:
        """What the person said has come to a turn, or to nothing."""
        turn = self._turns.get(number) if number is not None else None
        self._last_said = self.stray if turn is None else turn.speech
        self._last_said += self._heard
        self._heard.clear()
        self._speaks = False

    def _fold_model(self, turn: Turn, body: LLMRequested | LLMChunked | ToolCalled | ToolEnded, now: float) -> None:
        match body:
            case LLMRequested():
                asked = (body.round, body.provider, body.model, body.costs, body.carried, body.messages)
                turn.requests.append(LLMRequest(*asked, body.stage, body.piece, body.characters, prices=self._prices))
                if body.piece is None and (body.stage == "llm" or turn.source != "speech"):  # who speaks to an engine asks it by no request
                    turn._marks.setdefault("asked", now)
            case LLMChunked(chunk=chunk):
                _request_of(turn, body).chunks.append(chunk)
                if chunk.type in ("text", "reasoning", "tool_call"):
                    _measure(turn, "llm_first_token", "asked", now)
            case ToolCalled(id, name, arguments):
                turn._marks[f"called {id}"] = now
                if "voice" not in turn._marks:
                    turn._marks.setdefault("tools", now)
                turn.tool_calls.append(ToolCall(id, name, parsed_arguments(arguments)))
            case ToolEnded():
                self._end_tool(turn, body, now)

    def _end_tool(self, turn: Turn, body: ToolEnded, now: float) -> None:
        took = (now - turn._marks.get(f"called {body.id}", now)) * 1000
        for place, call in enumerate(turn.tool_calls):
            if call.id == body.id and call.status == "running":
                result = body.content if body.status == "completed" else None
                turn.tool_calls[place] = replace(call, result=result, error=body.error, status=body.status, duration_ms=round(took, 1))
        if not any(call.status == "running" for call in turn.tool_calls):
            _stop_tools(turn, now)

    def _fold_speech(self, turn: Turn, body: object, now: float) -> None:
        match body:
            case SentenceReady(index, kind="filler"):
                turn._fillers.add(index)
            case SentenceReady(index):
                turn._marks[f"ready {index}"] = now
                _begin_voice(turn, now)
            case SentenceChecked(index, text):
                self._set_piece(turn, index, text)
            case AudioSent() | PlaybackStarted() | PlaybackEnded():
                self._fold_sound(turn, body, now)
            case TurnOffered():
                turn.status = "offered"
            case TurnAccepted():
                turn.status = "running"
                turn._marks = {"turn": now}
            case TurnEnded(status, error):
                turn.status, turn.error = status, error
            case TurnHeard(text, interrupted):
                turn.heard_text, turn._settled = text, True
                if interrupted and turn.status == "completed":
                    turn.status = "interrupted"

    def _fold_sound(self, turn: Turn, body: AudioSent | PlaybackStarted | PlaybackEnded, now: float) -> None:
        match body:
            case AudioSent(index):
                turn._marks.setdefault("sound", now)
                _begin_voice(turn, now)
                if index not in turn._fillers:
                    _measure(turn, "tts_first_audio", f"ready {index}", now)
                elif "tts_first_audio" not in turn.latency:
                    _measure(turn, "filler", "turn", now)
            case PlaybackStarted(position):
                self._sounds_from = position
                _measure(turn, "playback", "sound", now)
                _measure(turn, "response", "last_voice", now)
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

    def __repr__(self) -> str:
        return f"<Turns: {len(self)}>"

    def by_id(self, id: int) -> Turn:
        """The turn numbered `id` (from 1)."""
        return self._turns[id]

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)


def _request_of(turn: Turn, told: LLMChunked) -> LLMRequest:
    """The request that a chunk answers: the newest, but that an engine's usage may come late, or be that of a piece."""
    chunk = told.chunk
    for request in turn.requests if chunk.type == "usage" else ():
        asked = (request.stage, request.round, request.piece)
        if asked == ("engine", told.round, told.piece) and chunk.provider in (None, request.provider) and request.usage is None:
            return request
    return turn.requests[-1]


def _tokens_of(requests: Iterable[LLMRequest]) -> dict[str, int]:
    total: dict[str, int] = {}
    for request in requests:
        for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"):
            count = getattr(request.usage, name) if request.usage else None
            if count is not None:
                total[name] = total.get(name, 0) + count
    return total


def _measure(turn: Turn, name: str, since: str, now: float) -> None:
    """Keep how long ago the mark `since` was, the first time."""
    if since in turn._marks and name not in turn.latency:
        turn.latency[name] = round((now - turn._marks[since]) * 1000, 1)


def _begin_voice(turn: Turn, now: float) -> None:
    """From here on the voice is waited for, or heard: whatever tools still do, nobody waits for them alone."""
    turn._marks.setdefault("voice", now)
    _stop_tools(turn, now)


def _stop_tools(turn: Turn, now: float) -> None:
    since = turn._marks.pop("tools", None)
    if since is not None:
        turn.latency["tools"] = round(turn.latency.get("tools", 0.0) + (now - since) * 1000, 1)


def parsed_arguments(arguments: str) -> Mapping[str, Any] | str:
    """Arguments as an object where they are one, else the text that the model wrote."""
    try:
        value = loads(arguments.strip() or "{}")
    except (ValueError, RecursionError):  # no JSON, a number of too many digits, or nested too deep
        return arguments
    return value if isinstance(value, dict) else arguments
