"""Python to paste into a cell, as a page offers it: what a click does, written out, so that it can be read, changed and kept."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from IPython.core.getipython import get_ipython

from patter_nb.session import Session

if TYPE_CHECKING:
    from patter_nb.breakpoints import PausedAt
    from patter_nb.offers import Offer

__all__ = ["MODEL", "literal", "name_of_session", "preparing", "resuming", "using"]

MODEL: Final = "{model}"
"""Where in the cell of an offer the page writes the name of the model that was chosen."""
_LONG: Final = 20_000


def name_of_session(session: Session) -> str:
    """The notebook's variable for the session, "session" where it has none, or several."""
    shell = get_ipython()
    variables = {} if shell is None else dict(shell.user_ns)
    names = [name for name, value in variables.items() if value is session and not name.startswith("_")]
    return names[0] if len(names) == 1 else "session"


def using(offers: Mapping[str, Offer | None], session: str, models: Mapping[str, str | None]) -> str:
    """A cell by which `session` uses these parts (None: nothing in its place), each of the model that is named for it."""
    needed = [offer for offer in offers.values() if offer is not None]
    parts = ", ".join(f"{part}={'None' if offer is None else _made(offer, models.get(part))}" for part, offer in offers.items())
    names = ", ".join(sorted(offer.name for offer in needed))
    return "\n".join((*preparing(needed), *([f"from patter_nb import {names}", ""] if needed else []), f"{session}.use({parts})"))


def preparing(offers: Sequence[Offer]) -> list[str]:
    """What comes first: what is missing is installed, and a key is asked for where nobody but the process will have it."""
    commands = dict.fromkeys(command for offer in offers for command in offer.commands)
    variables = dict.fromkeys(name for offer in offers for name in offer.missing_variables)
    lines = [f"{'%' if command.startswith('pip') else '!'}{command}" for command in commands]
    if lines:
        lines.append("")
    if variables:
        asked = [f'os.environ["{name}"] = getpass("{name}: ")' for name in variables]
        lines += ["import os", "from getpass import getpass", "", *asked, ""]
    return lines


def resuming(stopped: PausedAt, session: str) -> str:
    """A cell by which the answer goes on from where it stopped, with what it is about to do as it is, to be changed."""
    match stopped.point:
        case "llm_request":
            messages = "".join(f"    {literal(message)},\n" for message in stopped.messages)
            short = f"{session}.resume(messages=[\n{messages}])"
            long = f"messages = [*{session}.paused_at.messages]\n{session}.resume(messages=messages)"
            return short if len(short) <= _LONG else long
        case "tool_call":
            short = f"{session}.resume(arguments={literal(stopped.arguments)})"
            long = f"arguments = {session}.paused_at.arguments\n{session}.resume(arguments=arguments)"
            return short if len(short) <= _LONG else long
        case _:
            return f"{session}.resume(text={literal(stopped.text)})"


def literal(value: object) -> str:
    """A plain value as Python writes it, in double quotes; nothing in it acts on who reads it (`\\u202e` stays written out).

    >>> literal({"city": "Rome", "days": [1, None]})
    '{"city": "Rome", "days": [1, None]}'
    """
    match value:
        case str():
            return '"' + "".join(map(_escaped, value)) + '"'
        case Mapping():
            return "{" + ", ".join(f"{literal(key)}: {literal(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(literal, value)) + "]"
        case float() if not math.isfinite(value):
            return f'float("{value}")'
        case _:
            return repr(value)


def _made(offer: Offer, model: str | None) -> str:
    return f"{offer.name}()" if model is None else f'{offer.name}(model="{model}")'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
