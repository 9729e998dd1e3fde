"""What was known at one millisecond of a session: the log, folded as far as that and no further."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from patter_nb.audio.frames import FRAME_SAMPLES
from patter_nb.errors import PatterConfigError
from patter_nb.events import (
    AudioSent,
    Event,
    ListenerChanged,
    PlaybackEnded,
    PreemptiveDropped,
    PreemptiveStarted,
    SentenceChecked,
    SentenceReady,
    SentenceSpoken,
    SessionState,
    SpeechStarted,
    SpeechStopped,
    StateChanged,
    TranscriptFinal,
    TranscriptPartial,
    TurnHeard,
    TurnJudged,
    TurnStarted,
    TurnStatus,
    UtteranceDropped,
)
from patter_nb.llm.base import LLMChunk
from patter_nb.log import Log
from patter_nb.step.state import LETTERS_A_SECOND, Piece, heard_text
from patter_nb.timeline.placing import Layout
from patter_nb.turn import ToolCall, Turn
from patter_nb.turns import Turns

__all__ = ["Moment", "TurnSpan", "moment_of", "moment_of_turn"]


@dataclass(frozen=True, slots=True, repr=False)
class Moment:
    """What was known `t_ms` after the session began, `ms` after turn `turn` did (None: in no turn). Text and calls as far as they had come.

    state         the session's word
    status        of the turn; None as long as the person speaks, for then it is no turn yet
    user_text     the words that stood, and the newest partial transcript; `partial` is that alone
    voice         probability of voice in the newest frame, None where none was measured
    end_of_turn   the detector's newest judgement of this utterance, None where there is none
    text          what the model had written; `chunks` in which pieces
    agent_text    what of it had gone to the voice; `heard_text` what the person had heard, by the playback cursor
    position      of the cursor, in samples of `session.audio.spoken`; `playing` whether the agent was heard
    provider      who had been asked last, with the model's name in `model`
    epoch         counts interruptions and changes: whatever has a lower one was thrown away
    """

    t_ms: float
    turn: int | None
    ms: float | None
    state: SessionState
    status: TurnStatus | None
    epoch: int
    user_text: str
    partial: str
    voice: float | None
    end_of_turn: float | None
    chunks: tuple[LLMChunk, ...]
    text: str
    agent_text: str
    heard_text: str
    tool_calls: tuple[ToolCall, ...]
    playing: bool
    position: int
    provider: str | None
    model: str | None

    def __repr__(self) -> str:
        where = "in no turn" if self.ms is None else f"{self.ms:.0f} ms into turn {self.turn}"
        return f"<Moment {self.t_ms / 1000:.3f} s, {where}: {self.state}, user {self.user_text!r:.60}, heard {self.heard_text!r:.60}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)


@dataclass(frozen=True, slots=True)
class TurnSpan:
    """A turn from when the person began to speak for it, or from when it began, until nothing of it happens any more."""

    turn: int
    begins: float
    ends: float
    over: bool


def moment_of_turn(log: Log, turn: int, ms: float) -> Moment:
    """`ms` after turn `turn` began, for which the person may have spoken first. Raises `PatterConfigError` for a moment outside it."""
    span = next((span for span in _spans(log) if span.turn == turn), None)
    if span is None:
        raise PatterConfigError(f"Turn {turn} is not in this log.", hint="Take it from session.turns.")
    lasts = span.ends - span.begins
    if not 0 <= ms <= lasts:
        so_far = "lasted" if span.over else "has lasted, so far,"
        hint = f"Ask for a moment from 0 to {math.floor(lasts)}. session.timeline.at(t_ms) counts from the session's start."
        raise PatterConfigError(f"There is no moment {ms:g} ms in turn {turn}: it {so_far} {lasts:.0f} ms.", hint=hint)
    return _moment(log, span.begins + ms, span)


def moment_of(log: Log, t_ms: float, turn: TurnSpan | None) -> Moment:
    """`t_ms` after the session began, in that turn, or in none. Raises `PatterConfigError` for a moment outside the session."""
    ends = _ends(log)
    if not 0 <= t_ms <= ends:
        hint = f"Ask for a moment from 0 to {math.floor(ends)}; turn.at(ms) counts from a turn's start."
        raise PatterConfigError(f"There is no moment {t_ms:g} ms in this session: it has come to {ends:.0f} ms.", hint=hint)
    return _moment(log, t_ms, turn)


def _ends(log: Log) -> float:
    told = [float(rows.slice(len(rows) - 1, len(rows))["t_ms"][0]) for rows in (log.frames, log.cursor) if len(rows)]
    return max(told + ([log[-1].t_ms] if len(log) else [0.0]))


def _spans(log: Log) -> Iterator[TurnSpan]:
    """All turns, in order."""
    person: Layout | None = None
    since: float | None = None
    begins, ends, over = dict[int, float](), dict[int, float](), set[int]()
    for event in log:
        match event.body:
            case SpeechStarted(at_sample) if since is None:
                person = _person(log) if person is None else person
                since = person.ms(at_sample)
            case UtteranceDropped():
                since = None
            case TurnStarted(source) if event.turn is not None:
                spoken = source == "speech" and since is not None
                begins[event.turn] = since if spoken and since is not None else event.t_ms
                since = None if source == "speech" else since
            case TurnHeard() if event.turn is not None:
                over.add(event.turn)
        if event.turn is not None and not isinstance(event.body, _OF_NO_TURN):
            ends[event.turn] = event.t_ms
    newest = _ends(log)
    for turn, begin in begins.items():
        yield TurnSpan(turn, begin, ends[turn] if turn in over else newest if turn == max(begins) else ends[turn], turn in over)


def _person(log: Log) -> Layout:
    layout = Layout(log.heard.rate)
    rows = log.frames.slice(0, len(log.frames))
    for _ in layout.put_many(0, rows["t_ms"] - rows["late_ms"].astype(np.float64), FRAME_SAMPLES):
        pass
    return layout


_OF_NO_TURN = (SpeechStarted, SpeechStopped, TranscriptPartial, TranscriptFinal, TurnJudged, UtteranceDropped, StateChanged)
"""What the person does while a turn still goes on belongs to the next."""


def _moment(log: Log, t_ms: float, span: TurnSpan | None) -> Moment:
    stop = bisect_right(log, t_ms, key=lambda event: event.t_ms)
    start = bisect_left(log, span.begins if span is not None else _utterance_began(log, stop), key=lambda event: event.t_ms)
    before = log[start:stop]
    own = [event for event in before if span is not None and event.turn == span.turn]
    begun = any(isinstance(event.body, TurnStarted) for event in own)
    turn = _turn_so_far(own)
    words, partial, judged = _utterance(before, None if not begun or span is None else span.turn)
    position = _position(log, stop, t_ms)
    chunks = tuple(turn.chunks) if turn is not None else ()
    said = turn is not None and begun and turn.user_text
    return Moment(
        t_ms=t_ms,
        turn=None if span is None else span.turn,
        ms=None if span is None else t_ms - span.begins,
        state=_newest_state(log, stop),
        status=turn.status if turn is not None and begun else None,
        epoch=log[stop - 1].epoch if stop else 0,
        user_text=turn.user_text if turn is not None and said else " ".join(filter(None, (*words, partial))),
        partial=partial,
        voice=_voice(log, t_ms),
        end_of_turn=judged,
        chunks=chunks,
        text="".join(chunk.content or "" for chunk in chunks if chunk.type == "text"),
        agent_text=turn.agent_text if turn is not None else "",
        heard_text=_heard(own, position, log.spoken.rate),
        tool_calls=tuple(turn.tool_calls) if turn is not None else (),
        playing=_playing(log, stop),
        position=position,
        provider=turn.provider if turn is not None else None,
        model=turn.model if turn is not None else None,
    )


def _utterance_began(log: Log, stop: int) -> float:
    """When what the person says at an event, in no turn yet, began."""
    for at in range(stop - 1, -1, -1):
        if isinstance(log[at].body, (TurnStarted, UtteranceDropped)):
            return log[at].t_ms
    return 0.0


def _turn_so_far(own: list[Event]) -> Turn | None:
    """The turn that its events make, also one whose answer was begun early; None where nothing of it has begun."""
    turns = Turns()
    number: int | None = None
    for event in own:
        if isinstance(event.body, (TurnStarted, PreemptiveStarted)):
            number = event.turn
        if isinstance(event.body, PreemptiveDropped) and not len(turns):
            number, turns = None, Turns()
        elif number is not None and not isinstance(event.body, _OF_NO_TURN):
            turns.fold(event)
    return turns.begun(number) if number is not None else None


def _utterance(before: list[Event], begun: int | None) -> tuple[list[str], str, float | None]:
    """The words that stand, the partial transcript, and the newest judgement; of the next utterance nothing."""
    words, partial, judged = list[str](), "", None
    for event in before:
        match event.body:
            case TranscriptPartial(text):
                partial = text
            case TranscriptFinal(text):
                words, partial = [*words, text], ""
            case TurnJudged(probability=probability):
                judged = probability
            case UtteranceDropped():
                words, partial, judged = [], "", None
            case TurnStarted(source="speech"):
                partial = ""
                if event.turn == begun:
                    break
                words, judged = [], None
    return words, partial, judged


def _newest_state(log: Log, stop: int) -> SessionState:
    for at in range(stop - 1, -1, -1):
        body = log[at].body
        if isinstance(body, StateChanged):
            return body.state
    return "starting"


def _playing(log: Log, stop: int) -> bool:
    for at in range(stop - 1, -1, -1):
        kind = log[at].type
        if kind.startswith("playback_"):
            return kind in ("playback_started", "playback_resumed")
    return False


def _position(log: Log, stop: int, t_ms: float) -> int:
    """How far the person had heard. Where nobody listens what is handed over counts as heard."""
    rows = log.cursor
    at = bisect_right(range(len(rows)), t_ms, key=lambda row: float(rows.slice(row, row + 1)["t_ms"][0]))
    position = int(rows.slice(at - 1, at)["position"][0]) if at else 0
    listens: bool | None = None
    ended = sent = None
    for place in range(stop - 1, -1, -1):
        match log[place].body:
            case ListenerChanged(heard) if listens is None:
                listens = heard
            case PlaybackEnded(until) if ended is None:
                ended = until
            case AudioSent(stop=end) if sent is None:
                sent = end
        if sent is not None and ended is not None and listens is not None:
            break
    if sent is not None and (listens is False or (listens is None and not len(rows))):
        return sent
    return max(min(position, sent or 0), ended or 0)


def _voice(log: Log, t_ms: float) -> float | None:
    rows = log.frames
    at = bisect_right(range(len(rows)), t_ms, key=lambda row: float(rows.slice(row, row + 1)["t_ms"][0]))
    probability = float(rows.slice(at - 1, at)["probability"][0]) if at else math.nan
    return None if math.isnan(probability) else round(probability, 3)


def _heard(own: list[Event], position: int, rate: int) -> str:
    pieces: dict[int, Piece] = {}
    for event in own:
        match event.body:
            case PreemptiveDropped():
                pieces.clear()
            case SentenceReady(index, round, text, kind):
                pieces[index] = Piece(round, kind, text)
            case SentenceChecked(index, text) if index in pieces:
                pieces[index] = replace(pieces[index], spoken=text, length=len(text) * rate // LETTERS_A_SECOND)
            case AudioSent(index, start, stop) if index in pieces:
                first = pieces[index].start
                pieces[index] = replace(pieces[index], start=start if first is None else first, stop=stop)
            case SentenceSpoken(index) if index in pieces:
                pieces[index] = replace(pieces[index], done=True)
            case TurnHeard(text):
                return text
    return heard_text(tuple(piece for _, piece in sorted(pieces.items())), position)
