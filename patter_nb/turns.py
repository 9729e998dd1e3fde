"""The turns of a session: a fold over its log, kept up to date event by event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, overload
from weakref import ref

from patter_nb.charges import STAGES, Charge
from patter_nb.costs import Costs, Use
from patter_nb.course import Courses
from patter_nb.events import (
    AudioSent,
    Body,
    BreakpointHit,
    BreakpointLeft,
    Event,
    LLMChunked,
    LLMRequested,
    PlaybackEnded,
    PlaybackStarted,
    PreemptiveDropped,
    PreemptiveStarted,
    RequestAnswered,
    RequestSent,
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
    TurnWords,
    UtteranceDropped,
)
from patter_nb.llm.base import LLMChunk
from patter_nb.llm.wire.attempt import Answered, Attempt, Sent
from patter_nb.log import Log
from patter_nb.pricing import Prices
from patter_nb.rows import Tabular
from patter_nb.stt.base import Word
from patter_nb.turn import LATENCIES, TOKENS, LLMRequest, ToolCall, Turn, parsed_arguments

USED = (*TOKENS, "stt_seconds", "tts_characters")
"""What a turn may have used, by its name in `Turn.usage`."""


class Turns(Tabular, Sequence[Turn]):
    """All turns of a session, in order, folded from its log. `prices` are what is paid, `attempts` what went over the wire.

    What was heard belongs to the turn that it began; what came to nothing to the turn in which it was said, or to none: `stray`.
    A slice is the turns there are now; it grows no more. As a table each turn is a row: latencies in ms, cost in USD by stage.
    """

    _COLUMNS: ClassVar[tuple[str, ...]] = (
        *("turn", "source", "status", "user_text", "agent_text", "heard_text", "heard_ms", "provider", "model"),
        *("requests", "tool_calls", "chunks", *USED, "wasted_tokens", *(f"{name}_ms" for name in LATENCIES)),
        *(*(f"cost_{stage}" for stage in STAGES), "cost", "unpriced", "error"),
    )
    _WHOLE: ClassVar[frozenset[str]] = frozenset(("turn", "requests", "tool_calls", "chunks", *TOKENS, "tts_characters", "wasted_tokens"))

    def __init__(self, prices: Prices | None = None, attempts: Sequence[Attempt] = (), log: Log | None = None) -> None:
        self._prices = Prices() if prices is None else prices
        self._log = None if log is None else ref(log)
        self._attempts = attempts
        self._read: dict[int, Attempt] = {}
        self._conversation: Attempt | None = None
        self._turns: dict[int, Turn] = {}
        self._courses = Courses()
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
        return [charge for _, _, charge, _ in self._uses()]

    def costs(self) -> Costs:
        """What was used and what it costs, by turn, stage and model. Of a request under way nothing is known yet."""
        running = {turn.id for turn in self if turn.status == "running"} | ({self._early.id} if self._early is not None else set())
        uses = (use for use in self._uses() if use[0] not in running or not isinstance(use[1], LLMRequest) or use[1].usage is not None)
        return Costs.of(uses)

    def _uses(self) -> Iterator[Use]:
        """Each use of a provider, of no turn first."""
        early = [] if self._early is None else [self._early]
        yield from ((None, used, charge, False) for used, charge in (*self.stray, *self._heard))
        yield from ((None, request, request.charge, True) for request in self._thrown_away)
        for turn in (*early, *self):
            yield from ((turn.id, used, charge, False) for used, charge in turn.speech)
            yield from ((turn.id, request, request.charge, False) for request in turn.requests)
            yield from ((turn.id, request, request.charge, True) for request in turn.thrown_away)

    def asked(self) -> Iterator[tuple[LLMRequest, bool]]:
        """Each request, and whether it was thrown away: by turn, and last those that no turn has come of so far."""
        for turn in self:
            yield from ((request, True) for request in turn.thrown_away)
            yield from ((request, False) for request in turn.requests)
        yield from ((request, True) for request in self._thrown_away)
        yield from ((request, False) for request in (() if self._early is None else self._early.requests))

    def fold(self, event: Event) -> None:
        """Take in one more event."""
        self._courses.fold(event)
        match event.body:
            case SessionStarted(sample_rate=rate):
                self._rate = rate
            case SpeechUsed():
                self._fold_use(event.body, event.turn)
            case RequestSent():
                self._fold_sent(event.turn, event.body)
            case RequestAnswered():
                self._fold_answered(event.body)
            case SpeechStarted() | SpeechStopped() | TranscriptFinal() | UtteranceDropped():
                self._fold_person(event)
            case _ if event.turn is not None:
                self._fold_turn(event.turn, event.body, event.wall_s)

    def _fold_person(self, event: Event) -> None:
        match event.body:
            case SpeechStarted():
                self._speaks = True
            case SpeechStopped(silence_ms=silence_ms, late_ms=late_ms):
                self._voice = {"last_voice": event.wall_s - (silence_ms + late_ms) / 1000}
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
        elif isinstance(body, BreakpointHit):
            turn._marks["held"], turn._stopped = now, body
        elif isinstance(body, BreakpointLeft):
            _go_on(turn, body, now)
        elif isinstance(body, (LLMRequested, LLMChunked, ToolCalled, ToolEnded)):
            self._fold_model(turn, body, now)
        else:
            self._fold_speech(turn, body, now)

    def _begin(self, number: int, body: TurnStarted, now: float) -> None:
        early = self._early if self._early is not None and self._early.id == number else None
        turn = self._turns[number] = Turn(number, body.source, body.text, _log=self._log) if early is None else early
        self._early = None
        turn.thrown_away, self._thrown_away = self._thrown_away, []
        turn._course = self._courses.of(number)
        if body.source == "speech":
            turn._marks |= {} if turn._course.unpaced else self._voice
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
            self._early = Turn(number, "speech", body.text, _log=self._log)
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

    def _fold_sent(self, number: int | None, sent: RequestSent) -> None:
        """Of a log that was read, figures are all there is."""
        kept = sent.number < len(self._attempts)
        attempt = self._attempts[sent.number] if kept else self._read.setdefault(sent.number, _attempt_of(sent))
        early = self._early if self._early is not None and self._early.id == number else None
        turn = early if number is None else self._turns.get(number, early)
        if sent.stage == "engine":
            self._conversation = attempt
        asked = [request for request in (turn.requests if turn is not None else ()) if request.stage == sent.stage]
        for request in asked[-1:] if sent.stage == "llm" else asked:
            if request is asked[-1] or not request.attempts:
                request.attempts.append(attempt)

    def _fold_answered(self, told: RequestAnswered) -> None:
        if (attempt := self._read.get(told.number)) is not None:
            answered = Answered(told.status, {}, told.request_id, told.first_byte_ms, told.total_ms, size=told.size, _pieces=None)
            attempt.answered = None if told.total_ms is None else answered
            attempt.error = told.error

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
                of_engine = [self._conversation] if body.stage == "engine" and self._conversation is not None else []
                request = LLMRequest(*asked, body.stage, body.piece, body.characters, turn=turn.id, prices=self._prices, attempts=of_engine)
                request._asked_s = now
                turn.requests.append(request)
                if body.piece is None and (body.stage == "llm" or turn.source != "speech"):  # who speaks to an engine asks it by no request
                    turn._marks.setdefault("asked", now)
            case LLMChunked(chunk=chunk):
                _request_of(turn, body)._take(chunk, now)
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
                turn._course = self._courses.of(turn.id)
            case TurnEnded(status, error):
                turn.status, turn.error, turn._stopped = status, error, None
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
            case PlaybackEnded(position) if self._rate is not None:
                turn.heard_ms = (turn.heard_ms or 0.0) + (position - self._sounds_from) * 1000 / self._rate
        if turn._course.heard_s is not None:  # known with the cursor's first word, or with the first sound that can be heard
            _measure(turn, "playback", "sound", turn._course.heard_s)
            _measure(turn, "response", "last_voice", turn._course.heard_s)

    def _set_piece(self, turn: Turn, index: int, text: str) -> None:
        turn._pieces[index] = text
        turn.agent_text = "".join(text for at, text in sorted(turn._pieces.items()) if at not in turn._fillers).strip()

    @overload
    def __getitem__(self, index: int) -> Turn: ...
    @overload
    def __getitem__(self, index: slice) -> Turns: ...
    def __getitem__(self, index: int | slice) -> Turn | Turns:
        found = list(self._turns.values())[index]
        if isinstance(found, Turn):
            return found
        chosen = Turns(self._prices, self._attempts)
        chosen._turns = {turn.id: turn for turn in found}
        return chosen

    def __iter__(self) -> Iterator[Turn]:
        return iter(tuple(self._turns.values()))

    def __len__(self) -> int:
        return len(self._turns)

    def __repr__(self) -> str:
        return f"<Turns: {len(self)}>"

    def to_dicts(self) -> list[dict[str, Any]]:
        empty = dict.fromkeys(self._COLUMNS)
        return [{**empty, **_row(turn)} for turn in self]

    def begun(self, id: int) -> Turn | None:
        """The turn numbered `id`, also one that has only been begun early; None where nothing of it has begun."""
        early = self._early
        return self._turns.get(id, early if early is not None and early.id == id else None)

    def by_id(self, id: int) -> Turn:
        """The turn numbered `id` (from 1)."""
        return self._turns[id]

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)


def _row(turn: Turn) -> dict[str, Any]:
    """The turn in the table, without what is not known."""
    told: dict[str, Any] = {"turn": turn.id, "source": turn.source, "status": turn.status}
    told |= {"user_text": turn.user_text, "agent_text": turn.agent_text, "heard_text": turn.heard_text, "heard_ms": turn.heard_ms}
    told |= {"provider": turn.provider, "model": turn.model}
    told |= {"requests": len(turn.requests), "tool_calls": len(turn.tool_calls), "chunks": len(turn.chunks)}
    told |= {name: number for name, number in turn.usage.items() if name in USED} | {"wasted_tokens": sum(turn.wasted.values())}
    told |= {f"{name}_ms": ms for name, ms in turn.latency.items() if name in LATENCIES}
    told |= {f"cost_{stage}": cost for stage, cost in turn.costs.items()}
    return told | {"cost": turn.cost, "unpriced": turn.cost is None, "error": None if turn.error is None else str(turn.error)}


def _attempt_of(sent: RequestSent) -> Attempt:
    by: Literal["wire", "client", "socket"] = "socket" if sent.stage == "engine" else "client" if sent.url is None else "wire"
    body = Sent("GET" if by == "socket" else "POST" if by == "wire" else "", sent.url, {}, sent.size, sent.plain_size)
    return Attempt(sent.number, sent.provider, sent.model, sent.attempt, by, body)


def _request_of(turn: Turn, told: LLMChunked) -> LLMRequest:
    """The request that a chunk answers: the newest, but that an engine's usage may come late, or be that of a piece."""
    chunk, newest = told.chunk, turn.requests[-1]
    for request in turn.requests if chunk.type == "usage" else ():
        asked = (request.stage, request.round, request.piece)
        if asked == ("engine", told.round, told.piece) and request.usage is None and _counts(chunk, request, newest):
            return request
    return newest


def _counts(usage: LLMChunk, engine: LLMRequest, newest: LLMRequest) -> bool:
    """Whether it is the engine that counts: a model that took over may be of the same vendor, and begins with the same round."""
    if usage.provider is None:
        return newest.stage == "engine"
    return usage.provider == engine.provider and usage.model in (None, engine.model)


def _go_on(turn: Turn, left: BreakpointLeft, now: float) -> None:
    """What was changed at a breakpoint is what was sent, or run. While somebody looked, nobody was waited for but tools that ran."""
    turn._stopped = None
    held_s = now - turn._marks.pop("held", now)
    late = {name: at + held_s for name, at in turn._marks.items() if not name.startswith("called ") or name == f"called {left.id}"}
    turn._marks |= late
    if "messages" in left.edits:
        turn.requests[-1].messages, turn.requests[-1].carried = tuple(left.edits["messages"]), 0
    if "arguments" in left.edits:
        for place, call in enumerate(turn.tool_calls):
            if call.id == left.id and call.status == "running":
                turn.tool_calls[place] = replace(call, arguments=parsed_arguments(left.edits["arguments"]))


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
