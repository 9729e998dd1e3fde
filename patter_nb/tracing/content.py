"""What was said to a model and by it, in the conventions' own form: JSON of messages that consist of parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from json import dumps
from typing import Any

from patter_nb.llm.base import LLMChunk, Message
from patter_nb.turn import parsed_arguments

__all__ = ["input_messages", "output_messages", "said"]


def said(role: str, text: str) -> str | None:
    """One message of text, None for no text."""
    return _json([{"role": role, "parts": [_text(text)]}]) if text else None


def input_messages(messages: Sequence[Message]) -> str:
    """What the model was sent."""
    return _json([{"role": str(message["role"]), "parts": _parts(message)} for message in messages])


def output_messages(chunks: Iterable[LLMChunk], finish_reason: str | None) -> str:
    """What it answered."""
    text, calls = "", dict[int, dict[str, str]]()
    for chunk in chunks:
        if chunk.type == "text":
            text += chunk.content or ""
        elif chunk.type == "tool_call":
            call = calls.setdefault(chunk.index or 0, {"id": "", "name": "", "arguments": ""})
            call |= {"id": chunk.id or call["id"], "name": chunk.name or call["name"]}
            call["arguments"] += chunk.arguments or ""
    parts = [_text(text)] if text else []
    parts += [_call(call["id"], call["name"], call["arguments"]) for call in calls.values()]
    reason = "tool_call" if finish_reason == "tool_calls" else finish_reason
    return _json([{"role": "assistant", "parts": parts, "finish_reason": reason or "error"}])


def _parts(message: Message) -> list[dict[str, Any]]:
    content = message.get("content")
    if message["role"] == "tool":
        return [{"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}]
    calls: Iterable[Mapping[str, Any]] = message.get("tool_calls") or ()
    made = [_call(call.get("id", ""), call["function"]["name"], call["function"]["arguments"]) for call in calls]
    return ([_text(content if isinstance(content, str) else _json(content))] if content else []) + made


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}


def _call(id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"type": "tool_call", "id": id, "name": name, "arguments": parsed_arguments(arguments)}


def _json(value: object) -> str:
    return dumps(value, default=repr)  # ASCII: a lone surrogate that a model wrote can be sent too
