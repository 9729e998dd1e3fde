"""The wire form of events: plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from patter_nb.errors import AllProvidersFailed, PatterError, RateLimitError, TruncatedStream
from patter_nb.events.body import Body
from patter_nb.llm.base import LLMChunk
from patter_nb.stt.base import Word


def body_to_dict(body: Body) -> dict[str, Any]:
    """The fields of an event's body as plain JSON values; a `Word` is an object of its own fields, without those that are None."""
    told = fields(body)  # type: ignore[arg-type]  # every body is a dataclass
    return {f.name: _plain(value) for f in told if (value := getattr(body, f.name)) or not f.metadata.get("left_out_when_empty")}


def error_to_dict(error: PatterError) -> dict[str, Any]:
    """An error's type, message and whatever else it knows."""
    known: dict[str, Any] = {"provider": error.provider, "model": error.model, "status": error.status, "code": error.code}
    known |= {"request_id": error.request_id, "hint": error.hint}
    match error:
        case RateLimitError():
            known["retry_after_s"] = error.retry_after_s
        case TruncatedStream():
            known["partial_text"] = error.partial_text
        case AllProvidersFailed():
            known["errors"] = [_plain(one) for one in error.errors]
    return {"type": type(error).__name__, "message": error.message, **{key: value for key, value in known.items() if value is not None}}


def _plain(value: object) -> Any:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case LLMChunk():
            return _plain(value.to_dict())
        case Word():
            return {f.name: part for f in fields(value) if (part := getattr(value, f.name)) is not None}
        case PatterError():
            return error_to_dict(value)
        case BaseException():
            return {"type": type(value).__name__, "message": str(value)}
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item) for item in value]
        case _:
            return repr(value)
