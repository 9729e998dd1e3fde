"""A conversation as Gemini's contents, and a call that comes in pieces."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from patter_nb.errors import MalformedStream
from patter_nb.llm.base import Message
from patter_nb.llm.wire.history import arguments_of, called_names, extra_of, text_of

__all__ = ["Growing", "contents_of"]

BEGIN: Final = "(call connected)"
"""What the person's first message is where the agent spoke first, since a conversation has to begin with the person."""
_UNSIGNED: Final = "skip_thought_signature_validator"
"""What Google's "Thought signatures" names for a call that another model made."""
_VALUES: Final = ("stringValue", "numberValue", "boolValue")
_STEP: Final = re.compile(r"\[(\d+)\]|\['([^']*)'\]|\.?([^.\[\]]+)")


def contents_of(messages: Sequence[Message], provider: str, *, needs_signatures: bool) -> list[dict[str, Any]]:
    """User and model by turns, results of one round together, the person first. `messages` are sound."""
    names = called_names(messages)
    contents: list[dict[str, Any]] = []
    for message in messages:
        role, parts = "user", []
        match message["role"]:
            case "assistant":
                role, parts = "model", _said(message, provider, needs_signatures=needs_signatures)
            case "tool":
                parts = [_response(message, names, messages, provider)]
            case "user" if text_of(message).strip():
                parts = [{"text": text_of(message)}]
        if not parts:
            continue
        if contents and contents[-1]["role"] == role and _are_responses(contents[-1]["parts"]) == _are_responses(parts):
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": role, "parts": parts})
    if not contents or contents[0]["role"] == "model":
        contents.insert(0, {"role": "user", "parts": [{"text": BEGIN}]})
    return contents


def _are_responses(parts: Sequence[Mapping[str, Any]]) -> bool:
    return "functionResponse" in parts[0]


def _said(message: Message, provider: str, *, needs_signatures: bool) -> list[dict[str, Any]]:
    text = text_of(message)
    parts: list[dict[str, Any]] = [{"text": text}] if text.strip() else []
    calls = message.get("tool_calls") or ()
    for place, call in enumerate(calls):
        ours = extra_of(call, provider) or {}
        told = {"name": call["function"]["name"], "args": arguments_of(call)}
        part: dict[str, Any] = {"functionCall": {**told, "id": ours["id"]} if "id" in ours else told}
        if "signature" in ours:
            part["thoughtSignature"] = ours["signature"]
        elif needs_signatures and place == 0 and not any(extra_of(each, provider) for each in calls):
            part["thoughtSignature"] = _UNSIGNED
        parts.append(part)
    return parts


def _response(message: Message, names: Mapping[str, str], messages: Sequence[Message], provider: str) -> dict[str, Any]:
    """A result by its function's name, with the id that Google gave the call, if it did."""
    id, text = message["tool_call_id"], text_of(message)
    calls = (call for each in messages for call in each.get("tool_calls") or () if call["id"] == id)
    given = next(((extra_of(call, provider) or {}).get("id") for call in calls), None)
    told = {"name": names.get(id, id), "response": _object(text)}
    return {"functionResponse": {**told, "id": given} if given else told}


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {"result": text}
    return value if isinstance(value, dict) else {"result": value}


class Growing:
    """A call whose arguments come whole, or as values by JSON path ("$.city", "$.days[0]"), texts of them in pieces."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.id: str | None = None
        self.signature: str | None = None
        self.arguments: dict[str, Any] = {}

    def take(
        self,
        name: str | None,
        id: str | None,
        args: Mapping[str, Any] | None,
        partial: Sequence[Mapping[str, Any]] | None,
        signature: str | None,
    ) -> None:
        """One more piece."""
        self.name, self.id, self.signature = name or self.name, id or self.id, signature or self.signature
        self.arguments.update(args or {})
        for piece in partial or ():
            value = next((piece[key] for key in _VALUES if key in piece), None)
            path = str(piece.get("jsonPath", "$")).removeprefix("$")
            try:
                self._put(path, value)
            except (AttributeError, IndexError, TypeError, ValueError) as error:
                told = f"Google's model put a value at {path!r:.80}, where there is no place for it."
                raise MalformedStream(told, provider="google", hint="Ask again, or describe the tool better.") from error

    def _put(self, path: str, value: Any) -> None:
        steps = [int(number) if number else quoted or name for number, quoted, name in _STEP.findall(path)]
        if not steps:
            return
        at: Any = self.arguments
        for step, after in pairwise(steps):
            at = _child(at, step, [] if isinstance(after, int) else {})
        before = _child(at, steps[-1], None)
        at[steps[-1]] = before + value if isinstance(before, str) and isinstance(value, str) else value


def _child(at: Any, step: int | str, empty: Any) -> Any:
    """What is at `step` of a dict or list, `empty` put there where there is nothing."""
    if isinstance(at, list):
        at.extend([None] * (int(step) + 1 - len(at)))
        if at[int(step)] is None:
            at[int(step)] = empty
        return at[int(step)]
    return at.setdefault(step, empty)
