"""What a page shows, as plain JSON: folded from the log, sent whole when a page asks for it, and in between as the changes since.

The page keeps a copy and does no folding: it applies `drain`'s operations in order (`["set", name, value]`, `["turn", id, fields]` and the
like), so that what an event means on screen is decided here, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, TypeAlias

from patter_nb.charges import Charge, total
from patter_nb.console.standstill import Standstill
from patter_nb.console.turn_picture import Json, Op, TurnPicture
from patter_nb.events import (
    Body,
    BreakpointsSet,
    Event,
    LLMChunked,
    LLMRequested,
    MicrophoneMuted,
    PreemptiveDropped,
    PreemptiveStarted,
    RequestAnswered,
    RequestSent,
    SpeechUsed,
    StageFailed,
    StateChanged,
    TranscriptFinal,
    TranscriptPartial,
    TurnAccepted,
    TurnEnded,
    TurnHeard,
    TurnOffered,
    TurnStarted,
    TurnWords,
    UtteranceDropped,
    error_to_dict,
)
from patter_nb.llm.base import costs_of, name_of
from patter_nb.session import Session
from patter_nb.turn import Turn
from patter_nb.turns import Turns

__all__ = ["TURNS_SHOWN", "Picture"]

TURNS_SHOWN: Final = 20
_STAGES: Final = {"hears": "stt", "thinks": "llm", "speaks": "tts"}
_CHARGING: Final = (
    *(LLMRequested, SpeechUsed, PreemptiveStarted, PreemptiveDropped, UtteranceDropped),
    *(TurnStarted, TurnWords, TurnOffered, TurnAccepted, TurnEnded, TurnHeard),
)
Over: TypeAlias = Sequence[tuple[Turn, Sequence[Charge]]]
"""Turns that do not run any more, each with what it was charged for."""


class Picture:
    """The picture of one session. `fold` takes each event in, `drain` gives the changes since the last `drain`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._top: dict[str, Json] = {
            "session": session.name,
            "state": session.state,
            "calling": [],
            "runs": {},
            "spent": {"usd": None, "unpriced": 0},
            "spent_by": {},
            "muted": False,
            "partial": "",
            "half_duplex": False,
            "breakpoints": [],
            "stopped_at": None,
            "rate": session.transport.output.sample_rate,
        }
        self._turns: dict[int, TurnPicture] = {}
        self._faults: list[dict[str, Json]] = []
        self._words: list[str] = []
        self._ops: list[Op] = []
        self._touched: set[int] = set()
        self._early: list[Event] | None = None
        self._was_charged = True
        self.standstill = Standstill(session)
        for event in session.events:
            self.fold(event)
        self.drain()

    @property
    def muted(self) -> bool:
        """Whether the microphone is muted."""
        return bool(self._top["muted"])

    def fold(self, event: Event) -> None:
        """Take in one more event. An answer that is begun early is shown when its turn begins."""
        match event.body:
            case PreemptiveStarted():
                self._early = []
            case PreemptiveDropped():
                self._early = None
            case RequestSent() | RequestAnswered():
                return  # not shown, and may be of an answer that was begun early and dropped
            case TurnStarted() if self._early is not None and event.turn is not None:
                early, self._early = self._early, None
                for earlier in (event, *(earlier for earlier in early if earlier.turn == event.turn)):
                    self._fold_turn(event.turn, earlier)
            case _ if self._early is not None and event.turn is not None and event.turn not in self._turns:
                self._early.append(event)
            case _ if event.turn is not None:
                self._fold_turn(event.turn, event)
        self._fold(event)

    def _fold_turn(self, number: int, event: Event) -> None:
        if number not in self._turns:
            self._turns[number] = TurnPicture(self._session.turns.by_id(number), self._ops)
        self._turns[number].fold(event, self._ops)
        self._touched.add(number)

    def drain(self) -> list[Op]:
        """What has changed since the last time, in order."""
        for number in sorted(self._touched):
            self._turns[number].settle(self._ops)
        self._touched.clear()
        self._refresh()
        ops, self._ops = self._ops, []
        return ops

    def whole(self) -> dict[str, Json]:
        """All of it, with the last turns. Call `drain` before, or the changes are told twice."""
        turns = [turn.told for turn in self._turns.values()]
        shown = turns[-TURNS_SHOWN:]
        return {**self._top, "older": len(turns) - len(shown), "turns": shown, "faults": self._faults}

    def settled(self) -> dict[str, Json]:
        """The whole picture, small enough to be kept: without chunks, and of what was heard already not piece by piece."""
        whole = self.whole()
        turns = [{**turn, "pieces": _joined(turn), "tools": [*turn["tools"]], "chunks": []} for turn in whole["turns"]]
        return {**whole, "turns": turns, "faults": [*whole["faults"]]}

    def older(self, before: int) -> tuple[list[dict[str, Json]], int]:
        """The turns shown before turn `before`, and how many there are before those."""
        turns = [turn.told for number, turn in self._turns.items() if number < before]
        return turns[-TURNS_SHOWN:], max(len(turns) - TURNS_SHOWN, 0)

    def was_busy(self, seconds: float) -> None:
        """The kernel was blocked for so long. Each time is told, also when it was as long as the last."""
        self._ops.append(["set", "busy_ms", round(seconds * 1000)])

    def _fold(self, event: Event) -> None:
        self.standstill.fold(event)
        self._was_charged = self._was_charged or _charges(event.body)
        match event.body:
            case StateChanged(state):
                self._set("state", state)
            case BreakpointsSet(points):
                self._set("breakpoints", list(points))
            case MicrophoneMuted(muted):
                self._set("muted", muted)
            case TranscriptPartial(text):
                self._set("partial", " ".join((*self._words, text)))
            case TranscriptFinal(text):
                self._words.append(text)
                self._set("partial", " ".join(self._words))
            case UtteranceDropped() | TurnStarted(source="speech") | TurnWords():
                self._words.clear()
                self._set("partial", "")
            case StageFailed(stage, error):
                fault = {"id": len(self._faults) + 1, "stage": stage, "turn": event.turn, **error_to_dict(error)}
                self._faults.append(fault)
                self._ops.append(["fault", fault])

    def _refresh(self) -> None:
        """What is told by the agent, and by all turns together."""
        agent = self._session.agent
        parts = {word: getattr(agent, stage) for word, stage in _STAGES.items()} if agent.engine is None else {"engine": agent.engine}
        self._set("runs", {word: _chip(part) for word, part in parts.items() if part is not None})
        self._set("half_duplex", agent.turn_taking.half_duplex)
        if self._was_charged:
            self._was_charged = False
            self._account(self._session.turns)
        self._set("state", self._session.state)
        self._set("stopped_at", self.standstill.told)
        newest = [*self._turns.values()][-1:]
        self._set("calling", [call["name"] for turn in newest for call in turn.told["tools"] if call["status"] == "running"])

    def _account(self, turns: Turns) -> None:
        """What is spent. That looks at all turns, and so is done only where something was charged."""
        charges = turns.charges
        over = [(turn, turn.charges) for turn in turns if turn.status != "running"]
        self._set("spent", _spent(charges, over))
        self._set("spent_by", _spent_by(charges, over))

    def _set(self, name: str, value: Json) -> None:
        if self._top[name] != value:
            self._top[name] = value
            self._ops.append(["set", name, value])


def _joined(turn: dict[str, Json]) -> list[dict[str, Json]]:
    """The pieces of a turn; where it is settled how far they were heard, those of one kind in one."""
    if turn["heard"] is None:
        return list(turn["pieces"])
    joined: list[dict[str, Json]] = []
    for piece in turn["pieces"]:
        if joined and (joined[-1]["kind"], joined[-1]["by"]) == (piece["kind"], piece["by"]):
            last = joined[-1]
            start = piece["start"] if last["start"] is None else last["start"]
            stop = last["stop"] if piece["stop"] is None else piece["stop"]
            text, done = last["text"] + piece["text"], last["done"] and piece["done"]
            joined[-1] = {**last, "text": text, "start": start, "stop": stop, "done": done}
        else:
            joined.append(piece)
    return joined


def _chip(part: object) -> dict[str, Json]:
    """Who does a stage. Of a provider nothing is read but its name and whether it costs: keys live in the rest."""
    provider, model = name_of(part)
    return {"name": provider, "model": model, "costs": costs_of(part)}


def _charges(body: Body) -> bool:
    """Whether this may change what is spent, or by which turns that are over."""
    return isinstance(body, _CHARGING) or (isinstance(body, LLMChunked) and body.chunk.type == "usage")


def _spent(charges: Sequence[Charge], over: Over) -> dict[str, Json]:
    """All that is known of what the session costs, and how many turns are of unknown price. Of one that runs it is not told yet."""
    known = sum((charge.cost for charge in charges if charge.cost is not None), Decimal(0))
    sums = ((turn, total(charge.cost for charge in own)) for turn, own in over)
    costs = [cost for turn, cost in sums if turn.requests or cost != 0]
    unpriced = costs.count(None)
    return {"usd": str(known) if known or len(costs) > unpriced else None, "unpriced": unpriced}


def _spent_by(charges: Sequence[Charge], over: Over) -> dict[str, Json]:
    """The same for each stage that was used, also where another has taken its place."""
    by: dict[str, Json] = {}
    for word, stage in (*_STAGES.items(), ("engine", "engine")):
        costs = [charge.cost for charge in charges if charge.stage == stage]
        known = [cost for cost in costs if cost is not None]
        unpriced = sum(any(charge.stage == stage and charge.cost is None for charge in own) for _, own in over)
        if known or unpriced:
            by[word] = {"usd": str(sum(known)) if known else None, "unpriced": unpriced}
    return by
