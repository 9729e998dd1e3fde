"""Anthropic's Messages API as a stream: named events, and content in blocks that open and close.

After its documentation (platform.claude.com/docs/en/build-with-claude/streaming) and the messages that it gives to what it rejects.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from patter_nb.testing.wire.formats import Rejected, Speaker, a_list, no_others, sse, wire_json
from patter_nb.testing.wire.http import WireRequest
from patter_nb.testing.wire.script import (
    Blocked,
    CallFragment,
    End,
    Event,
    Finish,
    KeepAlive,
    Reasoning,
    Refusal,
    Said,
    Step,
    StreamError,
    Usage,
)

_TOP = frozenset(
    "model messages max_tokens system tools tool_choice stream temperature top_p top_k stop_sequences metadata thinking service_tier"
    " cache_control container context_management diagnostics inference_geo output_config speed".split()
)
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_FINISH = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "content_filter": "refusal"}
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_TOOL = ("type", "name", "description", "input_schema", "cache_control", "strict")
_BLOCKS = {
    "text": frozenset({"type", "text", "cache_control", "citations"}),
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
    "tool_use": frozenset({"type", "id", "name", "input", "cache_control", "caller"}),
    "tool_result": frozenset({"type", "tool_use_id", "content", "is_error", "cache_control"}),
    "image": frozenset({"type", "source", "cache_control"}),
    "document": frozenset({"type", "source", "cache_control", "title", "context", "citations"}),
}


class AnthropicWire:
    """The format."""

    def id_prefix(self, request: WireRequest) -> str | None:
        return f"toolu_{request.number}"

    def key(self, request: WireRequest) -> str | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")  # what its client sends since its version 2
        return request.headers.get("x-api-key") or (token if scheme == "Bearer" and token else None)

    def key_error(self, key: str | None) -> Rejected:
        return Rejected(401, "invalid x-api-key" if key else "x-api-key header is required")

    def blocked(self, reason: str) -> Rejected | None:
        return Rejected(400, f"Output blocked by content filtering policy ({reason})")

    def error_body(self, error: Rejected) -> bytes:
        return wire_json({**_error(error.status, error.message, error.code), "request_id": None})

    def list_models(self, models: Sequence[str]) -> Mapping[str, Any]:
        data = [{"type": "model", "id": model, "display_name": model, "created_at": "2026-01-01T00:00:00Z"} for model in models]
        return {"data": data, "has_more": False, "first_id": models[0], "last_id": models[-1]}

    def request_id(self, number: int) -> Mapping[str, str]:
        return {"request-id": f"req_{number}"}

    def check(self, request: WireRequest, models: Sequence[str]) -> None:
        body = request.body
        if "anthropic-version" not in request.headers:
            raise Rejected(400, "anthropic-version: header is required")
        if not isinstance(body, dict) or request.headers.get("content-encoding"):
            raise Rejected(400, "The request body is not valid JSON")
        no_others(body, _TOP, "{}: Extra inputs are not permitted")
        if body.get("model") not in models:
            raise Rejected(404, f"model: {body.get('model')}")
        if not isinstance(body.get("max_tokens"), int):
            raise Rejected(400, "max_tokens: Field required")
        if body.get("stream") is not True:
            raise Rejected(400, "This server only streams; send stream: true.")
        if not 0 <= body.get("temperature", 1) <= 1:
            raise Rejected(400, "temperature: range: 0..1")
        _check_tools(body)
        system = body.get("system", "none")
        blocks = [{"type": "text", "text": system}] if isinstance(system, str) else a_list(system, "system")
        _check_text(blocks, "system")
        _check_messages(a_list(body.get("messages"), "messages"), has_tools="tools" in body)
        marked = [*blocks, *body.get("tools", ()), *(block for message in body["messages"] for block in _blocks(message, 0))]
        if (found := sum("cache_control" in block for block in marked)) > 4:
            raise Rejected(400, f"A maximum of 4 blocks with cache_control may be provided. Found {found}.")

    def speaker(self, steps: Sequence[Step], request: WireRequest) -> Speaker:
        return _Speaker(steps, request)


class _Speaker:
    """One answer. The message's start tells what was read, its end what was written, wherever the script says so."""

    def __init__(self, steps: Sequence[Step], request: WireRequest) -> None:
        self._usages = [step for step in steps if isinstance(step, Usage)] or [Usage(0, 0)]
        self._blocks = _Blocks(steps, f"toolu_{request.number}")
        self._request = request
        self._begun = False

    def say(self, place: int, step: Said) -> Iterator[bytes]:
        if not self._begun and isinstance(step, (str, CallFragment, Reasoning, Refusal, Finish)):
            self._begun = True
            yield _named(_start(self._request, self._usages[0]))
        match step:
            case str() | Reasoning() | CallFragment():
                yield from self._blocks.write(place, step)
            case Refusal() | Finish():
                yield from self._blocks.close_all()
                reason = "refusal" if isinstance(step, Refusal) else _FINISH.get(step.reason, step.reason)
                delta = {"stop_reason": reason, "stop_sequence": None}
                yield _named({"type": "message_delta", "delta": delta, "usage": _written(self._usages[-1])})
            case KeepAlive():
                yield _named({"type": "ping"})
            case StreamError():
                yield _named(_error(step.status, step.message, step.code))
            case End():
                yield _named({"type": "message_stop"})
            case Blocked():
                raise ValueError("Blocked stands alone: the vendor tells it with an error of HTTP.")
            case Event():
                yield sse(step.data, step.name or str(step.data.get("type")))


class _Blocks:
    """Content blocks as they open and close: one at a time, except that calls stay open until their last fragment has come."""

    def __init__(self, steps: Sequence[Step], id_prefix: str) -> None:
        self._last = {step.index: place for place, step in enumerate(steps) if isinstance(step, CallFragment)}
        self._id_prefix = id_prefix
        self._open: dict[object, int] = {}
        self._used: set[int] = set()
        self._calls_from: int | None = None

    @property
    def _next(self) -> int:
        return max(self._used, default=-1) + 1

    def write(self, place: int, step: str | Reasoning | CallFragment) -> Iterator[bytes]:
        if isinstance(step, CallFragment):
            yield from self._call(step)
            if self._last[step.index] == place:
                yield from self._close(step.index)
            return
        kind = "text" if isinstance(step, str) else "thinking"
        if kind not in self._open:
            yield from self._close("thinking" if kind == "text" else "text")
            empty = {"type": "text", "text": ""} if kind == "text" else {"type": kind, "thinking": "", "signature": ""}
            yield from self._start(kind, self._next, empty)
        if isinstance(step, str):
            yield self._delta(kind, {"type": "text_delta", "text": step})
            return
        yield self._delta(kind, {"type": "thinking_delta", "thinking": step.text})
        if step.signature is not None:
            yield self._delta(kind, {"type": "signature_delta", "signature": step.signature})

    def _call(self, step: CallFragment) -> Iterator[bytes]:
        if step.index not in self._open:
            yield from self._close("text")
            yield from self._close("thinking")
            if self._calls_from is None:
                self._calls_from = self._next - min(index or 0 for index in self._last)
            number = self._calls_from + (step.index or 0)
            number = self._next if number in self._used else number
            id = step.id if step.id is not None else f"{self._id_prefix}_{number}"
            yield from self._start(step.index, number, {"type": "tool_use", "id": id, "name": step.name or "", "input": {}})
        if step.arguments is not None:
            yield self._delta(step.index, {"type": "input_json_delta", "partial_json": step.arguments})

    def close_all(self) -> Iterator[bytes]:
        for key in list(self._open):
            yield from self._close(key)

    def _start(self, key: object, number: int, block: Mapping[str, Any]) -> Iterator[bytes]:
        self._open[key] = number
        self._used.add(number)
        yield _named({"type": "content_block_start", "index": number, "content_block": block})

    def _delta(self, key: object, delta: Mapping[str, Any]) -> bytes:
        return _named({"type": "content_block_delta", "index": self._open[key], "delta": delta})

    def _close(self, key: object) -> Iterator[bytes]:
        if key in self._open:
            yield _named({"type": "content_block_stop", "index": self._open.pop(key)})


def _named(data: Mapping[str, Any]) -> bytes:
    return sse(data, str(data["type"]))


def _error(status: int, message: str, code: str | None) -> dict[str, Any]:
    return {"type": "error", "error": {"type": code or _TYPES.get(status, "api_error"), "message": message}}


def _start(request: WireRequest, usage: Usage) -> dict[str, Any]:
    write, read = (usage.cache_write, usage.cache_read) if usage.details else (None, None)  # the API's own types allow null
    cached = {"cache_creation_input_tokens": write, "cache_read_input_tokens": read}
    frame = {"id": f"msg_{request.number}", "type": "message", "role": "assistant", "model": request.body["model"], "content": []}
    counts = {"input_tokens": usage.input, **cached, "output_tokens": 1}
    return {"type": "message_start", "message": {**frame, "stop_reason": None, "stop_sequence": None, "usage": counts}}


def _written(usage: Usage) -> dict[str, Any]:
    thought = {"output_tokens_details": {"thinking_tokens": usage.reasoning}} if usage.reasoning and usage.details else {}
    return {"output_tokens": usage.output, **thought}


def _check_tools(body: Mapping[str, Any]) -> None:
    if "tools" not in body:
        if "tool_choice" in body:
            raise Rejected(400, "tool_choice may only be specified while providing tools")
        return
    names = set()
    for place, tool in enumerate(a_list(body["tools"], "tools")):
        where = f"tools.{place}.custom"
        no_others(tool, _TOOL, where + ".{}: Extra inputs are not permitted")
        if not _NAME.fullmatch(str(tool.get("name", ""))):
            raise Rejected(400, f"{where}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        schema = tool.get("input_schema")
        if not isinstance(schema, dict) or schema.get("type") != "object":
            raise Rejected(400, f"{where}.input_schema.type: Input should be 'object'")
        if {"anyOf", "oneOf", "allOf"} & schema.keys():
            raise Rejected(400, f"{where}.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level")
        names.add(tool["name"])
    if len(names) < len(body["tools"]):
        raise Rejected(400, "tools: Tool names must be unique.")


def _check_text(blocks: Sequence[Mapping[str, Any]], where: str) -> None:
    for block in blocks:
        if block["type"] != "text":
            continue
        if not block.get("text"):
            raise Rejected(400, f"{where}: text content blocks must be non-empty")
        if not block["text"].strip():
            raise Rejected(400, f"{where}: text content blocks must contain non-whitespace text")


def _blocks(message: Mapping[str, Any], place: int) -> list[dict[str, Any]]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    blocks = a_list(content, f"messages.{place}.content")
    for number, block in enumerate(blocks):
        where = f"messages.{place}.content.{number}"
        if block.get("type") not in _BLOCKS:
            raise Rejected(400, f"{where}: Input tag '{block.get('type')}' found using 'type' does not match any of the expected tags")
        no_others(block, _BLOCKS[block["type"]], f"{where}.{block['type']}.{{}}: Extra inputs are not permitted")
    return blocks


def _check_messages(messages: Sequence[Any], *, has_tools: bool) -> None:
    if messages[0].get("role") != "user":
        raise Rejected(400, 'messages: first message must use the "user" role')
    calls: list[str] = []
    known: set[str] = set()
    for place, message in enumerate(messages):
        if message.get("role") not in ("user", "assistant"):
            told = 'The Messages API accepts a top-level `system` parameter, not "system" as an input message role.'
            raise Rejected(400, f'messages: Unexpected role "{message.get("role")}". {told}')
        no_others(message, ("role", "content"), f"messages.{place}.{{}}: Extra inputs are not permitted")
        blocks = _blocks(message, place)
        _check_text(blocks, "messages")
        _check_results(blocks, calls, place)
        if not has_tools and any(block["type"] in ("tool_use", "tool_result") for block in blocks):
            raise Rejected(400, "Requests which include `tool_use` or `tool_result` blocks must define tools.")
        calls = _check_calls(blocks, known, place) if message["role"] == "assistant" else []
    if calls:
        _check_results([], calls, len(messages))
    last = _blocks(messages[-1], 0)[-1]
    if messages[-1]["role"] == "assistant" and last["type"] == "text" and last["text"] != last["text"].rstrip():
        raise Rejected(400, "messages: final assistant content cannot end with trailing whitespace")


def _check_results(blocks: Sequence[Mapping[str, Any]], calls: Sequence[str], place: int) -> None:
    """Whether the results of message `place` are those of the calls before it, ahead of everything else."""
    leading = next((n for n, block in enumerate(blocks) if block["type"] != "tool_result"), len(blocks))
    missing = [id for id in calls if id not in {block["tool_use_id"] for block in blocks[:leading]}]
    if missing:
        told = f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(missing)}."
        rule = "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
        raise Rejected(400, f"messages.{place - 1}: {told} {rule}")
    for number, block in enumerate(blocks):
        if block["type"] == "tool_result" and block["tool_use_id"] not in calls:
            told = f"unexpected `tool_use_id` found in `tool_result` blocks: {block['tool_use_id']}."
            rule = "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            raise Rejected(400, f"messages.{place}.content.{number}: {told} {rule}")


def _check_calls(blocks: Sequence[Mapping[str, Any]], known: set[str], place: int) -> list[str]:
    """The ids of the calls of message `place`; `known` grows by them."""
    ids = []
    for number, block in enumerate(blocks):
        if block["type"] != "tool_use":
            continue
        where = f"messages.{place}.content.{number}.tool_use"
        if not _ID.fullmatch(str(block.get("id", ""))):
            raise Rejected(400, f"{where}.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
        if block["id"] in known:
            raise Rejected(400, "messages: `tool_use` ids must be unique")
        if not isinstance(block.get("input"), dict):
            raise Rejected(400, f"{where}.input: Input should be a valid dictionary")
        if not _NAME.fullmatch(str(block.get("name", ""))):
            raise Rejected(400, f"{where}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        known.add(block["id"])
        ids.append(block["id"])
    return ids
