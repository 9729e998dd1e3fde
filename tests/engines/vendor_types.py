"""Messages of engines against the vendors' own types: what neither side may send is an `AssertionError` that shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from google.genai import types
from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from pydantic import BaseModel, ValidationError

from patter_nb.testing.wire.gemini_live import GeminiLiveServer
from patter_nb.testing.wire.realtime import RealtimeServer

Message = Mapping[str, Any]


def by_type(union: Any) -> dict[str, type[BaseModel]]:
    """The members of one of OpenAI's unions by the `type` of their messages."""
    return {get_args(member.model_fields["type"].annotation)[0]: member for member in get_args(get_args(union)[0])}


OPENAI_TAKES, OPENAI_SAYS = by_type(RealtimeClientEvent), by_type(RealtimeServerEvent)


def check_openai(server: RealtimeServer) -> None:
    """Every message of both sides is one of OpenAI's Realtime API."""
    for side, known in ((server.received, OPENAI_TAKES), (server.sent, OPENAI_SAYS)):
        for message in side:
            assert message.get("type") in known, f"OpenAI knows no such message: {message!r:.500}"
            check(message, known[message["type"]])


def check_google(server: GeminiLiveServer) -> None:
    """Every message of both sides is one of Google's Live API."""
    for message in [{"setup": setup} for setup in server.setups] + server.received:
        check(message, types.LiveClientMessage)
    for message in server.sent:
        check(message, types.LiveServerMessage)


def check(message: Message, model: type[BaseModel]) -> None:
    text = json.dumps(message)
    try:
        taken = model.model_validate_json(text)
    except ValidationError as error:
        raise AssertionError(f"Not the vendor's {model.__name__}: {text[:500]}\n{error}") from error
    assert not [*strangers(taken)], f"{[*strangers(taken)]} are no fields of {model.__name__}: {text[:500]}"


def strangers(value: Any, path: str = "") -> Iterator[str]:
    """The fields that a model does not know; OpenAI's models keep them beside their own."""
    if isinstance(value, BaseModel):
        yield from (f"{path}.{name}" for name in value.model_extra or ())
        for name in type(value).model_fields:
            yield from strangers(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from strangers(item, f"{path}[{number}]")
