"""What every language model sends: bodies in full, which the vendors' own types take, over one connection for all turns."""

from __future__ import annotations

import asyncio
import json
import warnings
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from anthropic.types import MessageParam, TextBlockParam, ThinkingBlockParam, ToolParam, ToolResultBlockParam, ToolUseBlockParam
from openai import AsyncAzureOpenAI, AsyncOpenAI
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from pydantic import TypeAdapter
from ways import SCHEMA, TOOL, USER, VENDORS, WAYS, Way, chunks_of, every_way, text_of, ways

from patter_nb import CerebrasLLM, OpenAILLM
from patter_nb.llm.base import LLMChunk, Message
from patter_nb.llm.loop import LLMLoop
from patter_nb.llm.rounds import Round, assistant_message, requests_of, take, tool_message
from patter_nb.llm.wire.vendor import VendorLLM
from patter_nb.testing import Call, WireServer
from patter_nb.testing.wire import CallFragment, Reasoning
from patter_nb.tools.tool import tool
from patter_nb.turn import ToolCall

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it deprecates what it imports itself
    from google.genai import types

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")  # google-genai's own

WIRES = ways(but=[name for name in WAYS if name.endswith("client")])


def call(id: str, name: str = "weather", arguments: str = '{"city": "Rome"}', **more: Any) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def calling(*calls: Any, content: str | None = None, **more: Any) -> Message:
    return {"role": "assistant", "content": content, "tool_calls": list(calls), **more}


def answer(id: str, content: str) -> Message:
    return {"role": "tool", "tool_call_id": id, "content": content}


CONVERSATION: list[Message] = [
    {"role": "system", "content": "S"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Weather in Rome and Oslo?"},
    calling(call("c1"), call("c2", arguments='{"city": "Oslo"}')),
    answer("c1", "18"),
    answer("c2", '{"t": 3}'),
]
SPEC = {"name": "weather", "description": "The weather.", "parameters": SCHEMA}
WEATHER = {"type": "function", "function": SPEC, "x-examples": ["Rome?"]}
EPHEMERAL = {"cache_control": {"type": "ephemeral"}}
BEGIN = {"anthropic": {"role": "user", "content": "(call connected)"}, "google": {"role": "user", "parts": [{"text": "(call connected)"}]}}

BODIES: dict[str, dict[str, Any]] = {
    "openai": {
        "messages": CONVERSATION,
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [{"type": "function", "function": SPEC}],
    },
    "anthropic": {
        "max_tokens": 1024,
        "stream": True,
        "system": [{"type": "text", "text": "S", **EPHEMERAL}],
        "messages": [
            BEGIN["anthropic"],
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "Weather in Rome and Oslo?"},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Rome"}},
                    {"type": "tool_use", "id": "c2", "name": "weather", "input": {"city": "Oslo"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "18"},
                    {"type": "tool_result", "tool_use_id": "c2", "content": '{"t": 3}'},
                ],
            },
        ],
        "tools": [{"name": "weather", "description": "The weather.", "input_schema": SCHEMA, **EPHEMERAL}],
    },
    "google": {
        "systemInstruction": {"parts": [{"text": "S"}]},
        "contents": [
            BEGIN["google"],
            {"role": "model", "parts": [{"text": "Hello"}]},
            {"role": "user", "parts": [{"text": "Weather in Rome and Oslo?"}]},
            {
                "role": "model",
                "parts": [
                    {"functionCall": {"name": "weather", "args": {"city": "Rome"}}},
                    {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "weather", "response": {"result": 18}}},
                    {"functionResponse": {"name": "weather", "response": {"t": 3}}},
                ],
            },
        ],
        "tools": [{"functionDeclarations": [SPEC]}],
    },
}


def body_of(way: Way) -> dict[str, Any]:
    """The whole body of CONVERSATION with WEATHER."""
    return BODIES[way.shape] if way.shape == "google" else {"model": way.vendor.model, **BODIES[way.shape]}


async def sent_by(way: Way, messages: Sequence[Message] = (USER,), tools: Sequence[Any] | None = None, **options: Any) -> Any:
    """The body of one request."""
    async with WireServer(["Hi"]) as server, way.to(server, **options) as llm:
        await chunks_of(llm, messages, tools)
    (body,) = server.bodies
    return body


@WIRES
async def test_a_conversation_with_calls_is_sent_in_the_vendors_form(way: Way) -> None:
    assert await sent_by(way, CONVERSATION, [WEATHER]) == body_of(way)


@ways(but=[name for name in WAYS if name.endswith("wire") or name.startswith("google")])
async def test_a_client_sends_the_same(way: Way) -> None:
    assert await sent_by(way, CONVERSATION, [WEATHER]) == body_of(way)


async def test_googles_client_sends_the_same_in_its_own_writing() -> None:
    """It writes types in capitals, and may order keys otherwise."""
    sent = await sent_by(WAYS["google-client"], CONVERSATION, [WEATHER])
    expected = json.loads(json.dumps(BODIES["google"]).replace('"object"', '"OBJECT"').replace('"string"', '"STRING"'))
    assert sent["systemInstruction"].pop("role", "user") == "user"
    assert sent == {**expected, "generationConfig": {}}


# --- the vendors' own types


Block = TextBlockParam | ThinkingBlockParam | ToolUseBlockParam | ToolResultBlockParam


def exhaust(value: Any) -> None:
    """Look at everything: what is typed as an iterable is checked only as it is read."""
    if isinstance(value, Mapping):
        value = value.values()
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        for part in value:
            exhaust(part)


def validate_openai(body: Mapping[str, Any]) -> None:
    checked = TypeAdapter(CompletionCreateParamsStreaming).validate_python(dict(body))
    exhaust([checked["messages"], checked.get("tools")])
    known = CompletionCreateParamsStreaming.__annotations__.keys() | _annotations_of(CompletionCreateParamsStreaming)
    assert body.keys() <= known


def validate_anthropic(body: Mapping[str, Any]) -> None:
    TypeAdapter(list[MessageParam]).validate_python(body["messages"])
    for message in body["messages"]:
        if not isinstance(message["content"], str):
            TypeAdapter(list[Block]).validate_python(message["content"])
    TypeAdapter(list[ToolParam]).validate_python(body.get("tools", []))
    TypeAdapter(list[TextBlockParam]).validate_python(body.get("system", []))


def validate_google(body: Mapping[str, Any]) -> None:
    """Google's types take no key that they do not know."""
    config = {key: value for key, value in body.items() if key not in ("contents", "generationConfig")}
    config |= body.get("generationConfig", {})
    assert types.Content.model_config["extra"] == "forbid"
    TypeAdapter(list[types.Content]).validate_python(body["contents"])
    types.GenerateContentConfig.model_validate(config)


def _annotations_of(kind: Any) -> set[str]:
    bases = getattr(kind, "__orig_bases__", ())
    return {name for base in bases for name in {*getattr(base, "__annotations__", {}), *_annotations_of(base)}}


VALIDATE = {"openai": validate_openai, "anthropic": validate_anthropic, "google": validate_google}


@WIRES
async def test_the_vendors_own_types_take_what_is_sent(way: Way) -> None:
    common = {"temperature": 0.5, "top_p": 0.9, "stop": ["END"], "max_tokens": 64, "tool_choice": "required"}
    for options in ({}, common):
        VALIDATE[way.shape](await sent_by(way, CONVERSATION, [WEATHER], **options))


@WIRES
async def test_the_checks_by_the_vendors_types_can_fail(way: Way) -> None:
    body = await sent_by(way, CONVERSATION, [WEATHER])
    places = {"openai": "messages", "anthropic": "messages", "google": "contents"}
    with pytest.raises(ValueError, match="validation error"):
        VALIDATE[way.shape]({**body, places[way.shape]: [{"role": "narrator", "nothing": 1}, 7]})


# --- options

OPTIONS: dict[str, dict[str, Any]] = {
    "openai": {
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
        "seed": 7,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "response_format": {"type": "json_object"},
        "tool_choice": "required",
        "parallel_tool_calls": False,
    },
    "anthropic": {"temperature": 0.5, "top_p": 0.9, "top_k": 5, "max_tokens": 64, "thinking": {"type": "disabled"}},
    "google": {"temperature": 0.5, "top_p": 0.9, "top_k": 5, "seed": 7, "max_tokens": 64}
    | {"frequency_penalty": 0.1, "presence_penalty": 0.2},
}
GOOGLE_NAMES = {
    "top_p": "topP",
    "top_k": "topK",
    "max_tokens": "maxOutputTokens",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
}


@every_way
async def test_options_are_sent_under_the_vendors_names(way: Way) -> None:
    body = await sent_by(way, [USER], [TOOL], **OPTIONS[way.shape])
    expected = OPTIONS[way.shape]
    if way.shape == "google":
        body, expected = body["generationConfig"], {GOOGLE_NAMES.get(name, name): value for name, value in expected.items()}
    assert {name: body.get(name) for name in expected} == expected


@every_way
async def test_what_was_not_passed_is_not_sent(way: Way) -> None:
    body = await sent_by(way)
    minimal = {"openai": {"model", "messages", "stream", "stream_options"}, "anthropic": {"model", "messages", "stream", "max_tokens"}}
    assert set(body) == minimal.get(way.shape, {"contents"})


@ways(shape="openai")
async def test_the_limit_goes_by_its_newer_name_where_the_vendor_wants_it(way: Way) -> None:
    body = await sent_by(way, max_tokens=64)
    name = "max_tokens" if way.vendor.name == "openai_compatible" else "max_completion_tokens"
    assert {key: value for key, value in body.items() if "max" in key} == {name: 64}


@ways(shape="openai", but=[name for name in WAYS if not name.startswith("openai-")])
async def test_a_newer_model_takes_the_limit(way: Way) -> None:
    assert (await sent_by(way, model="gpt-5-mini", max_tokens=64))["max_completion_tokens"] == 64


@every_way
async def test_a_choice_of_tools_stays_out_of_a_request_without_any(way: Way) -> None:
    """The last round of a turn is asked without tools, so that it ends in words; vendors refuse a choice of none."""
    body = await sent_by(way, [USER], None, tool_choice="required")
    assert not [key for key in body if "tool" in key.lower()]


CHOICES: dict[str, dict[Any, Any]] = {
    "anthropic": {"auto": {"type": "auto"}, "none": {"type": "none"}, "required": {"type": "any"}},
    "google": {"auto": "AUTO", "none": "NONE", "required": "ANY"},
}


@ways(but=[name for name in WAYS if WAYS[name].shape == "openai"])
@pytest.mark.parametrize("choice", ["auto", "none", "required"])
async def test_a_choice_of_tools_is_told_in_the_vendors_words(way: Way, choice: str) -> None:
    body = await sent_by(way, [USER], [TOOL], tool_choice=choice)
    told = body["tool_choice"] if way.shape == "anthropic" else body["toolConfig"]["functionCallingConfig"]["mode"]
    assert told == CHOICES[way.shape][choice]


@every_way
async def test_one_tool_may_be_chosen_by_name(way: Way) -> None:
    body = await sent_by(way, [USER], [TOOL], tool_choice={"type": "function", "function": {"name": "get_weather"}})
    told = {"openai": ["tool_choice", "function", "name"], "anthropic": ["tool_choice", "name"]}
    at: Any = body
    for key in told.get(way.shape, ["toolConfig", "functionCallingConfig", "allowedFunctionNames", 0]):
        at = at[key]
    assert at == "get_weather"


@ways(shape="anthropic")
async def test_caching_marks_the_system_prompt_and_the_last_tool_or_nothing(way: Way) -> None:
    system: Message = {"role": "system", "content": "S"}
    second = {"type": "function", "function": {"name": "second", "parameters": SCHEMA}}
    marked = await sent_by(way, [system, USER], [TOOL, second])
    assert marked["system"] == [{"type": "text", "text": "S", **EPHEMERAL}]
    assert ["cache_control" in one for one in marked["tools"]] == [False, True]
    plain = await sent_by(way, [system, USER], [TOOL, second], prompt_caching=False)
    assert (plain["system"], "cache_control" in json.dumps(plain)) == ("S", False)


# --- histories


HISTORIES: dict[str, list[Message]] = {
    "an assistant that begins": [{"role": "assistant", "content": "Hello"}, USER],
    "only a system prompt": [{"role": "system", "content": "S"}],
    "two system prompts": [{"role": "system", "content": "S"}, {"role": "system", "content": "So far: T"}, USER],
    "the person twice": [USER, USER],
    "the agent twice": [USER, {"role": "assistant", "content": "One."}, {"role": "assistant", "content": "Two."}, USER],
    "words that are empty": [USER, {"role": "assistant", "content": ""}, {"role": "user", "content": "  "}, USER],
    "a space at the end": [USER, {"role": "assistant", "content": "Well "}],
    "words with calls": [USER, calling(call("c1"), content="Wait."), answer("c1", "18")],
    "empty words with calls": [USER, calling(call("c1"), content=""), answer("c1", "18")],
    "words of the agent before its calls": [USER, {"role": "assistant", "content": "Hm."}, calling(call("c1")), answer("c1", "18")],
    "two rounds of calls": [USER, calling(call("c1")), answer("c1", "18"), calling(call("c2")), answer("c2", "19")],
    "a result without a call": [USER, answer("c0", "?"), USER],
    "a call without a result": [USER, calling(call("c1")), USER],
    "one result of two": [USER, calling(call("c1"), call("c2")), answer("c2", "18"), USER],
    "results in another order": [USER, calling(call("c1"), call("c2", name="other")), answer("c2", "2"), answer("c1", "1")],
    "a call at the end": [USER, calling(call("c1"))],
    "a call that begins": [calling(call("c1")), answer("c1", "18"), USER],
    "arguments that are no JSON": [USER, calling(call("c1", arguments="{broken")), answer("c1", "no")],
    "arguments that are empty": [USER, calling(call("c1", arguments="")), answer("c1", "18")],
    "a result that is empty": [USER, calling(call("c1")), answer("c1", "")],
    "a result that is a list": [USER, calling(call("c1")), answer("c1", "[1, 2]")],
    "content in parts": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    "what is meant for others": [
        {"role": "user", "content": "Hi", "extra": {"nobody": 1}},
        calling(call("c1", extra={"nobody": {"signature": "x"}}), extra={"nobody": [{"type": "thinking"}]}),
        answer("c1", "18"),
    ],
}


@every_way
@pytest.mark.parametrize("case", HISTORIES)
@pytest.mark.parametrize("with_tools", [True, False])
async def test_any_history_is_sent_in_a_form_that_the_vendor_takes(way: Way, case: str, with_tools: bool) -> None:
    before = json.dumps(HISTORIES[case])
    body = await sent_by(way, HISTORIES[case], [WEATHER] if with_tools else None)
    assert "nobody" not in json.dumps(body)
    assert json.dumps(HISTORIES[case]) == before


SCHEMAS: dict[str, dict[str, Any]] = {
    "of pydantic": {
        "$defs": {"Unit": {"enum": ["C", "F"], "title": "Unit", "type": "string"}},
        "properties": {
            "city": {"title": "City", "type": "string"},
            "title": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            "unit": {"$ref": "#/$defs/Unit"},
            "days": {"items": {"type": "integer"}, "type": "array"},
        },
        "required": ["city"],
        "title": "Weather",
        "type": "object",
        "additionalProperties": False,
        "$schema": "https://json-schema.org/draft/2020-12/schema",
    },
    "of nothing": {"type": "object", "properties": {}},
    "with choices": {
        "type": "object",
        "properties": {"x": {"oneOf": [{"type": "string"}, {"type": "integer"}]}, "y": {"type": ["string", "null"]}},
    },
    "with numbers to choose from": {"type": "object", "properties": {"n": {"type": "integer", "enum": [1, 2]}, "k": {"const": "a"}}},
    "with formats": {"type": "object", "properties": {name: {"type": "string", "format": name} for name in ("date", "uri", "date-time")}},
    "with a list of anything": {"type": "object", "properties": {"all": {"type": "array"}}},
    "that leads back to itself": {
        "type": "object",
        "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}, "name": {"type": "string"}}}},
        "properties": {"root": {"$ref": "#/$defs/Node"}},
    },
    "of several together": {"type": "object", "allOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]}], "properties": {}},
    "with anything as a value": {
        "type": "object",
        "properties": {"any": {}, "map": {"type": "object", "additionalProperties": {"type": "string"}}},
    },
}


@every_way
@pytest.mark.parametrize("case", SCHEMAS)
async def test_any_schema_is_sent_in_a_form_that_the_vendor_takes(way: Way, case: str) -> None:
    spec = {"type": "function", "function": {"name": "f", "description": "F.", "parameters": SCHEMAS[case]}}
    body = await sent_by(way, [USER], [spec])
    if way.shape == "openai" or (way.shape == "anthropic" and case != "of several together"):
        assert SCHEMAS[case] in [body["tools"][0].get("input_schema"), body["tools"][0].get("function", {}).get("parameters")]


@ways(shape="anthropic")
async def test_a_schema_of_several_is_one_for_anthropic(way: Way) -> None:
    one, other = ({"properties": {name: {"type": "string"}}, "required": [name]} for name in ("a", "b"))
    parameters = {"type": "object", "allOf": [one], "anyOf": [other], "required": ["c"], "properties": {"c": {"type": "string"}}}
    body = await sent_by(way, [USER], [{"type": "function", "function": {"name": "f", "parameters": parameters}}])
    told = body["tools"][0]["input_schema"]
    assert (told.keys(), told["properties"].keys(), told["required"]) == ({"type", "properties", "required"}, {*"abc"}, ["c", "a"])


@ways(shape="google")
async def test_properties_keep_their_names_whatever_they_are(way: Way) -> None:
    names = ["title", "default", "format", "type", "additionalProperties", "$ref", "city"]
    parameters = {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": names}
    body = await sent_by(way, [USER], [{"type": "function", "function": {"name": "f", "description": "F.", "parameters": parameters}}])
    told = body["tools"][0]["functionDeclarations"][0]["parameters"]
    assert (list(told["properties"]), told["required"]) == (names, names)


# --- what a vendor wants back


async def round_of(llm: VendorLLM, messages: list[Message], number: int) -> list[Message]:
    """One round, and the conversation behind it."""
    round = Round(number)
    async for chunk in llm.stream(messages, [TOOL]):
        round = take(round, chunk)
    requests = requests_of(round, prefix="made")
    message = assistant_message(round.text, requests, round.extras)
    return [*messages, message, *(tool_message(request, "18") for request in requests)]


@ways(shape="google")
async def test_gemini_3_gets_its_signatures_back(way: Way) -> None:
    signed = CallFragment(0, None, "get_weather", '{"city": "Rome"}', signature="c2lnbmVk")
    second = CallFragment(1, None, "get_weather", '{"city": "Oslo"}')
    async with WireServer([[signed, second], "18."]) as server, way.to(server, model="gemini-3-pro-preview") as llm:
        messages = await round_of(llm, [USER], 1)
        await chunks_of(llm, messages, [TOOL])
        parts = server.bodies[1]["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["c2lnbmVk", None]


@ways(shape="google")
async def test_gemini_3_takes_a_call_that_another_model_made(way: Way) -> None:
    async with WireServer(["18."]) as server, way.to(server, model="gemini-3-pro-preview") as llm:
        await chunks_of(llm, [USER, calling(call("c1")), answer("c1", "18")], [WEATHER])


@ways(shape="google")
async def test_ids_go_back_only_where_they_came_from_the_vendor(way: Way) -> None:
    reply = [CallFragment(0, "g1", "get_weather", '{"city": "Rome"}'), CallFragment(1, None, "get_weather", '{"city": "Oslo"}')]
    async with WireServer([reply, "18."]) as server, way.to(server) as llm:
        messages = await round_of(llm, [USER], 1)
        await chunks_of(llm, messages, [TOOL])
        model, person = server.bodies[1]["contents"][1:]
    assert [part["functionCall"].get("id") for part in model["parts"]] == ["g1", None]
    assert [part["functionResponse"].get("id") for part in person["parts"]] == ["g1", None]


@ways(shape="anthropic")
async def test_anthropics_thoughts_go_back_before_the_calls_with_their_signature(way: Way) -> None:
    reply = [Reasoning("Hm, "), Reasoning("well.", signature="c2lnbmVk"), "Wait.", Call("get_weather", {"city": "Rome"})]
    thinking = {"type": "enabled", "budget_tokens": 1024}
    async with WireServer([reply, "18."]) as server, way.to(server, thinking=thinking, max_tokens=2048) as llm:
        messages = await round_of(llm, [USER], 1)
        await chunks_of(llm, messages, [TOOL])
        blocks = server.bodies[1]["messages"][1]["content"]
    assert [block["type"] for block in blocks] == ["thinking", "text", "tool_use"]
    assert blocks[0] == {"type": "thinking", "thinking": "Hm, well.", "signature": "c2lnbmVk"}


@every_way
async def test_what_one_vendor_wants_back_goes_to_no_other(way: Way) -> None:
    """A conversation may move: its calls carry what each vendor wanted, and each sees its own only."""
    signatures = {name: b64encode(f"of {name}".encode()).decode() for name in VENDORS}
    call_extra = {name: {"signature": signature} for name, signature in signatures.items()}
    thoughts = {"anthropic": [{"type": "thinking", "thinking": "Hm.", "signature": signatures["anthropic"]}]}
    messages = [USER, calling(call("c1", extra=call_extra), extra=thoughts), answer("c1", "18")]
    told = json.dumps(await sent_by(way, messages, [WEATHER]))
    assert [name for name, signature in signatures.items() if signature in told] == [name for name in (way.shape,) if name != "openai"]


# --- the loop


@every_way
async def test_a_turn_with_tools_ends_in_words(way: Way) -> None:
    asked: list[str] = []

    @tool
    async def get_weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return f"sunny in {city}"

    reply = ["Wait. ", Call("get_weather", {"city": "Rome"}), Call("get_weather", {"city": "Oslo"})]
    async with WireServer([reply, "Sunny."]) as server, way.to(server) as llm:
        loop = LLMLoop(llm, system_prompt="Short.", tools=[get_weather])
        items = [item async for item in loop.run("Weather?")]
    assert sorted(asked) == ["Oslo", "Rome"]
    results = [item.result for item in items if isinstance(item, ToolCall) and item.status == "completed"]
    assert results == ["sunny in Rome", "sunny in Oslo"]
    assert text_of([item for item in items if isinstance(item, LLMChunk)]) == "Wait. Sunny."
    assert "sunny in Oslo" in json.dumps(server.bodies[1])


@every_way
async def test_the_last_round_is_asked_without_tools(way: Way) -> None:
    @tool
    async def again() -> str:
        """Again."""
        return "again"

    async with WireServer([Call("again"), "Enough."]) as server, way.to(server) as llm:
        items = [item async for item in LLMLoop(llm, tools=[again], max_rounds=2).run("Go on")]
    assert text_of([item for item in items if isinstance(item, LLMChunk)]) == "Enough."
    assert "again" in json.dumps(server.bodies[0]["tools"])
    if way.shape == "anthropic":
        assert server.bodies[1]["tool_choice"] == {"type": "none"}
    else:
        assert "tools" not in server.bodies[1]


@every_way
async def test_ids_are_unique_over_the_rounds_of_a_turn(way: Way) -> None:
    """Some vendors send the same ids again, or none."""
    reply = CallFragment(0, "" if way.shape == "google" else "call_0", "again", "{}")

    @tool
    async def again() -> str:
        """Again."""
        return "again"

    async with WireServer([[reply], [reply], "Enough."]) as server, way.to(server) as llm:
        items = [item async for item in LLMLoop(llm, tools=[again]).run("Go on")]
    ids = [item.id for item in items if isinstance(item, ToolCall) and item.status == "completed"]
    assert len({*ids}) == 2
    assert len(server.requests) == 3


# --- connections


@every_way
async def test_one_connection_serves_all_turns_and_rounds(way: Way) -> None:
    replies = ["One.", ["Wait.", Call("get_weather", {"city": "Rome"})], "Three.", "Four."]
    async with WireServer(replies) as server, way.to(server) as llm:
        for _ in replies:
            await chunks_of(llm, tools=[TOOL])
        assert [connection.requests for connection in server.connections] == [4]


@WIRES
async def test_warming_up_opens_the_connection_that_the_first_turn_uses(way: Way) -> None:
    async with WireServer(["Hello."]) as server, way.to(server) as llm:
        await llm.warmup()
        await chunks_of(llm)
        assert [(request.method, request.connection) for request in server.requests] == [("GET", 0), ("POST", 0)]


@WIRES
async def test_two_models_of_one_vendor_share_a_connection(way: Way) -> None:
    async with WireServer(["One.", "Two."]) as server, way.to(server) as first, way.to(server) as second:
        await chunks_of(first)
        await chunks_of(second)
        assert len(server.connections) == 1


@WIRES
async def test_answers_at_the_same_time_each_have_their_own(way: Way) -> None:
    async def answer_of(llm: VendorLLM) -> str:
        return text_of(await chunks_of(llm))

    async with WireServer([["One", "."], ["Two", "."], ["Three", "."]]) as server, way.to(server) as llm:
        answers = await asyncio.gather(*(answer_of(llm) for _ in range(3)))
        assert sorted(answers) == ["One.", "Three.", "Two."]
        assert len(server.connections) == 3


# --- headers


@WIRES
async def test_the_key_goes_where_the_vendor_wants_it_and_the_client_has_a_name(way: Way) -> None:
    async with WireServer(["Hello."]) as server, way.to(server) as llm:
        await chunks_of(llm)
        assert "test-key" not in repr(llm)
        (request,) = server.requests
    told = [value for value in request.headers.values() if "test-key" in value]
    assert told == ["Bearer test-key" if way.shape == "openai" else "test-key"]
    assert request.headers["user-agent"].startswith("patter-nb/")
    assert "test-key" not in request.path + json.dumps(dict(request.query))


class WarmingClient(AsyncOpenAI):
    """As Cerebras' own: a copy of it opens a connection, and blocks the loop, unless it is told not to."""

    warmed = 0

    def with_options(self, *, max_retries: int, warm_tcp_connection: bool = True) -> AsyncOpenAI:  # type: ignore[override]
        self.warmed += warm_tcp_connection
        return super().with_options(max_retries=max_retries)


async def test_cerebras_client_is_not_made_to_warm_up_with_every_request() -> None:
    async with WireServer(["One.", "Two."]) as server:
        async with WarmingClient(api_key="test-key", base_url=server.cerebras_url) as client:
            llm = CerebrasLLM(client=client)
            assert [text_of(await chunks_of(llm)) for _ in range(2)] == ["One.", "Two."]
            assert client.warmed == 0


async def test_azures_client_is_a_way_to_openais_models() -> None:
    async with WireServer([["Wait.", Call("get_weather", {"city": "Rome"})], "Sunny."]) as server:
        options = {"azure_endpoint": server.azure_endpoint, "api_version": "2024-10-21", "api_key": "test-key"}
        async with AsyncAzureOpenAI(**options) as client:
            llm = OpenAILLM(client=client, model="gpt-4o-mini")
            chunks = await chunks_of(llm, tools=[TOOL])
            assert text_of(await chunks_of(llm)) == "Sunny."
    assert (text_of(chunks), chunks[-1].finish_reason) == ("Wait.", "tool_calls")
    assert {request.path for request in server.requests} == {"/openai/deployments/gpt-4o-mini/chat/completions"}


PACKINGS = {(True, True): ("application/vnd.msgpack", "gzip"), (True, False): ("application/vnd.msgpack", None)} | {
    (False, True): ("application/json", "gzip"),
    (False, False): ("application/json", None),
}


@pytest.mark.parametrize("packing", PACKINGS)
async def test_cerebras_takes_its_body_in_four_forms_that_say_the_same(packing: tuple[bool, bool]) -> None:
    way = WAYS["cerebras-wire"]
    async with WireServer(["Hello."]) as server, way.to(server, msgpack_encoding=packing[0], gzip_compression=packing[1]) as llm:
        await chunks_of(llm, CONVERSATION, [WEATHER])
    (request,) = server.requests
    assert (request.headers["content-type"], request.headers.get("content-encoding")) == PACKINGS[packing]
    assert request.body == body_of(way)
