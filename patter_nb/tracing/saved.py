"""events.jsonl read back: each line as the event that it was written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from json import loads
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from patter_nb import errors
from patter_nb.errors import AllProvidersFailed, PatterError, RateLimitError, TruncatedStream
from patter_nb.events import EVENT_TYPES, Body, Event
from patter_nb.llm.base import LLMChunk
from patter_nb.stt.base import Word

__all__ = ["event_of", "read_events"]

_KNOWN = ("provider", "model", "status", "code", "request_id", "hint")


def read_events(path: str | PathLike[str]) -> tuple[Event, ...]:
    """The events of a file that `session.events.write` made. Raises `PatterError`, naming the line, for one that is none."""
    try:
        lines = Path(path).read_text("utf-8").removesuffix("\n").split("\n")  # splitlines also splits at U+2028, which JSON may hold
    except (OSError, UnicodeDecodeError) as error:
        raise PatterError(f"{fspath(path)} cannot be read: {error}", hint="Pass the events.jsonl of a session.") from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(event_of(loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            told = f"Line {number} of {fspath(path)} is no event: {type(error).__name__}: {error}"
            raise PatterError(told, hint="Pass the events.jsonl of a session of this version.") from error
    return tuple(found)


def event_of(wire: Mapping[str, Any]) -> Event:
    """The event whose `to_dict` this is. Raises `KeyError`, `TypeError` or `ValueError` for what is none."""
    kind = EVENT_TYPES[wire["type"]]
    told = {field.name: _value(field.name, wire[field.name]) for field in fields(kind) if field.name in wire}  # type: ignore[arg-type]  # every body is a dataclass
    body: Body = kind(**told)
    return Event(wire["seq"], wire["t_ms"], wire["wall_s"], wire["epoch"], wire["turn"], body)


def _value(name: str, value: Any) -> Any:
    match name, value:
        case "error", {"type": _}:
            return _error(value)
        case "chunk", {}:
            return LLMChunk(**value)
        case "words", list():
            return tuple(Word(**word) for word in value)
        case "tokens", list():
            return tuple(LLMChunk(**chunk) for chunk in value)
        case _, list():
            return tuple(value)
        case _:
            return value


def _error(wire: Mapping[str, Any]) -> PatterError:
    """An error with what was saved of it; a kind of this package's, or the family's base for any other."""
    kind = getattr(errors, wire["type"]) if wire["type"] in errors.__all__ else PatterError
    error: PatterError = kind.__new__(kind)
    PatterError.__init__(error, wire["message"], **{name: wire.get(name) for name in _KNOWN})
    match error:
        case RateLimitError():
            error.retry_after_s = wire.get("retry_after_s")
        case TruncatedStream():
            error.partial_text = wire.get("partial_text", "")
        case AllProvidersFailed():
            error.errors = tuple(_error(one) for one in wire.get("errors", ()))
    return error
