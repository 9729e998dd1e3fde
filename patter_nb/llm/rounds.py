"""One round of asking a language model, as pure values: chunks fold into text and tool calls, calls and results into messages.

`LLMLoop` and the session's step function both stand on this, so that a round means the same wherever it runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from patter_nb.errors import ContentFiltered, MalformedStream, PatterError, TruncatedStream
from patter_nb.llm.base import LLMChunk, Message

MAX_ROUNDS = 10
"""How often a model is asked in one turn. The last round is asked without tools, so that it ends in words."""

_ID = re.compile(r"[a-zA-Z0-9_-]{1,40}")
"""An id of a call that every vendor takes back: Anthropic's API names this alphabet when it rejects one, OpenAI's this length."""


Extra: TypeAlias = Mapping[str, Any] | None
"""Opaque data of the vendor that is its key. It goes back to that vendor, and to no other."""


@dataclass(frozen=True, slots=True)
class CallDraft:
    """A tool call as its fragments arrive: `arguments` is JSON text, complete only when the round is. `extra` is its vendor's own."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    extra: Extra = None


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """A tool call as the model wrote it: `arguments` is JSON text, or should be. One that is not `whole` must not run."""

    id: str
    name: str
    arguments: str
    whole: bool = True
    extra: Extra = None


@dataclass(frozen=True, slots=True)
class Round:
    """What one request has brought so far. `number` counts from 1; `finish_reason` is None until `done` has come.

    `extras` are what a vendor wants back with this round, each {vendor: data}: blocks of reasoning, say, with their signatures.
    """

    number: int = 1
    text: str = ""
    calls: tuple[CallDraft, ...] = ()
    finish_reason: str | None = None
    extras: tuple[Mapping[str, Any], ...] = ()


Verdict: TypeAlias = Literal["words", "calls"] | PatterError
"""What a round came to: an answer in words, calls to run, or the error that it ends in."""


def verdict(round: Round, *, max_rounds: int = MAX_ROUNDS, provider: str | None = None) -> Verdict:
    """What a round has come to, now that its stream has ended; of one that broke off no call runs.

    A filter, or a limit of tokens, in the middle of an answer in words leaves those words. "cancelled" is an error: a round that
    somebody here gave up is not judged.

    >>> verdict(Round(text="Hello."))
    'words'
    >>> verdict(Round(calls=(CallDraft(0, name="book"),), finish_reason="length"))
    TruncatedStream('The answer broke off at the limit of tokens.')
    """
    words = bool(round.text.strip())
    match round.finish_reason:
        case "cancelled":
            told, hint = "The model's provider cancelled the answer.", "Ask again; nobody here asked for that."
            return TruncatedStream(told, partial_text=round.text, provider=provider, hint=hint)
        case "length" if round.calls or not words:
            told, hint = "The answer broke off at the limit of tokens.", "Raise the provider's limit, or ask for short answers."
            return TruncatedStream(told, partial_text=round.text, provider=provider, hint=hint)
        case "content_filter" if not words:
            return ContentFiltered("The model's provider refused to answer.", provider=provider, hint="Ask in other words.")
        case "content_filter":
            return "words"
    if round.calls and round.number >= max_rounds:
        hint = "Say in the system prompt when to stop calling tools, or in a tool's result that it is final."
        return MalformedStream(f"The model still calls tools after {max_rounds} rounds.", provider=provider, hint=hint)
    if round.calls:
        return "calls"
    hint = "Ask again; if it happens often, check the system prompt and the provider's token limit."
    return "words" if words else MalformedStream("The model answered with nothing.", provider=provider, hint=hint)


def take(round: Round, chunk: LLMChunk) -> Round:
    """The round with one more chunk. Fragments of a call belong together by index; the last id and name that say something win."""
    match chunk.type:
        case "text" | "reasoning":
            said = chunk.content or "" if chunk.type == "text" else ""
            return replace(round, text=round.text + said, extras=(*round.extras, chunk.extra) if chunk.extra else round.extras)
        case "tool_call":
            return replace(round, calls=_with_fragment(round.calls, chunk))
        case "done":
            return replace(round, finish_reason=chunk.finish_reason or "stop")
        case _:
            return round


def _with_fragment(calls: tuple[CallDraft, ...], chunk: LLMChunk) -> tuple[CallDraft, ...]:
    index = chunk.index if chunk.index is not None else (calls[-1].index if calls else 0)
    before = next((call for call in calls if call.index == index), CallDraft(index))
    arguments, extra = before.arguments + (chunk.arguments or ""), chunk.extra or before.extra
    after = CallDraft(index, chunk.id or before.id, chunk.name or before.name, arguments, extra)
    if before in calls:
        return tuple(after if call is before else call for call in calls)
    return tuple(sorted((*calls, after), key=lambda call: call.index))


def requests_of(round: Round, *, prefix: str, taken: Collection[str] = ()) -> tuple[ToolRequest, ...]:
    """The round's calls, ready to run, in index order.

    An id that is missing, that no other vendor would take, or that was used before (in this round or in `taken`) is made from
    `prefix`; a name is brought into the form that tools have, so that history can go to any vendor.
    """
    seen = set(taken)
    requests: list[ToolRequest] = []
    for place, call in enumerate(round.calls):
        made = (f"{prefix}_{round.number}_{place}{again}" for again in ("", *(f"_{n}" for n in range(len(seen)))))
        id = call.id if _ID.fullmatch(call.id) and call.id not in seen else next(id for id in made if id not in seen)
        seen.add(id)
        name = re.sub(r"[^a-zA-Z0-9_-]", "_", call.name)[:64] or "unnamed"
        whole = round.finish_reason is not None or _is_json(call.arguments)
        requests.append(ToolRequest(id, name, call.arguments, whole, call.extra))
    return tuple(requests)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def call_ids(messages: Iterable[Message]) -> frozenset[str]:
    """The ids of all tool calls in a conversation."""
    return frozenset(call["id"] for message in messages for call in message.get("tool_calls") or ())


def assistant_message(text: str, requests: Sequence[ToolRequest] = (), extras: Iterable[Mapping[str, Any]] = ()) -> Message:
    """The assistant's words and calls of one round, OpenAI-shaped; what vendors want back is beside it, under "extra"."""
    message: Message = {"role": "assistant", "content": text if text.strip() or not requests else None}
    if requests:
        message["tool_calls"] = [_call(request) for request in requests]
    kept: dict[str, list[Any]] = {}
    for vendor, data in (item for extra in extras for item in extra.items()):
        kept.setdefault(vendor, []).append(data)
    return {**message, "extra": kept} if kept else message


def _call(request: ToolRequest) -> Message:
    function = {"name": request.name, "arguments": _object_text(request.arguments)}
    call = {"id": request.id, "type": "function", "function": function}
    return {**call, "extra": dict(request.extra)} if request.extra else call


def _object_text(arguments: str) -> str:
    """The arguments, or "{}" where they are no JSON object, which vendors reject in a history; the tool's answer says what was wrong."""
    try:
        return arguments if isinstance(json.loads(arguments), dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"


def tool_message(request: ToolRequest, content: str) -> Message:
    """The answer to one call, OpenAI-shaped."""
    return {"role": "tool", "tool_call_id": request.id, "content": content}


def cancelled_content(why: str) -> str:
    """What a model reads of a call that was given up, so that no call is ever left without an answer."""
    return json.dumps({"error": f"cancelled: {why}", "fallback": True})


def merge_neighbours(messages: Iterable[Message]) -> tuple[Message, ...]:
    """The same conversation with neighbouring plain messages of one role joined, since several vendors demand alternation."""
    merged: list[Message] = []
    for message in messages:
        last = merged[-1] if merged else None
        if last is not None and last["role"] == message["role"] and _is_plain(last) and _is_plain(message):
            merged[-1] = {**last, "content": f"{last['content']}\n{message['content']}"}
        else:
            merged.append(message)
    return tuple(merged)


def _is_plain(message: Message) -> bool:
    return message["role"] in ("user", "assistant") and isinstance(message.get("content"), str) and not message.get("tool_calls")
