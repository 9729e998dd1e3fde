"""The three formats, to the byte: what the server sends for one script, beside the vendors' documentation of their streams."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from test_wire_strict import PATHS, PLAIN

from patter_nb.llm.base import LLMChunk
from patter_nb.testing import Call, Hold, WireServer
from patter_nb.testing.wire import Blocked, CallFragment, Cut, End, Finish, KeepAlive, Reasoning, Refusal, Stall, StreamError, Usage
from patter_nb.testing.wire.script import complete

SCRIPT = [Reasoning("Hm.", signature="sig"), "Caffè", KeepAlive(), Call("f", {"x": 1}), Usage(7, 5, cache_read=3, reasoning=2)]


async def stream_of(vendor: str, reply: Any, body: dict[str, Any] | None = None) -> str:
    path, headers = PATHS[vendor]
    async with WireServer([reply]) as server, aiohttp.ClientSession(server.google_url) as session:
        async with session.post(path, json=body or PLAIN[vendor], headers=headers) as response:
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            return (await response.read()).decode()


def events_of(stream: str, line_end: str = "\n") -> list[tuple[str | None, Any]]:
    events = []
    for block in stream.split(line_end * 2)[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split(line_end))
        events.append((fields.get("event"), json.loads(fields["data"]) if fields.get("data", "[DONE]") != "[DONE]" else fields.get("data")))
    return events


async def test_openais_stream() -> None:
    frame = {"id": "chatcmpl-0", "object": "chat.completion.chunk", "created": 1764000000}
    frame |= {"model": "gpt-4o-mini", "system_fingerprint": "fp_test"}

    def chunk(delta: Any, finish: str | None = None) -> tuple[None, Any]:
        return None, {**frame, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}], "usage": None}

    stream = await stream_of("openai", SCRIPT, {**PLAIN["openai"], "stream_options": {"include_usage": True}})
    assert ": keep-alive\n\n" in stream
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 0},
    }
    assert events_of(stream.replace(": keep-alive\n\n", "")) == [
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning": "Hm."}),
        chunk({"content": "Caffè"}),
        chunk({"tool_calls": [{"index": 0, "id": "call_0_0", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"x"'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}),
        chunk({}, "tool_calls"),
        (None, {**frame, "choices": [], "usage": usage}),
        (None, "[DONE]"),
    ]


async def test_anthropics_stream() -> None:
    events = events_of(await stream_of("anthropic", SCRIPT))
    assert [name for name, _ in events] == [data["type"] for _, data in events]
    start, *blocks, delta, stop = [data for _, data in events]
    usage = {"input_tokens": 7, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 3, "output_tokens": 1}
    message = {"id": "msg_0", "type": "message", "role": "assistant", "model": "claude-haiku-4-5", "content": []}
    assert start == {"type": "message_start", "message": {**message, "stop_reason": None, "stop_sequence": None, "usage": usage}}
    assert [{key: value for key, value in block.items() if key != "type"} for block in blocks] == [
        {"index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
        {"index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
        {"index": 0, "delta": {"type": "signature_delta", "signature": "sig"}},
        {"index": 0},
        {"index": 1, "content_block": {"type": "text", "text": ""}},
        {"index": 1, "delta": {"type": "text_delta", "text": "Caffè"}},
        {},
        {"index": 1},
        {"index": 2, "content_block": {"type": "tool_use", "id": "toolu_0_0", "name": "f", "input": {}}},
        {"index": 2, "delta": {"type": "input_json_delta", "partial_json": ""}},
        {"index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"x"'}},
        {"index": 2, "delta": {"type": "input_json_delta", "partial_json": ": 1}"}},
        {"index": 2},
    ]
    assert blocks[6] == {"type": "ping"}
    written = {"output_tokens": 5, "output_tokens_details": {"thinking_tokens": 2}}
    assert delta == {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": written}
    assert stop == {"type": "message_stop"}


async def test_anthropics_calls_stay_open_until_their_last_fragment() -> None:
    reply = [CallFragment(0, "a", "f"), CallFragment(2, "b", "g", "{}"), "text", CallFragment(0, arguments="{}")]
    events = [data for _, data in events_of(await stream_of("anthropic", reply))]
    opened = [(data["type"].split("_")[-1], data["index"]) for data in events if data["type"].startswith("content_block")]
    assert opened == [
        *[("start", 0), ("start", 2), ("delta", 2), ("stop", 2)],
        *[("start", 3), ("delta", 3), ("delta", 0), ("stop", 0), ("stop", 3)],
    ]


async def test_geminis_stream() -> None:
    stream = await stream_of("google", SCRIPT)
    assert "\n\n" not in stream.replace("\r\n", "")
    frame = {"modelVersion": "gemini-2.5-flash", "responseId": "resp_0"}

    def candidate(part: Any, **more: Any) -> tuple[None, Any]:
        return None, {"candidates": [{"content": {"parts": [part], "role": "model"}, **more, "index": 0}], **frame}

    *said, (_, last) = events_of(stream, "\r\n")
    assert said == [
        candidate({"text": "Hm.", "thought": True, "thoughtSignature": "sig"}),
        candidate({"text": "Caffè"}),
        (None, frame),
        candidate({"functionCall": {"name": "f", "args": {"x": 1}}}),
    ]
    counts = {"promptTokenCount": 10, "candidatesTokenCount": 3, "totalTokenCount": 15}
    counts |= {"cachedContentTokenCount": 3, "thoughtsTokenCount": 2}
    _, expected = candidate({"text": ""}, finishReason="STOP")
    assert last == {**expected, "usageMetadata": counts}


async def test_geminis_calls_come_whole_where_their_last_fragment_stands() -> None:
    reply = [CallFragment(1, None, "f", '{"a": '), KeepAlive(), CallFragment(2, None, "g", ""), CallFragment(1, arguments="1}"), "text"]
    events = [data for _, data in events_of(await stream_of("google", reply), "\r\n")]
    parts = [part for event in events for found in event.get("candidates", ()) for part in found["content"]["parts"]]
    assert parts == [
        {"functionCall": {"name": "f", "args": {"a": 1}}},
        {"functionCall": {"name": "g", "args": {}}},
        {"text": "text"},
        {"text": ""},
    ]


async def test_geminis_call_that_is_cut_off_is_not_sent() -> None:
    reply = [CallFragment(0, None, "whole", "{}"), CallFragment(1, None, "half", '{"a": '), Cut("end")]
    stream = await stream_of("google", reply)
    assert ("whole" in stream, "half" in stream) == (True, False)


async def test_errors_within_a_stream_have_the_vendors_form() -> None:
    streams = {vendor: await stream_of(vendor, [StreamError(529, "Oh.")]) for vendor in PATHS}
    told = {vendor: events_of(stream, "\r\n" if vendor == "google" else "\n") for vendor, stream in streams.items()}
    assert told["anthropic"] == [("error", {"type": "error", "error": {"type": "overloaded_error", "message": "Oh."}})]
    assert told["google"] == [(None, {"error": {"code": 529, "message": "Oh.", "status": "UNAVAILABLE"}})]
    assert [name for name, _ in told["openai"] + told["groq"]] == [None, "error"]


async def test_geminis_blocked_prompt_is_feedback() -> None:
    ((_, event),) = events_of(await stream_of("google", Blocked("SAFETY")), "\r\n")
    assert event["promptFeedback"] == {"blockReason": "SAFETY"}
    assert "candidates" not in event


# --- what is added to a script


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("Hi", ["Hi", Finish("stop"), End()]),
        ([], [Finish("stop"), End()]),
        (["Hi", KeepAlive()], ["Hi", KeepAlive(), Finish("stop"), End()]),
        (["Hi", Usage(1, 2)], ["Hi", Finish("stop"), Usage(1, 2), End()]),
        (["Hi", Usage(1, 2), End(), Stall()], ["Hi", Finish("stop"), Usage(1, 2), End(), Stall()]),
        (["Hi", Stall()], ["Hi", Stall()]),
        (Stall(), [Stall()]),
        (["Hi", Cut()], ["Hi", Cut()]),
        (["Hi", StreamError()], ["Hi", StreamError()]),
        (Refusal("No."), [Refusal("No."), End()]),
        (Blocked(), [Blocked()]),
        ([Finish("length"), "Hi"], [Finish("length"), "Hi", End()]),
        ([CallFragment(0, name="f")], [CallFragment(0, name="f"), Finish("tool_calls"), End()]),
    ],
)
def test_a_finish_and_an_end_are_added_where_they_are_missing(steps: Any, expected: list[Any]) -> None:
    assert complete(steps, id_prefix=None) == expected


@pytest.mark.parametrize("reply", [["Hi", LLMChunk("text", content="Hi")], ["Hi", Blocked()], [7]])
async def test_what_is_no_step_fails_the_block(reply: Any) -> None:
    with pytest.raises(AssertionError, match="could not send an answer") as caught:
        async with WireServer([reply]) as server, aiohttp.ClientSession(server.google_url) as session:
            path, headers = PATHS["openai"]
            with pytest.raises(aiohttp.ClientError):
                async with session.post(path, json=PLAIN["openai"], headers=headers) as response:
                    await response.read()
    assert isinstance(caught.value.__cause__, (TypeError, ValueError))


async def test_a_hold_is_no_word() -> None:
    go = asyncio.Event()
    go.set()
    assert complete(["Hi", Hold(go)], id_prefix=None) == ["Hi", Hold(go), Finish("stop"), End()]
    assert "Hi" in await stream_of("openai", ["Hi", Hold(go)])
