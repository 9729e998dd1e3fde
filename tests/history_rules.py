"""What each vendor demands of a conversation, as pure checks of OpenAI-shaped messages: each returns what it finds wrong.

Written from the vendors' documented rules and the translation that every encoder makes, not from our own code. OpenAI: an
answer for every call, right behind it. Anthropic: user and assistant in turn, no empty text, results first in the message
after their calls, ids unique. Gemini: as many responses as calls, right behind them, and calls only after the user or a response.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

Message = dict[str, Any]
GREETING_STAND_IN = "(call connected)"
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ID = re.compile(r"[a-zA-Z0-9_-]{1,40}")


def faults(messages: Sequence[Message]) -> list[str]:
    """Everything that any vendor would reject."""
    found = openai_faults(messages)
    return found or [*anthropic_faults(messages), *gemini_faults(messages)]


def request_faults(messages: Sequence[Message]) -> list[str]:
    """As `faults`, for a request: it also ends with what the model is to react to, not with the model's own words."""
    if not messages or messages[-1]["role"] not in ("user", "tool"):
        return [f"a request ends with {messages[-1:]}"]
    return faults(messages)


def openai_faults(messages: Sequence[Message]) -> list[str]:  # noqa: C901  # one rule after the other
    found: list[str] = []
    owed: list[str] = []
    before = ""
    for place, message in enumerate(messages):
        role, content, calls = message["role"], message["content"], message.get("tool_calls")
        if role == "tool":
            if message["tool_call_id"] not in owed:
                found.append(f"{place}: a tool message answers no call right before it")
            else:
                owed.remove(message["tool_call_id"])
            if not isinstance(content, str):
                found.append(f"{place}: a tool's content is no text")
            before = role
            continue
        if owed:
            found.append(f"{place}: calls {owed} have no answer")
            owed = []
        if role == before and role != "tool":
            found.append(f"{place}: two {role} messages in a row")
        if role == "system" and place:
            found.append(f"{place}: a system message in the middle")
        if role not in ("system", "user", "assistant"):
            found.append(f"{place}: unknown role {role}")
        if not (isinstance(content, str) and content.strip()) and not (content is None and calls):
            found.append(f"{place}: {role} says {content!r}")
        if calls is not None:
            found += _call_faults(place, role, calls)
            owed = [call["id"] for call in calls]
        before = role
    return found + ([f"calls {owed} have no answer"] if owed else [])


def _call_faults(place: int, role: str, calls: list[Any]) -> list[str]:
    found = [f"{place}: {role} has an empty or misplaced list of calls"] if not calls or role != "assistant" else []
    for call in calls:
        function = call["function"]
        if call["type"] != "function" or not _ID.fullmatch(call["id"]):
            found.append(f"{place}: the call is {call}")
        if not _NAME.fullmatch(function["name"]):
            found.append(f"{place}: the function is named {function['name']!r}")
        try:
            if not isinstance(json.loads(function["arguments"]), dict):
                found.append(f"{place}: arguments {function['arguments']!r} are no object")
        except ValueError:
            found.append(f"{place}: arguments {function['arguments']!r} are no JSON")
    return found


def anthropic_faults(messages: Sequence[Message]) -> list[str]:
    turns = _anthropic(messages)
    found: list[str] = []
    ids = [block["id"] for _, blocks in turns for block in blocks if block["type"] == "tool_use"]
    if len(set(ids)) != len(ids):
        found.append(f"tool_use ids repeat: {ids}")
    for place, (role, blocks) in enumerate(turns):
        if not place and role != "user":
            found.append("the first message is not the user's")
        if any(block["type"] == "text" and not block["text"].strip() for block in blocks):
            found.append(f"{place}: empty text")
        asked = [block["id"] for block in turns[place - 1][1] if block["type"] == "tool_use"] if place else []
        given = [block["id"] for block in blocks if block["type"] == "tool_result"]
        if sorted(asked) != sorted(given):
            found.append(f"{place}: results {given} for calls {asked}")
        kinds = [block["type"] for block in blocks]
        if role == "user" and kinds != sorted(kinds, key=lambda kind: kind != "tool_result"):
            found.append(f"{place}: results come after text")
    return found


def _anthropic(messages: Sequence[Message]) -> list[tuple[str, list[Message]]]:
    turns: list[tuple[str, list[Message]]] = []
    for message in messages:
        role = "assistant" if message["role"] == "assistant" else "user"
        if message["role"] == "system":
            continue
        blocks: list[Message] = []
        if message["role"] == "tool":
            blocks.append({"type": "tool_result", "id": message["tool_call_id"]})
        elif message["content"] is not None:
            blocks.append({"type": "text", "text": message["content"]})
        blocks += [{"type": "tool_use", "id": call["id"]} for call in message.get("tool_calls") or ()]
        if not turns and role == "assistant":
            turns.append(("user", [{"type": "text", "text": GREETING_STAND_IN}]))
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        else:
            turns.append((role, blocks))
    return turns


def gemini_faults(messages: Sequence[Message]) -> list[str]:
    found: list[str] = []
    before, calls, responses = "user", 0, 0
    for place, message in enumerate([*messages, {"role": "end"}]):
        if message["role"] == "tool":
            responses += 1
            before = "tool"
            continue
        if responses != calls:
            found.append(f"{place}: {responses} responses to {calls} calls")
        calls, responses = len(message.get("tool_calls") or ()), 0
        if calls and before not in ("user", "tool"):
            found.append(f"{place}: a call after {before}")
        before = message["role"]
    return found
