"""Gemini's streamGenerateContent: whole candidates, event by event, with calls in one piece and errors in Google's own form.

After the API reference (ai.google.dev/api/generate-content) and the messages that it gives to what it rejects. Its events end in CR LF.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from patter_nb.testing.wire.formats import Rejected, Speaker, no_others, sse, tool_schemas, wire_json
from patter_nb.testing.wire.http import WireRequest
from patter_nb.testing.wire.script import (
    Blocked,
    CallFragment,
    Cut,
    End,
    Event,
    Finish,
    KeepAlive,
    Reasoning,
    Refusal,
    Said,
    Stall,
    Step,
    StreamError,
    Usage,
)

MODEL = re.compile(r"/v1(?:beta1?)?(?:/projects/[^/]+/locations/[^/]+/publishers/google)?/models/([^/:]+):(\w+)")
"""The address of a model, at the Developer API or at Vertex AI."""

_TOP = ("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "cachedContent", "labels")
_PART = (
    *("text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult"),
    *("thought", "thoughtSignature", "videoMetadata"),
)
_DATA = frozenset(_PART[:7])
_GENERATION = frozenset(
    "temperature topP topK candidateCount maxOutputTokens stopSequences responseMimeType responseSchema responseJsonSchema seed"
    " presencePenalty frequencyPenalty responseLogprobs logprobs thinkingConfig responseModalities mediaResolution speechConfig".split()
)
_SCHEMA = frozenset(
    "type format title description nullable enum maxItems minItems properties required minProperties maxProperties minLength maxLength"
    " pattern example anyOf propertyOrdering default items minimum maximum"
    " any_of max_items min_items min_length max_length property_ordering".split()
)
"""JSON of a protocol buffer takes each name in two writings; Google's client writes some in the other one."""
_FUNCTION = ("name", "description", "parameters", "parametersJsonSchema", "response", "responseJsonSchema", "behavior")
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_FINISH = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")
_UNKNOWN = 'Invalid JSON payload received. Unknown name "{{}}" at \'{}\': Cannot find field.'


class GoogleWire:
    """The format."""

    def id_prefix(self, request: WireRequest) -> str | None:
        return None

    def key(self, request: WireRequest) -> str | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return request.headers.get("x-goog-api-key") or request.query.get("key") or (token if scheme == "Bearer" and token else None)

    def key_error(self, key: str | None) -> Rejected:
        if key is None:
            told = "Method doesn't allow unregistered callers (callers without established identity)."
            return Rejected(403, f"{told} Please use API Key or other form of API consumer identity to call this API.")
        return Rejected(400, "API key not valid. Please pass a valid API key.", param="API_KEY_INVALID")

    def blocked(self, reason: str) -> Rejected | None:
        return None

    def error_body(self, error: Rejected) -> bytes:
        told: dict[str, Any] = {"code": error.status, "message": error.message, "status": error.code or _status(error.status)}
        if error.param == "API_KEY_INVALID":
            where = {"domain": "googleapis.com", "metadata": {"service": "generativelanguage.googleapis.com"}}
            told["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": error.param, **where}]
        return wire_json({"error": told})

    def list_models(self, models: Sequence[str]) -> Mapping[str, Any]:
        return {"models": [{"name": f"models/{model}", "displayName": model} for model in models]}

    def request_id(self, number: int) -> Mapping[str, str]:
        return {}

    def check(self, request: WireRequest, models: Sequence[str]) -> None:
        address, body = MODEL.fullmatch(request.path), request.body
        assert address is not None
        model, method = address.groups()
        if model not in models:
            told = f"models/{model} is not found for API version v1beta, or is not supported for {method}."
            raise Rejected(404, f"{told} Call ListModels to see the list of available models and their supported methods.")
        if method != "streamGenerateContent" or request.query.get("alt") != "sse":
            raise Rejected(400, "This server only streams; call streamGenerateContent?alt=sse.")
        if not isinstance(body, dict) or request.headers.get("content-encoding"):
            raise Rejected(400, "Invalid JSON payload received.")
        no_others(body, _TOP, 'Invalid JSON payload received. Unknown name "{}": Cannot find field.')
        no_others(body.get("generationConfig", {}), _GENERATION, _UNKNOWN.format("generation_config"))
        for place, tool in enumerate(body.get("tools", ())):
            _check_declarations(tool.get("functionDeclarations", ()), f"tools[{place}].function_declarations")
        if "systemInstruction" in body:
            _parts(body["systemInstruction"], "system_instruction")
        _check_contents(body.get("contents") or (), needs_signature=model.startswith("gemini-3"))

    def speaker(self, steps: Sequence[Step], request: WireRequest) -> Speaker:
        return _Speaker(steps, request)


class _Speaker:
    """One answer. Usage stands on the event that finishes it; a call waits for its last fragment."""

    def __init__(self, steps: Sequence[Step], request: WireRequest) -> None:
        address = MODEL.fullmatch(request.path)
        self._frame = {"modelVersion": address.group(1) if address else "", "responseId": f"resp_{request.number}"}
        self._usage = next((step for step in steps if isinstance(step, Usage)), None)
        self._calls = _whole_calls(steps)

    def say(self, place: int, step: Said) -> Iterator[bytes]:
        match step:
            case str():
                yield self._candidate({"text": step})
            case Reasoning():
                yield self._candidate({"text": step.text, "thought": True, **_signed(step.signature)})
            case CallFragment():
                for call in self._calls.get(place, ()):
                    yield self._candidate(_call(call))
            case Finish():
                reason = _FINISH.get(step.reason, step.reason)
                yield self._candidate({"text": ""} if reason in ("STOP", "MAX_TOKENS") else None, reason, self._usage)
            case Refusal():
                yield self._candidate(None, "PROHIBITED_CONTENT", self._usage)
            case Blocked():
                yield self._event({"promptFeedback": {"blockReason": step.reason}}, self._usage)
            case _:
                yield from self._beside(step)

    def _beside(self, step: Said) -> Iterator[bytes]:
        """What is not of the candidate."""
        match step:
            case Usage() if step is not self._usage:
                yield self._event({}, step)
            case KeepAlive():
                yield self._event({}, None)
            case StreamError():
                error = {"code": step.status, "message": step.message, "status": step.code or _status(step.status)}
                yield sse({"error": error}, line_end=b"\r\n")
            case Event():
                yield sse(step.data, step.name, line_end=b"\r\n")

    def _candidate(self, part: Mapping[str, Any] | None, reason: str | None = None, usage: Usage | None = None) -> bytes:
        content = {} if part is None else {"content": {"parts": [part], "role": "model"}}
        return self._event({"candidates": [{**content, **({} if reason is None else {"finishReason": reason}), "index": 0}]}, usage)

    def _event(self, data: Mapping[str, Any], usage: Usage | None) -> bytes:
        return sse({**data, **({} if usage is None else {"usageMetadata": _usage(usage)}), **self._frame}, line_end=b"\r\n")


def _status(status: int) -> str:
    return _STATUSES.get(status, "UNAVAILABLE" if status >= 500 else "FAILED_PRECONDITION")


def _signed(signature: str | None) -> dict[str, str]:
    return {} if signature is None else {"thoughtSignature": signature}


def _call(step: CallFragment) -> dict[str, Any]:
    call: dict[str, Any] = {"name": step.name or ""}
    if step.arguments is not None:
        call["args"] = json.loads(step.arguments or "{}")
    if step.id is not None:
        call["id"] = step.id
    return {"functionCall": call, **_signed(step.signature)}


def _whole_calls(steps: Sequence[Step]) -> dict[int, list[CallFragment]]:
    """The calls of each run of fragments, put together, in the order of their first ones, by the place of the run's last fragment.

    What breaks off in the middle of a call takes the call with it.
    """
    found: dict[int, list[CallFragment]] = {}
    run: dict[int | None, CallFragment] = {}
    last = 0
    for place, step in enumerate(steps):
        if isinstance(step, CallFragment):
            before = run.get(step.index, CallFragment(step.index))
            texts = [text for text in (before.arguments, step.arguments) if text is not None]
            joined, signature = "".join(texts) if texts else None, step.signature or before.signature
            run[step.index] = CallFragment(step.index, step.id or before.id, step.name or before.name, joined, signature)
            last = place
        elif isinstance(step, (Cut, Stall, StreamError)):
            run = {index: call for index, call in run.items() if _is_whole(call)}
        if run and isinstance(step, (str, Reasoning, Finish, End, Cut, Stall, StreamError)):
            found[last], run = list(run.values()), {}
    return found


def _is_whole(call: CallFragment) -> bool:
    try:
        json.loads(call.arguments or "{}")
    except ValueError:
        return False
    return True


def _usage(step: Usage) -> dict[str, Any]:
    prompt = step.input + step.cache_read + step.cache_write
    counts = {"promptTokenCount": prompt, "candidatesTokenCount": step.output - step.reasoning, "totalTokenCount": prompt + step.output}
    if not step.details:
        return {**counts, "cachedContentTokenCount": None, "thoughtsTokenCount": None, "promptTokensDetails": None}
    cached = {"cachedContentTokenCount": step.cache_read} if step.cache_read else {}
    return {**counts, **cached, **({"thoughtsTokenCount": step.reasoning} if step.reasoning else {})}


def _check_declarations(declarations: Sequence[Mapping[str, Any]], where: str) -> None:
    for place, declaration in enumerate(declarations):
        here = f"{where}[{place}]"
        no_others(declaration, _FUNCTION, _UNKNOWN.format(here))
        if not _NAME.fullmatch(str(declaration.get("name", ""))):
            raise Rejected(400, f"* GenerateContentRequest.{here}.name: Invalid function name. Must start with a letter or an underscore.")
        parameters = declaration.get("parameters")
        if parameters is not None and not parameters.get("properties"):
            raise Rejected(400, f"* GenerateContentRequest.{here}.parameters.properties: should be non-empty for OBJECT type")
        for schema in tool_schemas(parameters):
            no_others(schema, _SCHEMA, _UNKNOWN.format(f"{here}.parameters"))
            _check_schema(schema, f"{here}.parameters")


def _check_schema(schema: Mapping[str, Any], where: str) -> None:
    kind = schema.get("type")
    if isinstance(kind, list):
        raise Rejected(400, f"Invalid value at '{where}.type': Proto field is not repeating, cannot start list.")
    if kind is None and not {"anyOf", "any_of"} & schema.keys():
        raise Rejected(400, f"* GenerateContentRequest.{where}: schema didn't specify the schema type field")
    match str(kind).upper():
        case "OBJECT" if schema.get("properties") == {}:
            raise Rejected(400, f"* GenerateContentRequest.{where}.properties: should be non-empty for OBJECT type")
        case "OBJECT" if unknown := set(schema.get("required", ())) - schema.get("properties", {}).keys():
            raise Rejected(400, f"* GenerateContentRequest.{where}.required: property is not defined: {', '.join(sorted(unknown))}")
        case "ARRAY" if not schema.get("items"):
            raise Rejected(400, f"* GenerateContentRequest.{where}.items: missing field.")
        case "STRING" if schema.get("format") not in (None, "enum", "date-time"):
            raise Rejected(400, f"* GenerateContentRequest.{where}.format: only 'enum' and 'date-time' are supported for STRING type")
    if not all(isinstance(value, str) for value in schema.get("enum", ())):
        raise Rejected(400, f"Invalid value at '{where}.enum' (TYPE_STRING).")
    if "enum" in schema and str(kind).upper() != "STRING":
        raise Rejected(400, f"* GenerateContentRequest.{where}.enum: only allowed for STRING type")


def _parts(content: Mapping[str, Any], where: str) -> list[Mapping[str, Any]]:
    no_others(content, ("role", "parts"), _UNKNOWN.format(where))
    parts = content.get("parts") or ()
    if not parts:
        raise Rejected(400, f"* GenerateContentRequest.{where}.parts: contents.parts must not be empty.")
    for place, part in enumerate(parts):
        no_others(part, _PART, _UNKNOWN.format(f"{where}.parts[{place}]"))
        if len(_DATA & part.keys()) != 1 or part.get("text") == "":
            told = "required oneof field 'data' must have one initialized field"
            raise Rejected(400, f"* GenerateContentRequest.{where}.parts[{place}].data: {told}")
    return list(parts)


def _check_contents(contents: Sequence[Mapping[str, Any]], *, needs_signature: bool) -> None:
    if not contents:
        raise Rejected(400, "* GenerateContentRequest.contents: contents is not specified")
    calls: list[Mapping[str, Any]] = []
    last = None
    for place, content in enumerate(contents):
        role, where = content.get("role"), f"contents[{place}]"
        if role not in ("user", "model"):
            raise Rejected(400, "Please use a valid role: user, model.")
        if place == 0 and role == "model":
            raise Rejected(400, "Please ensure that multiturn requests begin with a user turn.")
        parts = _parts(content, where)
        _check_responses([part["functionResponse"] for part in parts if "functionResponse" in part], calls, where)
        calling = [part for part in parts if "functionCall" in part]
        if calling and (role != "model" or last != "user"):
            told = "function call turn comes immediately after a user turn or after a function response turn"
            raise Rejected(400, f"Please ensure that {told}.")
        for part in calling:
            if not isinstance(part["functionCall"].get("args", {}), dict) or not part["functionCall"].get("name"):
                raise Rejected(400, f"Invalid value at '{where}.parts.function_call' (type.googleapis.com/google.protobuf.Struct).")
        if needs_signature and calling and "thoughtSignature" not in calling[0]:
            raise Rejected(400, f"Function call is missing a thought_signature in functionCall parts, in {where}.")
        calls, last = [part["functionCall"] for part in calling], role
    if calls:
        _check_responses([], calls, f"contents[{len(contents)}]")


def _check_responses(responses: Sequence[Mapping[str, Any]], calls: Sequence[Mapping[str, Any]], where: str) -> None:
    if responses and not calls:
        raise Rejected(400, "Please ensure that function response turn comes immediately after a function call turn.")
    if len(responses) != len(calls):
        told = "the number of function response parts is equal to the number of function call parts of the function call turn"
        raise Rejected(400, f"Please ensure that {told}.")
    for response, call in zip(responses, calls, strict=True):
        if response.get("name") != call["name"] or response.get("id") != call.get("id"):
            told = f"'{response.get('name')}' ({response.get('id')}) answers '{call['name']}' ({call.get('id')})"
            raise Rejected(400, f"Please ensure that function responses match function calls by name and id: {told}, in {where}.")
        if not isinstance(response.get("response"), dict):
            raise Rejected(400, f"Invalid value at '{where}.function_response.response' (type.googleapis.com/google.protobuf.Struct).")
