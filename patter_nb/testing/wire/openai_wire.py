"""OpenAI's chat completions as a stream, and as its relatives Groq and Cerebras speak it.

After the API reference (platform.openai.com/docs/api-reference/chat-streaming) and the messages that it gives to what it rejects.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

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

AZURE = re.compile(r"/openai/deployments/[^/]+/chat/completions")
"""The address of a deployment at Azure."""

Dialect = Literal["openai", "groq", "cerebras"]

_TOP = frozenset(
    "model messages stream stream_options tools tool_choice parallel_tool_calls temperature top_p n stop seed max_tokens"
    " max_completion_tokens frequency_penalty presence_penalty response_format logprobs top_logprobs logit_bias user metadata store"
    " service_tier reasoning_effort reasoning_format include_reasoning disable_reasoning verbosity prompt_cache_key"
    " safety_identifier prediction modalities audio".split()
)
_MESSAGE = {
    "system": frozenset({"role", "content", "name"}),
    "developer": frozenset({"role", "content", "name"}),
    "user": frozenset({"role", "content", "name"}),
    "assistant": frozenset({"role", "content", "name", "refusal", "audio", "tool_calls", "reasoning", "reasoning_content"}),
    "tool": frozenset({"role", "content", "tool_call_id"}),
}
_NEWER = re.compile(r"(gpt-5|o\d)")
"""Models that think: they take `max_completion_tokens` only, and no temperature but 1."""
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_TYPES = {400: "invalid_request_error", 401: "invalid_request_error", 403: "invalid_request_error", 404: "invalid_request_error"}


@dataclass(frozen=True, slots=True)
class OpenAIWire:
    """The format, in a dialect."""

    dialect: Dialect = "openai"

    def id_prefix(self, request: WireRequest) -> str | None:
        return f"call_{request.number}"

    def key(self, request: WireRequest) -> str | None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        return (key if scheme == "Bearer" and key else None) or request.headers.get("api-key")  # Azure's

    def key_error(self, key: str | None) -> Rejected:
        if self.dialect == "cerebras":
            return Rejected(401, "Wrong API Key", code="wrong_api_key", param="api_key")
        if key is None:
            return Rejected(401, "You didn't provide an API key.")
        return Rejected(401, "Incorrect API key provided.", code="invalid_api_key")

    def blocked(self, reason: str) -> Rejected | None:
        return Rejected(400, f"The prompt was filtered: {reason}.", code="content_filter", param="prompt")

    def error_body(self, error: Rejected) -> bytes:
        told = _error(error.status, error.message, error.code, error.param)
        if self.dialect != "cerebras":
            return wire_json({"error": told})
        return wire_json({**told, "type": "not_found_error"} if error.status == 404 else told)

    def list_models(self, models: Sequence[str]) -> Mapping[str, Any]:
        return {"object": "list", "data": [{"id": model, "object": "model", "created": 0, "owned_by": "test"} for model in models]}

    def request_id(self, number: int) -> Mapping[str, str]:
        return {"x-request-id": f"req_{number}"}

    def check(self, request: WireRequest, models: Sequence[str]) -> None:
        body = request.body
        packed = request.headers.get("content-encoding") or "msgpack" in request.headers.get("content-type", "")
        if not isinstance(body, dict) or (packed and self.dialect != "cerebras"):
            raise Rejected(400, "We could not parse the JSON body of your request.")
        no_others(body, _TOP, "Unrecognized request argument supplied: {}")
        if body.get("model") not in models:
            message = f"The model `{body.get('model')}` does not exist or you do not have access to it."
            raise Rejected(404, message, code="model_not_found", param="model")
        if body.get("stream") is not True:
            raise Rejected(400, "This server only streams; send stream: true.", param="stream")
        self._check_sampling(body)
        _check_tools(body)
        _check_messages(a_list(body.get("messages"), "messages"))

    def _check_sampling(self, body: Mapping[str, Any]) -> None:
        if self.dialect != "openai" or not _NEWER.match(body["model"]):
            return
        if "max_tokens" in body:
            message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
            raise Rejected(400, message, code="unsupported_parameter", param="max_tokens")
        if body.get("temperature", 1) != 1:
            message = "Unsupported value: 'temperature' does not support other values than the default (1) with this model."
            raise Rejected(400, message, code="unsupported_value", param="temperature")

    def speaker(self, steps: Sequence[Step], request: WireRequest) -> Speaker:
        return _Speaker(self.dialect, request)


class _Speaker:
    """One answer. Its first chunk tells the role; usage is told only where it was asked for, and then null in every other chunk."""

    def __init__(self, dialect: Dialect, request: WireRequest) -> None:
        frame = {"id": f"chatcmpl-{request.number}", "object": "chat.completion.chunk", "created": 1_764_000_000}
        self._frame = {**frame, "model": request.body["model"], "system_fingerprint": "fp_test"}
        self._asked = (request.body.get("stream_options") or {}).get("include_usage") is True
        self._dialect = dialect
        self._begun = False

    def say(self, place: int, step: Said) -> Iterator[bytes]:
        delta = _delta(step)
        if delta is not None:
            if not self._begun:
                self._begun = True
                yield self._chunk({"role": "assistant", "content": ""}, None)
            yield self._chunk(delta, step.reason if isinstance(step, Finish) else None)
            if isinstance(step, Refusal):
                yield self._chunk({}, "stop")
            return
        match step:
            case Usage() if self._asked:
                yield sse({**self._frame, "choices": [], "usage": _usage(step)})
            case KeepAlive():
                yield b": keep-alive\n\n"
            case StreamError():
                yield sse({"error": _error(step.status, step.message, step.code)}, "error" if self._dialect == "groq" else None)
            case End():
                yield b"data: [DONE]\n\n"
            case Blocked():
                raise ValueError("Blocked stands alone: the vendor tells it with an error of HTTP.")
            case Event():
                yield sse(step.data, step.name)

    def _chunk(self, delta: Mapping[str, Any], finish: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return sse({**self._frame, "choices": [choice], **({"usage": None} if self._asked else {})})


def _delta(step: Said) -> dict[str, Any] | None:
    """What the step adds to the message; None for one that is not of the message."""
    match step:
        case str():
            return {"content": step}
        case Reasoning():
            return {step.key: step.text}
        case CallFragment():
            return {"tool_calls": [_fragment(step)]}
        case Refusal():
            return {"refusal": step.text}
        case Finish():
            return {}
        case _:
            return None


def _fragment(step: CallFragment) -> dict[str, Any]:
    function = {key: value for key, value in (("name", step.name), ("arguments", step.arguments)) if value is not None}
    kind = None if step.name is None else "function"
    whole = (("index", step.index), ("id", step.id), ("type", kind), ("function", function or None))
    return {key: value for key, value in whole if value is not None}


def _usage(step: Usage) -> dict[str, Any]:
    prompt = step.input + step.cache_read + step.cache_write
    read, thought = {"cached_tokens": step.cache_read, "audio_tokens": 0}, {"reasoning_tokens": step.reasoning, "audio_tokens": 0}
    details = {"prompt_tokens_details": read if step.details else None, "completion_tokens_details": thought if step.details else None}
    return {"prompt_tokens": prompt, "completion_tokens": step.output, "total_tokens": prompt + step.output, **details}


def _error(status: int, message: str, code: str | None, param: str | None = None) -> dict[str, Any]:
    usual = {429: "rate_limit_exceeded", 500: "server_error", 503: "service_unavailable"}.get(status)
    kind = _TYPES.get(status) or ("requests" if status == 429 else "server_error")
    kind = "insufficient_quota" if code == "insufficient_quota" else kind
    return {"message": message, "type": kind, "param": param, "code": code or usual}


def _check_tools(body: Mapping[str, Any]) -> None:
    if "tools" not in body:
        for key in ("tool_choice", "parallel_tool_calls"):
            if key in body:
                raise Rejected(400, f"'{key}' is only allowed when 'tools' are specified.", param=key)
        return
    for place, tool in enumerate(a_list(body["tools"], "tools")):
        no_others(tool, ("type", "function"), f"Unknown parameter: 'tools[{place}].{{}}'.")
        function = tool.get("function") or {}
        no_others(function, ("name", "description", "parameters", "strict"), f"Unknown parameter: 'tools[{place}].function.{{}}'.")
        if tool.get("type") != "function" or not _NAME.fullmatch(str(function.get("name", ""))):
            raise Rejected(400, f"Invalid 'tools[{place}].function.name': expected ^[a-zA-Z0-9_-]+$ of at most 64 characters.")
        if (function.get("parameters") or {"type": "object"}).get("type") != "object":
            raise Rejected(400, f"Invalid schema for function '{function['name']}': schema must be of 'type: \"object\"'.")


def _check_messages(messages: Sequence[Any]) -> None:
    unanswered: list[str] = []
    for place, message in enumerate(messages):
        role = message.get("role")
        if role not in _MESSAGE:
            raise Rejected(400, f"Invalid value: '{role}'. Supported values are: {', '.join(_MESSAGE)}.", param=f"messages[{place}].role")
        no_others(message, _MESSAGE[role], f"Unknown parameter: 'messages[{place}].{{}}'.")
        if role == "tool":
            if message.get("tool_call_id") not in unanswered:
                told = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'"
                raise Rejected(400, f"Invalid parameter: {told}.", param=f"messages[{place}].role")
            unanswered.remove(message["tool_call_id"])
        elif unanswered:
            break
        if not isinstance(message.get("content"), (str, list)) and not (role == "assistant" and message.get("tool_calls")):
            told = f"Invalid value for 'content': expected a string, got {message.get('content')!r}."
            raise Rejected(400, told, param=f"messages[{place}].content")
        if role == "assistant" and "tool_calls" in message:
            unanswered = _check_calls(message["tool_calls"], place)
    if unanswered:
        told = "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'."
        raise Rejected(400, f"{told} The following tool_call_ids did not have response messages: {', '.join(unanswered)}")


def _check_calls(calls: object, place: int) -> list[str]:
    """The ids of the calls of message `place`."""
    ids: list[str] = []
    for number, call in enumerate(a_list(calls, f"messages[{place}].tool_calls")):
        where = f"messages[{place}].tool_calls[{number}]"
        no_others(call, ("id", "type", "function"), f"Unknown parameter: '{where}.{{}}'.")
        function = call.get("function") or {}
        no_others(function, ("name", "arguments"), f"Unknown parameter: '{where}.function.{{}}'.")
        id = call.get("id")
        if call.get("type") != "function" or not isinstance(id, str) or not 0 < len(id) <= 40 or id in ids:
            raise Rejected(400, f"Invalid '{where}': type must be 'function', id a string of its own of at most 40 characters.")
        if not isinstance(function.get("arguments"), str) or not _NAME.fullmatch(str(function.get("name", ""))):
            raise Rejected(400, f"Invalid '{where}.function': name must match ^[a-zA-Z0-9_-]+$, arguments must be a string.")
        ids.append(id)
    return ids
