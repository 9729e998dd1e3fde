"""A moment of a session: what was going on, what had been said, and how far it had been heard."""

from __future__ import annotations

from patter_nb.display.markup import Html, foreign, join, line, tag
from patter_nb.display.tools import call_line, call_text
from patter_nb.timeline.moment import Moment

__all__ = ["moment_lines", "moment_page", "moment_text"]


def moment_lines(moment: Moment) -> list[tuple[str, str]]:
    """What there is to tell, by name; in words, without tool calls one by one."""
    calls = ", ".join(f"{call.name} {call.status}" for call in moment.tool_calls)
    asked = " ".join(filter(None, (moment.provider, moment.model)))
    measured = [f"voice {moment.voice:.0%}"] if moment.voice is not None else []
    measured += [f"finished {moment.end_of_turn:.0%}"] if moment.end_of_turn is not None else []
    rest = _rest(moment)
    told = (
        ("state", " · ".join((_where(moment), *measured))),
        ("you", moment.user_text),
        ("model", f"{asked}, {len(moment.chunks)} chunks" if asked else ""),
        ("tools", calls),
        ("heard", moment.heard_text),
        ("not heard yet", rest),
    )
    return [(name, text) for name, text in told if text]


def moment_text(moment: Moment) -> str:
    """The moment in lines of plain text."""
    lines = [f"{_head(moment)}", *(f"  {name:14}{line(text, 400)}" for name, text in moment_lines(moment) if name != "tools")]
    return "\n".join((*lines, *(f"  {'tool':14}{call_text(call)}" for call in moment.tool_calls)))


def moment_page(moment: Moment) -> Html:
    """The moment as a list, what was not heard yet in ghost."""
    rows = [join(tag("dt", name), tag("dd", _shown(name, text))) for name, text in moment_lines(moment) if name != "tools"]
    calls = [join(tag("dt", "tools"), tag("dd", *(call_line(call, 200) for call in moment.tool_calls)))] if moment.tool_calls else []
    return join(tag("div", tag("b", _head(moment))), tag("dl", *rows, *calls))


def _shown(name: str, text: str) -> Html:
    return tag("em", foreign(text, 4000)) if name == "not heard yet" else foreign(text, 4000)


def _head(moment: Moment) -> str:
    when = f"{moment.t_ms / 1000:.3f} s"
    return f"{when}, in no turn" if moment.ms is None else f"Turn {moment.turn}, {moment.ms:.0f} ms ({when})"


def _where(moment: Moment) -> str:
    status = f"turn {moment.turn} {moment.status or 'not begun'}" if moment.turn is not None else "in no turn"
    return f"{moment.state} · {status} · epoch {moment.epoch}"


def _rest(moment: Moment) -> str:
    """What had gone to the voice, or come from the model, and was not heard yet."""
    said = moment.agent_text or moment.text
    return said[len(moment.heard_text) :].strip() if said.startswith(moment.heard_text) else said
