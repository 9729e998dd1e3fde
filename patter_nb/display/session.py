"""A session at one glance: its state in a word, who hears, thinks and speaks, what it has come to, and its last turns."""

from __future__ import annotations

from decimal import Decimal

from patter_nb.display.agent import stages
from patter_nb.display.figures import count, money
from patter_nb.display.markup import Html, foreign, join, line, tag
from patter_nb.display.turn import TURNS_SHOWN, clean_line, turn_text, turns_list
from patter_nb.session import Session
from patter_nb.turns import Turns

__all__ = ["session_page", "session_text"]

_MOODS = {"ready": "ok", "listening": "you", "thinking": "agent", "calling": "agent", "speaking": "agent", "paused": "warn"}


def session_text(session: Session) -> str:
    """The session in lines of plain text."""
    turns = session.turns[-TURNS_SHOWN:]
    before = [f"… {count(len(session.turns) - len(turns), 'earlier turn')}"] if len(session.turns) > len(turns) else []
    lines = [f"Session {line(session.name, 60)}: {_state(session)}"]
    lines += [f"  {word:14}{line(what, 120)}" for word, what in stages(session.agent.parts())]
    return "\n".join((*lines, f"  {_counts(session)}", *before, *map(turn_text, turns)))


def session_page(session: Session) -> Html:
    """The session as it is at this moment; a saved notebook keeps that."""
    state = tag("span", "● ", _state(session), cls=_MOODS.get(session.state, "dim"))
    runs = (join(tag("dt", word), tag("dd", tag("b", foreign(what, 200)))) for word, what in stages(session.agent.parts()))
    said = turns_list(session.turns) if len(session.turns) else _EMPTY
    head = tag("div", tag("b", "Session ", foreign(session.name, 100)), " ", state)
    return join(head, tag("dl", *runs), tag("p", _counts(session), cls="dim"), said)


_EMPTY = tag("p", "Nothing was said yet. Try: ", tag("code", 'await session.ask("What can you do?")'))


def _state(session: Session) -> str:
    """The state in a word; a tool that runs is named."""
    if session.state == "calling" and len(session.turns):
        running = [line(call.name, 64) for call in session.turns[-1].tool_calls if call.status == "running"]
        return " ".join(("Calling", ", ".join(running)))
    return session.state.capitalize()


def _counts(session: Session) -> str:
    charges = session.turns.charges
    figures = [count(len(session.turns), "turn"), count(len(session.tool_calls), "tool call"), count(len(session.chunks), "chunk")]
    return clean_line(*figures, count(len(session.events), "event"), *([_spent(session.turns)] if charges else []))


def _spent(turns: Turns) -> str:
    """All that is known of what the session costs, and how much is not."""
    known = sum((charge.cost for charge in turns.charges if charge.cost is not None), Decimal(0))
    if all(charge.cost is not None for charge in turns.charges):
        return money(known, refused=any(request.is_refused for turn in turns for request in turn.requests))
    costs = [turn.cost for turn in turns if turn.charges]
    unpriced = count(costs.count(None), "unpriced turn") if None in costs else "unpriced speech"
    return f"{money(known)} + {unpriced}" if known or len(costs) > costs.count(None) else money(None)
