"""The server rejects what the vendor would reject, in the vendor's form; and takes what it takes, so that a rejection means something."""

from __future__ import annotations

import json
import re
from typing import Any

import aiohttp
import msgpack
import pytest

from patter_nb.testing import WireServer

USER = {"role": "user", "content": "Hi"}
NOT_FOUND = 404

# --- OpenAI

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "18"}
TOOL = {"type": "function", "function": {"name": "f", "description": "F.", "parameters": {"type": "object", "properties": {}}}}


def openai(*messages: Any, **options: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "stream": True, "messages": list(messages), **options}


OPENAI_TAKES = {
    "a conversation with calls": openai({"role": "system", "content": "S"}, USER, CALLING, RESULT, USER, tools=[TOOL]),
    "two calls answered in any order": openai(
        {**CALLING, "tool_calls": [CALL, {**CALL, "id": "c2"}]}, {**RESULT, "tool_call_id": "c2"}, RESULT, tools=[TOOL]
    ),
    "an assistant that begins": openai({"role": "assistant", "content": "Hello"}, USER),
    "calls without tools": openai(USER, CALLING, RESULT),
    "the old limit for an old model": openai(USER, max_tokens=5),
    "the new limit for a new model": openai(USER, model="gpt-5-mini", max_completion_tokens=5),
}
OPENAI_REJECTS = {
    "no messages": (openai(), "messages: expected an array"),
    "a result without a call": (openai(USER, RESULT), "must be a response to a preceding message"),
    "a result twice": (openai(USER, CALLING, RESULT, RESULT), "must be a response to a preceding message"),
    "a call without a result": (openai(USER, CALLING), "did not have response messages: c1"),
    "a call without a result before it goes on": (openai(USER, CALLING, USER), "did not have response messages: c1"),
    "one of two results": (openai(USER, {**CALLING, "tool_calls": [CALL, {**CALL, "id": "c2"}]}, RESULT, USER), "messages: c2$"),
    "two calls of one id": (openai(USER, {**CALLING, "tool_calls": [CALL, CALL]}, RESULT), "id a string of its own"),
    "an id that is too long": (openai(USER, {**CALLING, "tool_calls": [{**CALL, "id": "c" * 41}]}), "at most 40"),
    "no calls in a list of calls": (openai(USER, {**CALLING, "content": "", "tool_calls": []}), "tool_calls: expected an array"),
    "arguments that are no text": (
        openai(USER, {**CALLING, "tool_calls": [{**CALL, "function": {"name": "f", "arguments": {}}}]}),
        "arguments must be a string",
    ),
    "a name of a call with a dot": (
        openai(USER, {**CALLING, "tool_calls": [{**CALL, "function": {"name": "a.b", "arguments": ""}}]}),
        "name must match",
    ),
    "an opaque key of another vendor": (openai({**USER, "extra": {}}), r"Unknown parameter: 'messages\[0\]\.extra'"),
    "an opaque key in a call": (openai({**CALLING, "tool_calls": [{**CALL, "extra": 1}]}), r"tool_calls\[0\]\.extra'"),
    "content that is null": (openai({"role": "user", "content": None}), "expected a string"),
    "a role of one's own": (openai({"role": "narrator", "content": "So."}), "Invalid value: 'narrator'"),
    "no tools in a list of tools": (openai(USER, tools=[]), "tools: expected an array"),
    "a tool with examples": (openai(USER, tools=[{**TOOL, "x-examples": []}]), r"Unknown parameter: 'tools\[0\]\.x-examples'"),
    "a tool whose schema is no object": (
        openai(USER, tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "string"}}}]),
        "schema must be of 'type",
    ),
    "a choice of no tools": (openai(USER, tool_choice="none"), "'tool_choice' is only allowed when 'tools' are specified"),
    "parallel calls of no tools": (openai(USER, parallel_tool_calls=True), "'parallel_tool_calls' is only allowed"),
    "an argument that it does not know": (openai(USER, call_id="x"), "Unrecognized request argument supplied: call_id"),
    "the old limit for a new model": (openai(USER, model="gpt-5-mini", max_tokens=5), "Use 'max_completion_tokens' instead"),
    "a temperature for a new model": (openai(USER, model="o4-mini", temperature=0.2), "'temperature' does not support"),
    "no stream": (openai(USER, stream=False), "only streams"),
    "a list": ([], "could not parse"),
}

# --- Anthropic

USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
USED = {"type": "tool_result", "tool_use_id": "t1", "content": "18"}
ANTHROPIC_TOOL = {"name": "f", "description": "F.", "input_schema": {"type": "object", "properties": {}}}
MARK = {"cache_control": {"type": "ephemeral"}}


def anthropic(*messages: Any, **options: Any) -> dict[str, Any]:
    return {"model": "claude-haiku-4-5", "max_tokens": 8, "stream": True, "messages": list(messages), **options}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


TOOLS = {"tools": [ANTHROPIC_TOOL]}
ANTHROPIC_TAKES = {
    "a conversation with calls": anthropic(
        USER, assistant(text("Wait."), USE, {**USE, "id": "t2"}), user(USED, {**USED, "tool_use_id": "t2"}, text("And?")), **TOOLS
    ),
    "two of one role in a row": anthropic(USER, USER),
    "system as text": anthropic(USER, system="S"),
    "four marks": anthropic(user({**text("a"), **MARK}), system=[{**text("S"), **MARK}], tools=[{**ANTHROPIC_TOOL, **MARK}]),
}
ANTHROPIC_REJECTS = {
    "no messages": (anthropic(), "messages: expected an array"),
    "an assistant that begins": (anthropic({"role": "assistant", "content": "Hello"}, USER), 'first message must use the "user" role'),
    "system among the messages": (anthropic(USER, {"role": "system", "content": "S"}), 'Unexpected role "system"'),
    "tools among the messages": (anthropic(USER, {"role": "tool", "content": "18"}), 'Unexpected role "tool"'),
    "text that is empty": (anthropic({"role": "user", "content": ""}), "text content blocks must be non-empty"),
    "a text block that is empty": (anthropic(USER, assistant(text(""), USE), user(USED), **TOOLS), "must be non-empty"),
    "text of spaces": (anthropic(user(text(" \n"))), "must contain non-whitespace text"),
    "a message of no blocks": (anthropic(user()), r"messages\.0\.content: expected an array"),
    "system that is empty": (anthropic(USER, system=""), "system: text content blocks must be non-empty"),
    "a space at the end": (anthropic(USER, assistant(text("So "))), "cannot end with trailing whitespace"),
    "a result without a call": (anthropic(user(USED), **TOOLS), "unexpected `tool_use_id` found"),
    "a result of an older call": (anthropic(USER, assistant(USE), user(USED), user(USED), **TOOLS), "unexpected `tool_use_id` found"),
    "a call without a result": (anthropic(USER, assistant(USE), USER, **TOOLS), r"messages\.1: `tool_use` ids were found without.*: t1\."),
    "a call at the end": (anthropic(USER, assistant(USE), **TOOLS), "ids were found without"),
    "results in two messages": (
        anthropic(USER, assistant(USE, {**USE, "id": "t2"}), user(USED), user({**USED, "tool_use_id": "t2"}), **TOOLS),
        r"ids were found without.*: t2\.",
    ),
    "text before a result": (anthropic(USER, assistant(USE), user(text("So."), USED), **TOOLS), "ids were found without"),
    "calls without tools": (anthropic(USER, assistant(USE), user(USED)), "must define tools"),
    "an id with a colon": (anthropic(USER, assistant({**USE, "id": "a:b"}), **TOOLS), r"content\.0\.tool_use\.id: String should match"),
    "one id twice": (anthropic(USER, assistant(USE, USE), user(USED), **TOOLS), "ids must be unique"),
    "input that is text": (anthropic(USER, assistant({**USE, "input": "{}"}), **TOOLS), "Input should be a valid dictionary"),
    "a name with a dot": (anthropic(USER, assistant({**USE, "name": "a.b"}), **TOOLS), r"tool_use\.name: String should match"),
    "an opaque key of another vendor": (anthropic({**USER, "extra": {}}), r"messages\.0\.extra: Extra inputs are not permitted"),
    "an opaque key in a block": (anthropic(user({**text("a"), "extra": 1})), r"text\.extra: Extra inputs are not permitted"),
    "a block of no kind": (anthropic(user({"type": "video"})), "Input tag 'video'"),
    "a tool of OpenAI's form": (anthropic(USER, tools=[TOOL]), r"tools\.0\.custom\.function: Extra inputs"),
    "a tool without a schema": (anthropic(USER, tools=[{"name": "f"}]), r"input_schema\.type: Input should be 'object'"),
    "a schema with a choice at its top": (
        anthropic(USER, tools=[{"name": "f", "input_schema": {"type": "object", "anyOf": []}}]),
        "does not support oneOf",
    ),
    "one tool twice": (anthropic(USER, tools=[ANTHROPIC_TOOL] * 2), "Tool names must be unique"),
    "a tool without a name": (anthropic(USER, tools=[{"input_schema": {"type": "object"}}]), r"tools\.0\.custom\.name"),
    "a choice of no tools": (anthropic(USER, tool_choice={"type": "auto"}), "while providing tools"),
    "no limit": ({**anthropic(USER), "max_tokens": None}, "max_tokens: Field required"),
    "an argument that it does not know": (anthropic(USER, seed=1), "seed: Extra inputs are not permitted"),
    "a temperature above one": (anthropic(USER, temperature=1.5), "temperature: range"),
    "five marks": (anthropic(user(*[{**text("a"), **MARK}] * 5)), "Found 5"),
    "no stream": (anthropic(USER, stream=False), "only streams"),
}

# --- Gemini

SAID = {"role": "user", "parts": [{"text": "Hi"}]}
ANSWERED = {"role": "model", "parts": [{"text": "Hello"}]}
FUNCTION = {"functionCall": {"name": "f", "args": {}, "id": "g1"}}
RESPONSE = {"functionResponse": {"name": "f", "response": {"result": 18}, "id": "g1"}}
DECLARED = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}, "title": {"type": "STRING"}}, "required": ["city"]}


def gemini(*contents: Any, **options: Any) -> dict[str, Any]:
    return {"contents": list(contents), **options}


def model(*parts: Any) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def said(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def declaring(parameters: Any, **others: Any) -> dict[str, Any]:
    return gemini(SAID, tools=[{"functionDeclarations": [{"name": "f", "description": "F.", "parameters": parameters, **others}]}])


GEMINI_TAKES = {
    "a conversation with calls": gemini(SAID, ANSWERED, SAID, model({"text": "Wait."}, FUNCTION), said(RESPONSE), ANSWERED),
    "two calls answered in one turn": gemini(SAID, model(FUNCTION, FUNCTION), said(RESPONSE, RESPONSE)),
    "a schema": declaring(DECLARED),
    "a function without parameters": gemini(SAID, tools=[{"functionDeclarations": [{"name": "f"}]}]),
    "all that stands beside": gemini(
        SAID, systemInstruction={"parts": [{"text": "S"}]}, generationConfig={"temperature": 2, "maxOutputTokens": 5}, toolConfig={}
    ),
    "properties with names of keywords": declaring({"type": "object", "properties": {"$ref": {"type": "string"}}}),
}
GEMINI_REJECTS = {
    "no contents": (gemini(), "contents is not specified"),
    "a model that begins": (gemini(ANSWERED, SAID), "begin with a user turn"),
    "a role of OpenAI's": (gemini({**SAID, "role": "assistant"}), "valid role: user, model"),
    "a content of no parts": (gemini(said()), "parts must not be empty"),
    "text that is empty": (gemini(said({"text": ""})), "'data' must have one initialized field"),
    "a part of two": (gemini(said({"text": "a", **FUNCTION})), "'data' must have one initialized field"),
    "a response without a call": (gemini(said(RESPONSE)), "comes immediately after a function call turn"),
    "a call without a response": (gemini(SAID, model(FUNCTION)), "number of function response parts"),
    "a call without a response before it goes on": (gemini(SAID, model(FUNCTION), SAID), "number of function response parts"),
    "one of two responses": (gemini(SAID, model(FUNCTION, FUNCTION), said(RESPONSE)), "number of function response parts"),
    "responses in two turns": (gemini(SAID, model(FUNCTION, FUNCTION), said(RESPONSE), said(RESPONSE)), "number of function response"),
    "a response named by its id": (
        gemini(SAID, model(FUNCTION), said({"functionResponse": {"name": "g1", "response": {}, "id": "g1"}})),
        r"'g1' \(g1\) answers 'f' \(g1\)",
    ),
    "an id that nobody gave": (
        gemini(SAID, model({"functionCall": {"name": "f", "args": {}}}), said(RESPONSE)),
        r"'f' \(g1\) answers 'f' \(None\)",
    ),
    "a response that is no object": (
        gemini(SAID, model(FUNCTION), said({"functionResponse": {"name": "f", "response": 18, "id": "g1"}})),
        "function_response.response",
    ),
    "a call behind words of the model": (gemini(SAID, ANSWERED, model(FUNCTION), said(RESPONSE)), "immediately after a user turn"),
    "a call by the user": (gemini(said(FUNCTION)), "immediately after a user turn"),
    "arguments that are text": (gemini(SAID, model({"functionCall": {"name": "f", "args": "{}"}})), "Struct"),
    "an opaque key of another vendor": (gemini({**SAID, "extra": {}}), r"Unknown name \"extra\" at 'contents\[0\]'"),
    "an opaque key in a part": (gemini(said({"text": "a", "extra": 1})), r"Unknown name \"extra\" at 'contents\[0\]\.parts\[0\]'"),
    "messages": (gemini(SAID, messages=[]), 'Unknown name "messages"'),
    "a limit of OpenAI's": (gemini(SAID, generationConfig={"max_tokens": 5}), 'Unknown name "max_tokens" at \'generation_config\''),
    "a system of no parts": (gemini(SAID, systemInstruction={"parts": []}), "parts must not be empty"),
    "a name with a space": (declaring(DECLARED, name="a b"), "Invalid function name"),
    "strict": (declaring(DECLARED, strict=True), 'Unknown name "strict"'),
    "an object of no properties": (declaring({"type": "object", "properties": {}}), "should be non-empty for OBJECT type"),
    "a property that is not there": (declaring({**DECLARED, "required": ["town"]}), "property is not defined: town"),
    "a list of nothing": (declaring({**DECLARED, "properties": {"city": {"type": "array"}}}), "items: missing field"),
    "types in a list": (declaring({**DECLARED, "properties": {"city": {"type": ["string", "null"]}}}), "cannot start list"),
    "no type": (declaring({**DECLARED, "properties": {"city": {"description": "C."}}}), "didn't specify the schema type"),
    "a format of text": (declaring({**DECLARED, "properties": {"city": {"type": "string", "format": "uri"}}}), "only 'enum' and"),
    "numbers to choose from": (declaring({**DECLARED, "properties": {"city": {"type": "string", "enum": [1]}}}), "TYPE_STRING"),
    "numbers with a choice": (declaring({**DECLARED, "properties": {"city": {"type": "integer", "enum": ["1"]}}}), "only allowed for"),
    **{
        f"the keyword {keyword} at the top": (declaring({**DECLARED, keyword: value}), f'Unknown name "{re.escape(keyword)}"')
        for keyword, value in {"additionalProperties": False, "$schema": "x", "oneOf": [], "$ref": "x", "const": 1}.items()
    },
    "a keyword deep within": (
        declaring({**DECLARED, "properties": {"city": {"type": "array", "items": {"type": "object", "additionalProperties": False}}}}),
        'Unknown name "additionalProperties"',
    ),
}

PATHS = {
    "openai": ("/v1/chat/completions", {"authorization": "Bearer test-key"}),
    "groq": ("/openai/v1/chat/completions", {"authorization": "Bearer test-key"}),
    "cerebras": ("/cerebras/v1/chat/completions", {"authorization": "Bearer test-key"}),
    "anthropic": ("/v1/messages", {"x-api-key": "test-key", "anthropic-version": "2023-06-01"}),
    "google": ("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", {"x-goog-api-key": "test-key"}),
}
TAKES = {"openai": OPENAI_TAKES, "anthropic": ANTHROPIC_TAKES, "google": GEMINI_TAKES}
REJECTS = {"openai": OPENAI_REJECTS, "anthropic": ANTHROPIC_REJECTS, "google": GEMINI_REJECTS}
PLAIN = {"openai": openai(USER), "groq": openai(USER, model="llama-3.3-70b-versatile"), "cerebras": openai(USER, model="gpt-oss-120b")} | {
    "anthropic": anthropic(USER),
    "google": gemini(SAID),
}


async def post(
    server: WireServer, vendor: str, body: Any, headers: dict[str, str] | None = None, path: str | None = None
) -> tuple[int, Any]:
    known, key = PATHS[vendor]
    async with aiohttp.ClientSession(server.google_url) as session:
        async with session.post(path or known, json=body, headers=key if headers is None else headers) as response:
            return response.status, None if response.status == 200 else await response.json()


def message_of(told: Any) -> str:
    return str(told["error"]["message"] if "error" in told else told["message"])


@pytest.mark.parametrize(("vendor", "case"), [(vendor, case) for vendor, cases in TAKES.items() for case in cases])
async def test_what_is_in_order_is_taken(vendor: str, case: str) -> None:
    async with WireServer(["Hello."]) as server:
        assert await post(server, vendor, TAKES[vendor][case]) == (200, None)


@pytest.mark.parametrize(("vendor", "case"), [(vendor, case) for vendor, cases in REJECTS.items() for case in cases])
async def test_what_the_vendor_rejects_is_rejected(vendor: str, case: str) -> None:
    body, words = REJECTS[vendor][case]
    async with WireServer() as server:
        status, told = await post(server, vendor, body)
    assert (status, bool(re.search(words, message_of(told)))) == (400, True), message_of(told)


MISSING_KEY = {"openai": 401, "groq": 401, "cerebras": 401, "anthropic": 401, "google": 403}
WRONG_KEY = {**MISSING_KEY, "google": 400}
"""Gemini's answers to bad keys are its own: 403 for none, and 400 with the reason API_KEY_INVALID."""


@pytest.mark.parametrize("vendor", PATHS)
async def test_a_key_that_is_missing_or_wrong_is_told_so_in_the_vendors_form(vendor: str) -> None:
    _, headers = PATHS[vendor]
    without = {name: value for name, value in headers.items() if "test-key" not in value}
    wrong = {name: value.replace("test-key", "other") for name, value in headers.items()}
    async with WireServer() as server:
        missing, told = await post(server, vendor, PLAIN[vendor], without)
        assert (missing, bool(message_of(told))) == (MISSING_KEY[vendor], True)
        status, told = await post(server, vendor, PLAIN[vendor], wrong)
    assert status == WRONG_KEY[vendor]
    code = {"openai": "invalid_api_key", "groq": "invalid_api_key", "anthropic": "authentication_error", "google": "API_KEY_INVALID"}
    assert code.get(vendor, "wrong_api_key") in json.dumps(told)


async def test_gemini_takes_its_key_in_three_places() -> None:
    path, _ = PATHS["google"]
    async with WireServer(["Hello."] * 2) as server:
        assert (await post(server, "google", gemini(SAID), {}, f"{path}&key=test-key"))[0] == 200
        vertex = "/v1beta1/projects/p/locations/l/publishers/google/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
        assert (await post(server, "google", gemini(SAID), {"authorization": "Bearer test-key"}, vertex))[0] == 200


UNKNOWN = {
    "openai": {"error": {"message": "The model `m` does not exist or you do not have access to it.", "type": "invalid_request_error"}},
    "cerebras": {"message": "The model `m` does not exist or you do not have access to it.", "type": "not_found_error"},
    "anthropic": {"type": "error", "error": {"type": "not_found_error", "message": "model: m"}, "request_id": None},
}


@pytest.mark.parametrize("vendor", PATHS)
async def test_a_model_that_it_does_not_know_is_not_found(vendor: str) -> None:
    async with WireServer() as server:
        path = "/v1beta/models/m:streamGenerateContent?alt=sse" if vendor == "google" else None
        status, told = await post(server, vendor, PLAIN[vendor] if path else {**PLAIN[vendor], "model": "m"}, path=path)
    assert status == NOT_FOUND
    if vendor == "google":
        assert (told["error"]["status"], "models/m is not found" in told["error"]["message"]) == ("NOT_FOUND", True)
    elif vendor == "anthropic":
        assert told == UNKNOWN["anthropic"]
    else:
        flat = told if vendor == "cerebras" else told["error"]
        expected = UNKNOWN["cerebras"] if vendor == "cerebras" else UNKNOWN["openai"]["error"]
        assert flat == {**expected, "param": "model", "code": "model_not_found"}


async def test_gemini_3_wants_its_signatures_back() -> None:
    path = "/v1beta/models/gemini-3-pro-preview:streamGenerateContent?alt=sse"
    signed = {**FUNCTION, "thoughtSignature": "abc"}
    async with WireServer(["Hello."]) as server:
        status, told = await post(server, "google", gemini(SAID, model(FUNCTION), said(RESPONSE)), path=path)
        assert (status, "missing a thought_signature" in message_of(told)) == (400, True)
        assert (await post(server, "google", gemini(SAID, model(signed, FUNCTION), said(RESPONSE, RESPONSE)), path=path))[0] == 200


@pytest.mark.parametrize("change", ["generateContent?alt=sse", "streamGenerateContent"])
async def test_gemini_streams_only_where_it_is_asked_to(change: str) -> None:
    async with WireServer() as server:
        status, told = await post(server, "google", gemini(SAID), path=f"/v1beta/models/gemini-2.5-flash:{change}")
    assert (status, "only streams" in message_of(told)) == (400, True)


async def test_anthropic_wants_a_version() -> None:
    async with WireServer() as server:
        status, told = await post(server, "anthropic", anthropic(USER), {"x-api-key": "test-key"})
    assert (status, message_of(told)) == (400, "anthropic-version: header is required")


@pytest.mark.parametrize("vendor", ["openai", "groq", "anthropic", "google"])
async def test_only_cerebras_takes_what_is_packed(vendor: str) -> None:
    path, headers = PATHS[vendor]
    async with WireServer() as server, aiohttp.ClientSession(server.google_url) as session:
        packed = {**headers, "content-type": "application/vnd.msgpack", "content-encoding": "gzip"}
        async with session.post(path, data=msgpack.packb(PLAIN[vendor]), headers=packed) as response:
            assert response.status == 400


@pytest.mark.parametrize("vendor", PATHS)
async def test_models_are_listed_to_whoever_has_a_key(vendor: str) -> None:
    path, headers = PATHS[vendor]
    lists = {"anthropic": "/v1/models", "google": "/v1beta/models"}
    async with WireServer(models=["mine"]) as server, aiohttp.ClientSession(server.google_url) as session:
        path = lists.get(vendor) or path.replace("chat/completions", "models")
        async with session.get(path, headers=headers) as response:
            assert (response.status, "mine" in await response.text()) == (200, True)
        async with session.get(path) as response:
            assert response.status in (401, 403)
