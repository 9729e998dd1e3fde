"""The events of a session as spans and marks on its time axis, lane by lane: a fold over the log."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from patter_nb.audio.frames import SAMPLE_RATE
from patter_nb.events import (
    AgentChanged,
    AudioSent,
    BreakpointHit,
    BreakpointLeft,
    Event,
    KernelBusy,
    LLMChunked,
    LLMRequested,
    MicrophoneMuted,
    PlaybackEnded,
    PlaybackPaused,
    PlaybackResumed,
    PlaybackStarted,
    PreemptiveDropped,
    SentenceChecked,
    SentenceReady,
    SessionStopped,
    SpeechStarted,
    SpeechStopped,
    StageFailed,
    StateChanged,
    ToolCalled,
    ToolEnded,
    TranscriptFinal,
    TranscriptPartial,
    TurnAccepted,
    TurnEnded,
    TurnHeard,
    TurnJudged,
    TurnOffered,
    TurnStarted,
    TurnWords,
    UtteranceDropped,
)
from patter_nb.timeline.placing import Layout
from patter_nb.timeline.playback import Playback

__all__ = ["LANES", "Item", "Lanes"]

LANES: Final = (
    *("states", "turns", "speech", "judged", "partials", "words", "dropped", "muted", "requests", "tools"),
    *("pieces", "playback", "interruptions", "changes", "breakpoints", "failures", "busy"),
)
TEXT_LIMIT: Final = 300
"""Letters of a text that an item keeps; the log has all of it."""
_STREAMED: Final = ("text", "reasoning", "tool_call")

Key: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Item:
    """A span from `at` to `to`, in ms of session time; `to` is None while it lasts, and equals `at` for a mark.

    `kind` is a word for its colour: the status of a turn or a tool call, who was asked, what a piece is for. `value` is a probability.
    """

    at: float
    to: float | None
    text: str = ""
    kind: str = ""
    turn: int | None = None
    value: float | None = None


class Lanes:
    """The items of each lane, and `chunks`, when each chunk came, in ms. `person` places the person's samples, `playback` the agent's.

    `drain` tells which items are new or have changed.
    """

    def __init__(self, person: Layout, playback: Playback) -> None:
        self.items: Mapping[str, list[Item]] = {lane: [] for lane in LANES}
        self.chunks = array("I")
        self._person = person
        self._playback = playback
        self._open: dict[tuple[str, Key], int] = {}
        self._touched: dict[tuple[str, int], None] = {}
        self._pieces: dict[tuple[int, int], _Piece] = {}
        self._since: float | None = None
        self._voice_ended = 0.0

    # --- what there is

    def drain(self) -> list[tuple[str, int]]:
        """Lane and place of each item that is new or has changed since the last time."""
        touched = list(self._touched)
        self._touched.clear()
        return touched

    # --- the fold

    def fold(self, event: Event) -> None:
        """Take in one event, after the sound and the cursor before it."""
        match event.body:
            case LLMChunked(chunk=chunk):
                if chunk.type in _STREAMED:
                    self.chunks.append(max(0, round(event.t_ms)))
                elif chunk.type == "done":
                    self._close("requests", event.turn, event.t_ms)
            case StateChanged(state):
                self._close("states", None, event.t_ms)
                self._begin("states", None, Item(event.t_ms, event.t_ms if state == "stopped" else None, state))
            case _ if event.turn is not None and isinstance(event.body, _OF_A_TURN):
                self._fold_turn(event, event.turn)
            case _ if event.turn is not None and isinstance(event.body, _OF_AN_ANSWER):
                self._fold_answer(event, event.turn)
            case SessionStopped():
                for lane, key in list(self._open):
                    self._close(lane, key, event.t_ms)
            case _:
                self._fold_person(event)
                self._fold_session(event)

    def _fold_person(self, event: Event) -> None:
        t_ms = event.t_ms
        match event.body:
            case SpeechStarted(at_sample):
                at = self._person.ms(at_sample)
                self._since = at if self._since is None else self._since
                self._close("speech", None, at)
                self._begin("speech", None, Item(at, None))
            case SpeechStopped(at_sample):
                self._voice_ended = self._person.ms(at_sample)
                self._close("speech", None, self._voice_ended)
            case TurnJudged(probability=probability):
                if probability is not None:
                    self._add("judged", Item(t_ms, t_ms, value=round(probability, 3)))
            case TranscriptPartial(text):
                self._close("partials", None, t_ms)
                self._begin("partials", None, Item(t_ms, None, _cut(text)))
            case TranscriptFinal():
                self._close("partials", None, t_ms)
                self._fold_words(event.body, t_ms)
            case UtteranceDropped(text, reason):
                self._close("partials", None, t_ms)
                self._add("dropped", Item(t_ms, t_ms, _cut(f"{text}: {reason}" if text else reason)))
                self._since = None
            case MicrophoneMuted(muted):
                self._close("muted", None, t_ms)
                if muted:
                    self._begin("muted", None, Item(t_ms, None, "muted"))

    def _fold_words(self, final: TranscriptFinal, t_ms: float) -> None:
        placed = [word for word in final.words if word.start_ms is not None]
        for word in placed:
            at = self._person.ms(round((word.start_ms or 0.0) * SAMPLE_RATE / 1000))
            to = at if word.stop_ms is None else self._person.ms(round(word.stop_ms * SAMPLE_RATE / 1000))
            self._add("words", Item(at, max(at, to), _cut(word.text), "word"))
        if not placed:
            self._add_final(final.text, t_ms)

    def _add_final(self, text: str, t_ms: float) -> None:
        """Words that are known only as a whole: they stand where the voice was."""
        at = t_ms if self._since is None else self._since
        earlier = self.items["words"][-1:]
        if earlier and earlier[0].kind == "final" and earlier[0].to is not None:
            at = max(at, earlier[0].to)
        to = self._voice_ended if self._voice_ended > at else max(at, t_ms)
        self._add("words", Item(at, to, _cut(text), "final"))

    def _fold_session(self, event: Event) -> None:
        t_ms = event.t_ms
        match event.body:
            case PlaybackStarted(ago_ms=ago_ms):
                self._begin("playback", None, Item(t_ms - (ago_ms or 0.0), None, kind="playing", turn=event.turn))
            case PlaybackResumed():
                self._close("playback", None, t_ms)
                self._begin("playback", None, Item(t_ms, None, kind="playing", turn=event.turn))
            case PlaybackPaused(by=by):
                self._close("playback", None, t_ms)
                self._begin("playback", None, Item(t_ms, None, f"by the {by}", "paused", event.turn))
            case PlaybackEnded():
                self._close("playback", None, t_ms)
                self.settle()
            case AgentChanged(changes, when):
                told = "; ".join(f"{name}: {before} → {after}" for name, (before, after) in changes.items())
                self._add("changes", Item(t_ms, t_ms, _cut(told), when, event.turn))
            case StageFailed(stage, error):
                self._add("failures", Item(t_ms, t_ms, _cut(f"{stage}: {type(error).__name__}: {error.message}"), stage, event.turn))
            case BreakpointHit(point, what):
                self._begin("breakpoints", None, Item(t_ms, None, _cut(f"{point}: {what}"), point, event.turn))
            case BreakpointLeft():
                self._close("breakpoints", None, t_ms)
                self._let_go(event.body, event.turn, t_ms)
            case KernelBusy(ms):
                self._add("busy", Item(max(0.0, t_ms - ms), t_ms, "something else kept the event loop"))

    def _fold_turn(self, event: Event, turn: int) -> None:
        t_ms = event.t_ms
        match event.body:
            case TurnStarted(source, text):
                self._begin_turn(turn, source == "speech", text, t_ms)
            case TurnWords(text):
                self._change("turns", turn, text=_cut(text))
                self._add_final(text, t_ms)
            case TurnOffered():
                self._change("turns", turn, kind="offered", to=t_ms)
            case TurnAccepted():
                self._change("turns", turn, kind="running", to=None)
            case TurnEnded(status):
                self._close("requests", turn, t_ms)
                self._close("breakpoints", None, t_ms)
                self._change("turns", turn, kind=status, to=t_ms)
            case TurnHeard(interrupted=interrupted):
                self._end_turn(turn, t_ms, interrupted)
            case PreemptiveDropped(reason):
                self._close("requests", turn, t_ms, kind="dropped")
                self._add("dropped", Item(t_ms, t_ms, _cut(f"early answer: {reason}")))

    def _begin_turn(self, turn: int, spoken: bool, text: str, t_ms: float) -> None:
        at = t_ms
        if spoken:
            at, self._since = t_ms if self._since is None else self._since, None
            self._close("partials", None, t_ms)
        self._begin("turns", turn, Item(at, None, _cut(text), "running", turn))

    def _fold_answer(self, event: Event, turn: int) -> None:
        t_ms = event.t_ms
        match event.body:
            case LLMRequested():
                self._close("requests", turn, t_ms)
                asked = " ".join(filter(None, (event.body.provider, event.body.model)))
                self._begin("requests", turn, Item(t_ms, None, _cut(asked), event.body.stage, turn))
            case ToolCalled(id, name, arguments):
                self._begin("tools", (turn, id), Item(t_ms, None, _cut(f"{name}({arguments})"), "running", turn))
            case ToolEnded():
                self._end_tool(event.body, turn, t_ms)
            case SentenceReady(index, _, text, kind):
                self._pieces[turn, index] = _Piece(_cut(text), kind)
            case SentenceChecked(index, text):
                if (turn, index) in self._pieces:
                    self._pieces[turn, index].text = _cut(text)
            case AudioSent(index, start, stop):
                piece = self._pieces.get((turn, index))
                if piece is not None:
                    piece.start, piece.stop = start if piece.start is None else piece.start, stop

    def _let_go(self, left: BreakpointLeft, turn: int | None, t_ms: float) -> None:
        """A tool that was held at a breakpoint begins here, with the arguments that it is given."""
        place = self._open.get(("tools", (turn, left.id))) if turn is not None and left.id is not None else None
        if place is not None:
            text = self.items["tools"][place].text
            if "arguments" in left.edits:
                text = _cut(f"{text.partition('(')[0]}({left.edits['arguments']})")
            self._set("tools", place, at=t_ms, text=text)

    def _end_tool(self, ended: ToolEnded, turn: int, t_ms: float) -> None:
        place = self._open.get(("tools", (turn, ended.id)))
        if place is None:
            return
        came = ended.error if ended.error is not None else ended.content
        text = _cut(f"{self.items['tools'][place].text} → {came}")
        self._close("tools", (turn, ended.id), t_ms, kind=ended.status, text=text)

    def _end_turn(self, turn: int, t_ms: float, interrupted: bool) -> None:
        place = self._open.get(("turns", turn))
        if place is not None:
            item = self.items["turns"][place]
            kind = "interrupted" if interrupted and item.kind in ("running", "completed") else item.kind
            self._change("turns", turn, kind=kind, to=t_ms)
        if interrupted:
            self._add("interruptions", Item(t_ms, t_ms, f"turn {turn} is interrupted", turn=turn))
        self.settle()
        self._pieces = {key: piece for key, piece in self._pieces.items() if key[0] != turn}

    def settle(self) -> None:
        """Where the pieces of the answer were heard by now."""
        for (turn, index), piece in self._pieces.items():
            if piece.start is None or self._playback.reached <= piece.start:
                continue
            heard = self._playback.layout.span(piece.start, piece.stop)
            if heard is None:
                continue
            item = Item(*heard, piece.text.strip(), piece.kind, turn)
            place = self._open.get(("pieces", (turn, index)))
            if place is None:
                self._begin("pieces", (turn, index), item)
            elif self.items["pieces"][place] != item:
                self.items["pieces"][place] = item
                self._touched["pieces", place] = None

    # --- items

    def _add(self, lane: str, item: Item) -> int:
        items = self.items[lane]
        items.append(item)
        self._touched[lane, len(items) - 1] = None
        return len(items) - 1

    def _begin(self, lane: str, key: Key, item: Item) -> None:
        self._open[lane, key] = self._add(lane, item)

    def _close(self, lane: str, key: Key, to: float, **fields: Any) -> None:
        place = self._open.pop((lane, key), None)
        if place is not None and self.items[lane][place].to is None:
            self._set(lane, place, to=max(to, self.items[lane][place].at), **fields)

    def _change(self, lane: str, key: Key, **fields: Any) -> None:
        place = self._open.get((lane, key))
        if place is not None:
            self._set(lane, place, **fields)

    def _set(self, lane: str, place: int, **fields: Any) -> None:
        self.items[lane][place] = replace(self.items[lane][place], **fields)
        self._touched[lane, place] = None


_OF_A_TURN = (TurnStarted, TurnWords, TurnOffered, TurnAccepted, TurnEnded, TurnHeard, PreemptiveDropped)
_OF_AN_ANSWER = (LLMRequested, ToolCalled, ToolEnded, SentenceReady, SentenceChecked, AudioSent)


@dataclass(slots=True)
class _Piece:
    """A piece of the answer, and its sound on the output axis."""

    text: str
    kind: str
    start: int | None = None
    stop: int = 0


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_LIMIT else f"{text[: TEXT_LIMIT - 1]}…"
