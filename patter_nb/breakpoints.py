"""A breakpoint as its user sees it: what the answer stopped before, and what may be changed of it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from patter_nb.errors import PatterConfigError
from patter_nb.events import Breakpoint
from patter_nb.keywords import reject_unknown
from patter_nb.llm.base import Message
from patter_nb.step.breakpoints import EDITS, point_of
from patter_nb.step.effects import AskLLM, RunTool, Speak
from patter_nb.step.state import State
from patter_nb.turn import Turn, parsed_arguments

__all__ = ["GoingOn", "PausedAt", "checked", "paused_at", "require_points"]


@dataclass(frozen=True, slots=True)
class PausedAt:
    """Where turn number `turn` has stopped: before a request with `messages`, a call of `tool` with `arguments`, or speaking `text`."""

    point: Breakpoint
    turn: int
    messages: tuple[Message, ...] = ()
    tool: str = ""
    arguments: Mapping[str, Any] | str = ""
    text: str = ""

    def __repr__(self) -> str:
        match self.point:
            case "llm_request":
                said = ((message["role"], message.get("content") or message.get("tool_calls")) for message in self.messages)
                what = "\n".join(("the model is asked:", *(f"    {role}: {content!s:.200}" for role, content in said), ""))
                edit = "messages=[...]"
            case "tool_call":
                given = self.arguments
                told = given if isinstance(given, str) else ", ".join(f"{name}={value!r}" for name, value in given.items())
                what, edit = f"{self.tool}({told}) runs. ", "arguments={...}), session.resume(result=..."
            case _:
                what, edit = f"it says {self.text.strip()!r}. ", 'text="..."'
        return f"Turn {self.turn} stopped before {what}Go on: session.resume(), session.resume({edit})"


def paused_at(state: State) -> PausedAt | None:
    """What the answer has stopped before."""
    if not state.held:
        return None
    held = state.held[0]
    match held:
        case AskLLM(turn=turn, messages=messages):
            return PausedAt(point_of(held), turn, messages=messages)
        case RunTool(turn=turn, request=request):
            return PausedAt(point_of(held), turn, tool=request.name, arguments=parsed_arguments(request.arguments))
        case Speak(turn=turn, text=text):
            return PausedAt(point_of(held), turn, text=text)


def checked(stopped: PausedAt, edits: Mapping[str, Any]) -> dict[str, Any]:
    """The edits as they are written. Raises `TypeError` for one that is not of this point, `PatterConfigError` for a wrong value."""
    reject_unknown(f"resume at {stopped.point}", edits, EDITS[stopped.point])
    if len(edits) > 1:
        raise PatterConfigError("A tool whose result is given does not run.", hint="Pass arguments=, or result=.")
    return {name: _written(name, value) for name, value in edits.items()}


def require_points(points: Iterable[object]) -> None:
    """Raise for what is no breakpoint."""
    for point in points:
        if point not in EDITS:
            raise PatterConfigError(f"There is no breakpoint {point!r}.", hint=f"Use {', '.join(map(repr, EDITS))}.")


class GoingOn(Awaitable[Turn]):
    """An answer that goes on; awaited, it is the turn at its end, or at the next breakpoint."""

    def __init__(self, turn: Turn, over: Callable[[], Coroutine[Any, Any, Turn]]) -> None:
        self._turn, self._over = turn, over

    def __await__(self) -> Generator[Any, None, Turn]:
        return self._over().__await__()

    def __repr__(self) -> str:
        return f"Turn {self._turn.id} goes on; `await` waits for its end, or the next breakpoint."


def _written(name: str, value: object) -> Any:
    match name:
        case "messages":
            if isinstance(value, (list, tuple)) and value and all(isinstance(message, Mapping) and "role" in message for message in value):
                return tuple(dict(message) for message in value)
            raise PatterConfigError("messages is no list of messages.", hint='For example [{"role": "user", "content": "Hello."}].')
        case "text":
            if isinstance(value, str) and value.strip():
                return value
            raise PatterConfigError(f"text={value!r:.80} is nothing to say.", hint="Pass the text to speak instead.")
        case _:
            return value if isinstance(value, str) else _json(name, value)


def _json(name: str, value: object) -> str:
    if name == "arguments" and not isinstance(value, Mapping):
        raise PatterConfigError(f"arguments is {type(value).__name__}, not a dict.", hint='For example arguments={"city": "Rome"}.')
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError) as error:
        raise PatterConfigError(f"{name} cannot be written as JSON: {error}", hint="Pass text, or plain values.") from error
