"""A change of the agent as a diff: prompts by line, tools by signature, providers by name; of variables only names: they hold secrets."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

from patter_nb.display.markup import Html, foreign, join, left_out, line, tag
from patter_nb.events import AgentChanged

__all__ = ["change_page", "change_text", "changed_rows"]

Sign: TypeAlias = Literal["+", "-", "~", " "]
Row: TypeAlias = tuple[Sign, str]

_TEXTS = ("system_prompt", "first_message", "error_message")
_LINES_SHOWN = 40
_TOOL = re.compile(r"([\w-]+)\(.*?\)(?=, [\w-]+\(|$)")
_MOODS = {"+": "ok", "-": "bad", "~": "warn", " ": "dim"}
_SIGNS = {"+": "added", "-": "removed", "~": "changed"}


def change_text(changed: AgentChanged) -> str:
    """The parts that differ, each with what goes ("-"), comes ("+") and is another ("~")."""
    lines = [_title(changed)]
    for name in changed.changes:
        rows = changed_rows(changed, name)
        lines.append(f"  {name}")
        lines += [f"    {sign} {line(text, 300)}" for sign, text in rows[:_LINES_SHOWN]]
        lines += [f"    … {len(rows) - _LINES_SHOWN:,} more lines not shown"] if len(rows) > _LINES_SHOWN else []
    return "\n".join(lines)


def change_page(changed: AgentChanged) -> Html:
    """The same as a list of parts."""
    parts = [join(tag("dt", name), tag("dd", _rows(changed_rows(changed, name)))) for name in changed.changes]
    return join(tag("div", tag("b", _title(changed))), tag("dl", *parts) if parts else "")


def changed_rows(changed: AgentChanged, name: str) -> list[Row]:
    """What one part has lost ("-"), got ("+") and has otherwise ("~"), and what stays beside that (" ").

    >>> changed_rows(AgentChanged({"system_prompt": ("Be kind.\\nAnswer.", "Be brief.\\nAnswer.")}, "turn"), "system_prompt")
    [('-', 'Be kind.'), ('+', 'Be brief.'), (' ', 'Answer.')]
    """
    before, after = changed.changes[name]
    if name in _TEXTS:
        return list(_text(before, after))
    if name == "tools":
        return list(_tools(before, after))
    if before == after:
        return [("~", f"{after}: other values" if name == "variables" else f"{after}, another")]
    if name == "variables":
        return list(_names(before, after))
    return [("~", f"{before} → {after}")]


def _title(changed: AgentChanged) -> str:
    if not changed.changes:
        return "Agent: nothing changed"
    return "Agent changed now, in the middle of what it says" if changed.when == "now" else "Agent changed, from the next turn on"


def _text(before: str, after: str) -> Iterator[Row]:
    """The lines that differ, with one beside them on either side."""
    old, new = before.splitlines(), after.splitlines()
    for told in list(difflib.unified_diff(old, new, lineterm="", n=1))[2:]:
        if told.startswith("@@"):
            continue
        yield ("+" if told[0] == "+" else "-" if told[0] == "-" else " "), told[1:]


def _tools(before: str, after: str) -> Iterator[Row]:
    old, new = ({found[1]: found[0] for found in _TOOL.finditer(text)} for text in (before, after))
    for name, signature in new.items():
        if name not in old:
            yield "+", signature
        elif old[name] != signature:
            yield "~", f"{old[name]} → {signature}"
    yield from (("-", signature) for name, signature in old.items() if name not in new)
    if old == new:
        yield "~", "the same names and arguments, other functions or descriptions"


def _names(before: str, after: str) -> Iterator[Row]:
    old, new = ([name for name in text.split(", ") if name != "none"] for text in (before, after))
    yield from (("+", name) for name in new if name not in old)
    yield from (("-", name) for name in old if name not in new)


def _rows(rows: list[Row]) -> Html:
    shown = [
        tag("div", tag("code", join(sign, " ", foreign(text, 1500))), cls=_MOODS[sign], **_said(sign)) for sign, text in rows[:_LINES_SHOWN]
    ]
    return join(*shown, left_out(max(0, len(rows) - _LINES_SHOWN), "lines"))


def _said(sign: Sign) -> dict[str, str]:
    """What the sign means, for who does not see it."""
    return {"title": _SIGNS[sign]} if sign in _SIGNS else {}
