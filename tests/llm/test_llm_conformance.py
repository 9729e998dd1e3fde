"""What every language model makes of an answer, whoever's it is and whatever carried it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ways import TOOL, WAYS, Way, calls_of, chunks_of, every_way, text_of, usage_of, ways

from patter_nb.errors import ContentFiltered, MalformedStream
from patter_nb.llm.base import LLMChunk
from patter_nb.testing import Call, WireServer
from patter_nb.testing.wire import (
    Blocked,
    CallFragment,
    Cut,
    End,
    Event,
    Finish,
    KeepAlive,
    Raw,
    Reasoning,
    Refusal,
    Reply,
    Stall,
    Usage,
)

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")  # google-genai's own

TEXT = "Caffè ☕, naïve 🔥, e\u0301: \u2028 \x85 \x0b are no line ends."
ROME, OSLO = '{"city": "Rome"}', '{"city": "Oslo ☕"}'

# --- text


@every_way
async def test_text_comes_piece_by_piece_and_ends_in_usage_and_done(way: Way) -> None:
    async with WireServer([["It is", " sunny", ".", Usage(7, 5, cache_read=3)]]) as server, way.to(server) as llm:
        *said, usage, done = await chunks_of(llm)
    assert said == [LLMChunk("text", content=piece) for piece in ("It is", " sunny", ".")]
    assert done == LLMChunk("done", finish_reason="stop")
    counts = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.estimated)
    assert counts == (7, 5, 3, None)
    assert (usage.provider, usage.model) == (way.vendor.name, way.vendor.model)


@every_way
@pytest.mark.parametrize("pieces", ["bytes", "whole"])
async def test_an_answer_is_the_same_wherever_it_is_cut(way: Way, pieces: Any) -> None:
    steps = [TEXT[:7], TEXT[7:], Call("get_weather", {"city": "Zürich 🔥"}), Usage(7, 5)]
    async with WireServer([Reply(steps, pieces=pieces)]) as server, way.to(server) as llm:
        chunks = await chunks_of(llm, tools=[TOOL])
    assert text_of(chunks) == TEXT
    assert [json.loads(call.arguments) for call in calls_of(chunks)] == [{"city": "Zürich 🔥"}]


@every_way
async def test_halves_of_characters_are_put_together(way: Way) -> None:
    async with WireServer([["So \ud83d", "\ude00 funny \ude00", " yes\ud83d"]]) as server, way.to(server) as llm:
        chunks = await chunks_of(llm)
    assert text_of(chunks) == "So 😀 funny \ufffd yes\ufffd"


@ways(shape="openai")
async def test_halves_of_characters_in_arguments_are_put_together(way: Way) -> None:
    reply = [CallFragment(0, "a", "get_weather", '{"city": "\ud83d'), CallFragment(0, arguments='\udd25"}')]
    async with WireServer([reply]) as server, way.to(server) as llm:
        (call,) = calls_of(await chunks_of(llm, tools=[TOOL]))
    assert json.loads(call.arguments) == {"city": "🔥"}


@every_way
async def test_signs_of_life_are_nothing(way: Way) -> None:
    async with WireServer([[KeepAlive(), "It", KeepAlive(), KeepAlive(), " is.", KeepAlive()]]) as server, way.to(server) as llm:
        chunks = await chunks_of(llm)
    assert [chunk.content for chunk in chunks if chunk.type == "text"] == ["It", " is."]


@ways(but=[name for name in WAYS if name.endswith("client")])
async def test_comments_and_fields_of_no_meaning_are_nothing(way: Way) -> None:
    noise = [Raw(b": a comment\n\n"), Raw(b"id: 7\nretry: 100\n\n"), Raw(b"\r\n\r\n"), Raw(b":\n")]
    async with WireServer([[*noise, "It", *noise, " is."]]) as server, way.to(server) as llm:
        assert text_of(await chunks_of(llm)) == "It is."


@ways(shape="openai", but=["openai-client", "cerebras-client", "groq-client", "openai_compatible-client"])
async def test_a_stream_that_a_gateway_rewrote_is_read(way: Way) -> None:
    """Other line ends, no space behind the colon, data in several lines."""
    body = b'\xef\xbb\xbfdata:{"choices":[{"delta":{"content":"Hi"}}]}\r\r'
    body += b'data: {"choices":\r\ndata: [{"finish_reason":"stop"}]}\r\n\r\ndata:[DONE]\n\n'
    async with WireServer([[Raw(body), Cut("end")]]) as server, way.to(server) as llm:
        assert text_of(await chunks_of(llm)) == "Hi"


@every_way
async def test_thinking_is_reasoning_and_never_text(way: Way) -> None:
    async with WireServer([[Reasoning("Hm, "), Reasoning("well.", signature="c2lnbmVk"), "Yes."]]) as server, way.to(server) as llm:
        chunks = await chunks_of(llm)
    assert (text_of(chunks, "reasoning"), text_of(chunks)) == ("Hm, well.", "Yes.")


@ways(shape="openai")
async def test_thinking_goes_by_two_names(way: Way) -> None:
    async with WireServer([[Reasoning("Hm.", key="reasoning_content"), "Yes."]]) as server, way.to(server) as llm:
        assert text_of(await chunks_of(llm), "reasoning") == "Hm."


# --- calls


@every_way
async def test_calls_in_parallel_each_have_their_own_index_name_and_arguments(way: Way) -> None:
    reply = ["Wait.", Call("get_weather", {"city": "Rome"}), Call("get_weather", {"city": "Oslo ☕"}), Usage(7, 5)]
    async with WireServer([reply]) as server, way.to(server) as llm:
        chunks = await chunks_of(llm, tools=[TOOL])
    assert text_of(chunks) == "Wait."
    assert chunks[-1].finish_reason == "tool_calls"
    assert [(call.name, json.loads(call.arguments)) for call in calls_of(chunks)] == [
        ("get_weather", {"city": "Rome"}),
        ("get_weather", {"city": "Oslo ☕"}),
    ]
    first = {chunk.index: chunk for chunk in reversed(chunks) if chunk.type == "tool_call"}
    assert list(sorted(first)) == [0, 1]
    assert [chunk.name for chunk in first.values()] == ["get_weather"] * 2
    assert all(chunk.id for chunk in first.values()) or way.shape == "google"


@every_way
async def test_fragments_that_are_interleaved_and_leave_gaps_find_their_calls(way: Way) -> None:
    reply = [
        CallFragment(1, "a", "get_weather", ROME[:4]),
        CallFragment(4, "b", "get_weather", ""),
        CallFragment(1, arguments=ROME[4:9]),
        KeepAlive(),
        CallFragment(4, arguments=OSLO[:12]),
        CallFragment(1, arguments=ROME[9:]),
        CallFragment(4, arguments=OSLO[12:]),
    ]
    async with WireServer([reply]) as server, way.to(server) as llm:
        calls = calls_of(await chunks_of(llm, tools=[TOOL]))
    assert [(call.id, json.loads(call.arguments)) for call in calls] == [("a", json.loads(ROME)), ("b", json.loads(OSLO))]


@every_way
async def test_an_id_that_is_repeated_makes_no_two_calls_one(way: Way) -> None:
    reply = [CallFragment(0, "a", "get_weather", ROME), CallFragment(1, "a", "get_weather", OSLO)]
    async with WireServer([reply]) as server, way.to(server) as llm:
        calls = calls_of(await chunks_of(llm, tools=[TOOL]))
    assert [json.loads(call.arguments) for call in calls] == [json.loads(ROME), json.loads(OSLO)]
    assert calls[0].id != calls[1].id


@every_way
@pytest.mark.parametrize("id", [None, ""])
async def test_an_id_that_is_missing_is_made(way: Way, id: str | None) -> None:
    reply = [CallFragment(0, id, "get_weather", ROME), CallFragment(1, id, "get_weather", OSLO)]
    async with WireServer([reply]) as server, way.to(server) as llm:
        calls = calls_of(await chunks_of(llm, tools=[TOOL]))
    assert [json.loads(call.arguments) for call in calls] == [json.loads(ROME), json.loads(OSLO)]
    assert all(call.id for call in calls)
    assert calls[0].id != calls[1].id


@ways(shape="openai")
@pytest.mark.parametrize("index", [0, None])
async def test_calls_that_are_numbered_alike_or_not_at_all_are_told_apart_by_their_ids(way: Way, index: int | None) -> None:
    reply = [
        CallFragment(index, "a", "get_weather", ROME[:5]),
        CallFragment(index, None, None, ROME[5:]),
        CallFragment(index, "b", "get_weather", OSLO),
    ]
    async with WireServer([reply]) as server, way.to(server) as llm:
        calls = calls_of(await chunks_of(llm, tools=[TOOL]))
    assert [(call.id, json.loads(call.arguments)) for call in calls] == [("a", json.loads(ROME)), ("b", json.loads(OSLO))]


@ways(shape="openai")
async def test_an_id_and_a_name_on_every_fragment_are_one_call(way: Way) -> None:
    reply = [CallFragment(0, "a", "get_weather", ROME[:5]), CallFragment(0, "a", "get_weather", ROME[5:])]
    async with WireServer([reply]) as server, way.to(server) as llm:
        (call,) = calls_of(await chunks_of(llm, tools=[TOOL]))
    assert (call.name, json.loads(call.arguments)) == ("get_weather", json.loads(ROME))


@every_way
@pytest.mark.parametrize("arguments", [None, "", "{}"])
async def test_a_call_without_arguments_is_one(way: Way, arguments: str | None) -> None:
    async with WireServer([[CallFragment(0, "a", "now", arguments)]]) as server, way.to(server) as llm:
        chunks = await chunks_of(llm, tools=[TOOL])
    (call,) = calls_of(chunks)
    assert (call.name, call.arguments or "{}", call.whole, chunks[-1].finish_reason) == ("now", "{}", True, "tool_calls")


@every_way
async def test_text_may_follow_a_call(way: Way) -> None:
    reply = ["One. ", CallFragment(0, "a", "get_weather", ROME), "Two. ", CallFragment(1, "b", "get_weather", OSLO), "Three."]
    async with WireServer([reply]) as server, way.to(server) as llm:
        chunks = await chunks_of(llm, tools=[TOOL])
    assert text_of(chunks) == "One. Two. Three."
    assert [json.loads(call.arguments) for call in calls_of(chunks)] == [json.loads(ROME), json.loads(OSLO)]


@ways(shape="openai")
async def test_a_call_that_is_finished_with_stop_is_still_a_call(way: Way) -> None:
    async with WireServer([[Call("now"), Finish("stop")]]) as server, way.to(server) as llm:
        assert (await chunks_of(llm, tools=[TOOL]))[-1].finish_reason == "tool_calls"


@ways(shape="google")
async def test_arguments_may_come_by_path(way: Way) -> None:
    """Gemini's streamed arguments: values by JSON path, texts of them in pieces."""
    steps = [
        {"name": "book", "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.city", "stringValue": "Zü", "willContinue": True}], "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.city", "stringValue": "rich"}, {"jsonPath": "$.days[1]", "numberValue": 2}], "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.days[0]", "numberValue": 1}, {"jsonPath": "$.quiet", "boolValue": True}]},
    ]
    events = [Event({"candidates": [{"content": {"parts": [{"functionCall": call}], "role": "model"}}]}) for call in steps]
    async with WireServer([events]) as server, way.to(server) as llm:
        (call,) = calls_of(await chunks_of(llm, tools=[TOOL]))
    assert (call.name, json.loads(call.arguments)) == ("book", {"city": "Zürich", "days": [1, 2], "quiet": True})


@ways(shape="google")
async def test_a_call_that_the_model_could_not_write_is_an_error(way: Way) -> None:
    reply = [Finish("MALFORMED_FUNCTION_CALL")]
    async with WireServer([reply]) as server, way.to(server, max_retries=0) as llm:
        with pytest.raises(MalformedStream, match="MALFORMED_FUNCTION_CALL"):
            await chunks_of(llm, tools=[TOOL])


# --- usage


@every_way
async def test_usage_tells_cached_tokens_and_thinking_apart(way: Way) -> None:
    written = 4 if way.shape == "anthropic" else 0
    async with WireServer([["Hi", Usage(7, 5, cache_read=3, cache_write=written, reasoning=2)]]) as server, way.to(server) as llm:
        usage = usage_of(await chunks_of(llm))
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (7, 5, 3)
    assert usage.cache_write_tokens == (4 if way.shape == "anthropic" else None)
    assert usage.reasoning_tokens == 2


@every_way
async def test_details_that_are_null_count_as_none(way: Way) -> None:
    async with WireServer([["Hi", Usage(7, 5, details=False)]]) as server, way.to(server) as llm:
        usage = usage_of(await chunks_of(llm))
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens or 0, usage.estimated) == (7, 5, 0, None)


@ways(shape="openai")
async def test_without_usage_it_is_estimated_and_says_so(way: Way) -> None:
    async with WireServer([["x" * 400]]) as server, way.to(server) as llm:
        usage = usage_of(await chunks_of(llm))
    assert (usage.estimated, usage.output_tokens) == (True, 100)
    assert usage.input_tokens is not None
    assert usage.input_tokens > 10


@ways(shape="openai")
async def test_of_several_counts_the_last_holds(way: Way) -> None:
    async with WireServer([["Hi", Usage(1, 1), " there", Usage(7, 5)]]) as server, way.to(server) as llm:
        usage = usage_of(await chunks_of(llm))
    assert (usage.input_tokens, usage.output_tokens) == (7, 5)


@ways(shape="openai")
async def test_groqs_own_place_for_usage_is_read(way: Way) -> None:
    counted = {"usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}}
    async with WireServer([["Hi", Event({"choices": [], "x_groq": counted})]]) as server, way.to(server) as llm:
        usage = usage_of(await chunks_of(llm))
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (7, 5, None)


# --- how it ends


@every_way
@pytest.mark.parametrize(("finish", "expected"), [("length", "length"), ("content_filter", "content_filter"), ("stop", "stop")])
async def test_why_an_answer_ended_is_told(way: Way, finish: str, expected: str) -> None:
    async with WireServer([["Hi", Finish(finish)]]) as server, way.to(server) as llm:
        assert (await chunks_of(llm))[-1] == LLMChunk("done", finish_reason=expected)


OTHER_ENDS = {
    "openai": {"function_call": "tool_calls", "a_new_reason": "stop"},
    "anthropic": {"stop_sequence": "stop", "model_context_window_exceeded": "length", "a_new_reason": "stop"},
    "google": {"RECITATION": "content_filter", "PROHIBITED_CONTENT": "content_filter", "SPII": "content_filter", "OTHER": "stop"},
}


@every_way
async def test_a_vendors_own_reasons_are_told_in_ours(way: Way) -> None:
    for reason, expected in OTHER_ENDS[way.shape].items():
        async with WireServer([["Hi", Finish(reason)]]) as server, way.to(server) as llm:
            assert (await chunks_of(llm))[-1].finish_reason == expected, reason


@every_way
async def test_a_prompt_that_is_blocked_is_an_error(way: Way) -> None:
    async with WireServer([Blocked()]) as server, way.to(server) as llm:
        with pytest.raises(ContentFiltered) as caught:
            await chunks_of(llm)
    assert (caught.value.provider, caught.value.model) == (way.vendor.name, way.vendor.model)
    assert len(server.requests) == 1


@every_way
async def test_an_answer_that_is_filtered_before_its_first_word_is_an_error(way: Way) -> None:
    async with WireServer([Finish("content_filter")]) as server, way.to(server) as llm:
        with pytest.raises(ContentFiltered):
            await chunks_of(llm)


@every_way
async def test_a_refusal_is_words_or_an_error(way: Way) -> None:
    """OpenAI's refusals have words of the model's own; the others' have none."""
    async with WireServer([Refusal("I can't.")]) as server, way.to(server) as llm:
        if way.shape == "openai":
            assert text_of(await chunks_of(llm)) == "I can't."
        else:
            with pytest.raises(ContentFiltered):
                await chunks_of(llm)


@ways(shape="openai")
async def test_a_stream_without_its_last_line_is_whole_once_it_was_finished(way: Way) -> None:
    async with WireServer([["Hi", Finish("stop"), Usage(7, 5), Cut("end")]]) as server, way.to(server) as llm:
        assert text_of(await chunks_of(llm)) == "Hi"


@ways(but=["google-wire", "google-client", *(name for name in WAYS if name.endswith("client"))])
async def test_a_connection_that_stays_open_behind_the_end_keeps_nobody_waiting(way: Way) -> None:
    """Gemini's stream has no last word but its end; and the clients wait for the end of the body themselves."""
    async with WireServer([["Hi", Usage(7, 5), End(), Stall()]]) as server, way.to(server) as llm:
        assert text_of(await chunks_of(llm)) == "Hi"


@every_way
async def test_an_event_that_is_no_json_is_an_error(way: Way) -> None:
    name = b"event: content_block_delta\n" if way.shape == "anthropic" else b""
    async with WireServer([["Hi", Raw(name + b"data: {broken\n\n")]]) as server, way.to(server) as llm:
        with pytest.raises(Exception) as caught:
            await chunks_of(llm)
    assert isinstance(caught.value, MalformedStream) or way.by_client
