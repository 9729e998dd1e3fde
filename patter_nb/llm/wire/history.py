"""A conversation as every vendor takes it: each call has its answer, right behind it, and no answer is without its call.

Messages come from a session, from a person's own list, or from another vendor's turn that broke off; vendors refuse the whole request
for one message out of place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from patter_nb.llm.base import Message, ToolSpec

__all__ = ["arguments_of", "called_names", "extra_of", "functions", "sound", "system_text", "text_of"]

_LOST = json.dumps({"error": "The result of this call is lost.", "fallback": True})


def sound(messages: Sequence[Message]) -> list[Message]:
    """`messages`, with the answers to calls right behind them in their order; one that is missing says so, one too many is left out.

    >>> call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    >>> messages = [{"role": "tool", "tool_call_id": "c0", "content": "?"}, {"role": "assistant", "tool_calls": [call]}]
    >>> [message["role"] for message in sound(messages)]
    ['assistant', 'tool']
    """
    kept: list[Message] = []
    for place, message in enumerate(messages):
        if message["role"] != "tool":
            kept.append(message)
        if calls := message.get("tool_calls"):
            answers = {answer["tool_call_id"]: answer for answer in _answers_behind(messages, place)}
            kept += [answers.get(call["id"]) or {"role": "tool", "tool_call_id": call["id"], "content": _LOST} for call in calls]
    return kept


def _answers_behind(messages: Sequence[Message], place: int) -> Iterator[Message]:
    for message in messages[place + 1 :]:
        if message["role"] == "tool":
            yield message
        elif message.get("tool_calls"):
            return


def system_text(messages: Sequence[Message]) -> str:
    """All system messages as one text, an empty line between."""
    return "\n\n".join(text for message in messages if message["role"] == "system" and (text := text_of(message)).strip())


def text_of(message: Message) -> str:
    """The text of a message, whose content may be a list of parts; what is no text is left out."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return "" if content is None else str(content)


def arguments_of(call: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call in a conversation, {} where they are no object."""
    try:
        value = json.loads(call["function"].get("arguments") or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def called_names(messages: Sequence[Message]) -> dict[str, str]:
    """The name of each tool that was called, by the call's id."""
    return {call["id"]: call["function"]["name"] for message in messages for call in message.get("tool_calls") or ()}


def functions(tools: Sequence[ToolSpec] | None) -> list[dict[str, Any]]:
    """The name, description and parameters of each tool; wrapped or bare, and without what is meant for others."""
    return [dict(tool.get("function", tool)) for tool in tools or ()]


def extra_of(holder: Mapping[str, Any], provider: str) -> Any:
    """What `provider` wanted back with this message or call, None where it did not, or another vendor did."""
    extra = holder.get("extra")
    return extra.get(provider) if isinstance(extra, Mapping) else None
